"""Against sockets that are slow, lie, die or are not there. Needs no daemon."""

import ctypes
import os
import subprocess
import sys
import threading
import unittest

import scope
from fakes import Connection, FakeDaemon, allow, answering, data, deny, envelope, frame, hung, number, refusal
from scope import _library

PATIENT_MS = 60_000


def open_client(address: str, **options: int) -> scope.Client:
    """What no test is about is off: breaker, backoff, a short deadline."""
    chosen = {"timeout_ms": PATIENT_MS, "breaker_failures": 0, "backoff_min_ms": 0, **options}
    return scope.Client(address, company="acme", **chosen)


class Answers(unittest.TestCase):
    def expect_unavailable(self, answer: scope.Answer, reason: str, status: scope.Status) -> None:
        self.assertIs(answer.verdict, scope.Verdict.UNAVAILABLE)
        self.assertFalse(answer)
        self.assertEqual(answer.reason, "unavailable")
        self.assertEqual((answer.revision, answer.project, answer.group), (0, "", ""))
        assert answer.error is not None
        self.assertEqual((answer.error.reason, answer.error.status), (reason, status))
        self.assertTrue(answer.error.message)

    def test_only_allow_is_true(self) -> None:
        truths = {verdict: bool(verdict) for verdict in scope.Verdict}
        self.assertEqual([verdict.name for verdict, truth in truths.items() if truth], ["ALLOW"])
        self.assertEqual({v: bool(scope.Answer(v)) for v in scope.Verdict}, truths)

    def test_allow_and_deny_are_the_daemons(self) -> None:
        with FakeDaemon(answering(allow)) as daemon, open_client(daemon.address) as client:
            answer = client.check("user:1", "queue:a")
            self.assertTrue(answer)
            self.assertEqual(answer, scope.Answer(scope.Verdict.ALLOW, "shared_project", 7, "clinic"))
        with FakeDaemon(answering(deny)) as daemon, open_client(daemon.address) as client:
            answer = client.check("user:1", "queue:a")
            self.assertFalse(answer)
            self.assertEqual(answer, scope.Answer(scope.Verdict.DENY, "no_shared_project", 7))

    def test_a_hung_daemon_is_a_timeout(self) -> None:
        with FakeDaemon(hung) as daemon, scope.Client(daemon.address, company="acme") as client:
            self.expect_unavailable(
                client.check("user:1", "queue:a"), "timeout", scope.Status.DEADLINE_EXCEEDED)
            self.assertEqual(client.counters().timeouts, 1)

    def test_the_deadline_of_one_call_is_its_own(self) -> None:
        with FakeDaemon(hung) as daemon, open_client(daemon.address) as client:
            answer = client.check("user:1", "queue:a", timeout_ms=20)
            self.expect_unavailable(answer, "timeout", scope.Status.DEADLINE_EXCEEDED)

    def test_a_daemon_that_is_not_there(self) -> None:
        with open_client("unix:/nonexistent/scoped.sock") as client:
            answer = client.check("user:1", "queue:a")
            self.expect_unavailable(answer, "connect_failed", scope.Status.UNAVAILABLE)

    def test_a_cut_reply(self) -> None:
        for count in (0, 3, 4, 11):
            def cut(connection: Connection, _: int) -> None:
                connection.send(frame(allow(connection.request_id() or 0))[:count])

            with FakeDaemon(cut) as daemon, open_client(daemon.address) as client:
                answer = client.check("user:1", "queue:a")
                self.expect_unavailable(answer, "connection_lost", scope.Status.UNAVAILABLE)

    def test_a_daemon_that_lies(self) -> None:
        for lie in (lambda i: allow(i + 1), lambda i: envelope(i), lambda i: b"\xff" * 5):
            with FakeDaemon(answering(lie)) as daemon, open_client(daemon.address) as client:
                self.expect_unavailable(client.check("user:1", "queue:a"), "bad_reply", scope.Status.INTERNAL)

    def test_an_error_of_the_daemon(self) -> None:
        with FakeDaemon(answering(lambda i: refusal(i, 14, b"company_loading"))) as daemon:
            with open_client(daemon.address) as client:
                answer = client.check("user:1", "queue:a")
                self.expect_unavailable(answer, "company_loading", scope.Status.UNAVAILABLE)
                assert answer.error is not None
                self.assertTrue(answer.error.from_daemon and answer.error.request_sent)

    def test_the_breaker_opens(self) -> None:
        with FakeDaemon(lambda c, _: None) as daemon:
            with open_client(daemon.address, breaker_failures=2, breaker_open_ms=3_600_000) as client:
                reasons = [client.check("user:1", "queue:a").error.reason for _ in range(4)]  # type: ignore[union-attr]
                self.assertEqual(reasons, ["connection_lost"] * 2 + ["breaker_open"] * 2)
                self.assertEqual(client.counters().breaker_skips, 2)
                self.assertEqual(daemon.connection_count, 2)


class Arguments(unittest.TestCase):
    def test_texts_that_c_would_read_otherwise_are_refused_unsent(self) -> None:
        with FakeDaemon(answering(allow)) as daemon, open_client(daemon.address) as client:
            for subject in ("user:1\0x", "user:\udc80", "user", "", "pilot:1", "user:" + "x" * 129):
                answer = client.check(subject, "queue:a")
                assert answer.error is not None
                self.assertEqual(answer.error.reason, "bad_argument", subject)
            for answer in (
                client.check("user:1", "queue:a\0b"),
                client.check("user:1", "queue:a", right=""),
                client.check("user:1", "queue:a", right="a\0b"),
                client.check("user:1", "queue:a", company="acme\0x"),
            ):
                self.assertIs(answer.verdict, scope.Verdict.UNAVAILABLE)
            with self.assertRaises(scope.CallError):
                client.filter("user:1", "queue", ["a", "b\0c"])
            with self.assertRaises(scope.CallError):
                client.list_projects("user:1\0x")
            self.assertEqual(daemon.connection_count, 0)

    def test_numbers_that_c_would_cut_are_refused(self) -> None:
        with open_client("unix:/nonexistent/s") as client:
            for timeout_ms in (-1, 0, 1 << 32):
                with self.assertRaises(ValueError):
                    client.check("user:1", "queue:a", timeout_ms=timeout_ms)
            for min_revision in (-1, 1 << 64):
                with self.assertRaises(ValueError):
                    client.check("user:1", "queue:a", min_revision=min_revision)
            with self.assertRaises(TypeError):
                client.check(1001, "queue:a")  # type: ignore[arg-type]
            with self.assertRaises(TypeError):
                client.check(b"user:1", "queue:a")  # type: ignore[arg-type]
        with self.assertRaises(ValueError):
            scope.Client("unix:/s", breaker_failures=-1)

    def test_a_wrong_address_is_refused(self) -> None:
        with self.assertRaises(scope.CallError) as caught:
            scope.Client("tcp:localhost:7400")
        self.assertIs(caught.exception.status, scope.Status.INVALID_ARGUMENT)
        self.assertEqual(caught.exception.reason, "bad_argument")

    def test_a_closed_client_is_not_used(self) -> None:
        client = open_client("unix:/nonexistent/s")
        client.close()
        client.close()
        with self.assertRaises(ValueError):
            client.check("user:1", "queue:a")


class Calls(unittest.TestCase):
    def test_an_exception_in_a_callback_ends_the_call_and_goes_on(self) -> None:
        def endless(connection: Connection, _: int) -> None:
            request_id = connection.request_id()
            for _ in range(3):
                connection.send(frame(envelope(request_id or 0) + number(6, 1)))
            connection.await_end()

        class Fault(Exception):
            pass

        def fail(response: bytes) -> None:
            raise Fault(len(response))

        with FakeDaemon(endless) as daemon, open_client(daemon.address) as client:
            with self.assertRaises(Fault):
                client.call_each(number(1, 5) + data(17, b""), fail)
            with self.assertRaises(scope.CallError) as caught:
                client.call_each(number(1, 6) + data(17, b""), lambda _: False)
            self.assertEqual(caught.exception.reason, "stopped")
            self.assertIs(caught.exception.status, scope.Status.CANCELLED)

    def test_a_failed_call_keeps_what_came(self) -> None:
        def behaviour(connection: Connection, _: int) -> None:
            request_id = connection.request_id() or 0
            connection.send(frame(envelope(request_id) + number(6, 1)))
            connection.send(frame(refusal(request_id, 9, b"not_placed")))

        with FakeDaemon(behaviour) as daemon, open_client(daemon.address) as client:
            with self.assertRaises(scope.CallError) as caught:
                client.call(number(1, 5) + data(16, b""))
            error = caught.exception
            self.assertEqual((error.reason, error.status), ("not_placed", scope.Status.FAILED_PRECONDITION))
            self.assertTrue(error.from_daemon and error.request_sent)
            self.assertEqual(len(error.responses), 2)

    def test_a_request_must_begin_with_its_id(self) -> None:
        with FakeDaemon(answering(allow)) as daemon, open_client(daemon.address) as client:
            for request in (b"", b"\x08", number(1, 0), data(3, b"acme"), b"\x08" + b"\x80" * 12):
                with self.assertRaises(scope.CallError) as caught:
                    client.call(request)
                self.assertEqual(caught.exception.reason, "bad_argument")
            self.assertEqual(daemon.connection_count, 0)
            large = (1 << 64) - 1
            self.assertEqual(client.call(number(1, large)), [allow(large)])

    def test_a_listing_that_is_cut_is_an_error(self) -> None:
        def cut(connection: Connection, _: int) -> None:
            request_id = connection.request_id() or 0
            row = data(1, data(1, b"a") + data(2, b"Alpha") + number(4, 1))
            connection.send(frame(envelope(request_id) + number(6, 1) + data(13, row)))

        with FakeDaemon(cut) as daemon, open_client(daemon.address) as client:
            with self.assertRaises(scope.CallError) as caught:
                client.list_projects("user:1")
            self.assertEqual(caught.exception.reason, "connection_lost")


class Watches(unittest.TestCase):
    def test_gives_responses_as_they_come_and_what_ended_it(self) -> None:
        go_on = threading.Event()

        def behaviour(connection: Connection, _: int) -> None:
            request_id = connection.request_id() or 0
            connection.send(frame(envelope(request_id, 1) + number(6, 1)))
            go_on.wait(60)
            connection.send(frame(envelope(request_id, 2) + number(6, 1)))

        with FakeDaemon(behaviour) as daemon, open_client(daemon.address) as client:
            watch = client.watch(number(1, 5) + data(34, b""), timeout_ms=PATIENT_MS)
            self.assertEqual(next(watch), envelope(5, 1) + number(6, 1))
            go_on.set()
            self.assertEqual(next(watch), envelope(5, 2) + number(6, 1))
            with self.assertRaises(scope.CallError) as caught:
                next(watch)
            self.assertEqual(caught.exception.reason, "connection_lost")

    def test_silence_ends_it(self) -> None:
        with FakeDaemon(hung) as daemon, open_client(daemon.address) as client:
            with self.assertRaises(scope.CallError) as caught:
                next(client.watch(number(1, 5) + data(34, b""), timeout_ms=20))
            self.assertEqual(caught.exception.reason, "timeout")

    def test_leaves_the_client_free_and_takes_no_more_than_its_limit_ahead(self) -> None:
        sent = []

        def behaviour(connection: Connection, index: int) -> None:
            request_id = connection.request_id() or 0
            if index > 0:
                return connection.send(frame(allow(request_id)))
            for revision in range(1, 1_000):
                connection.send(frame(envelope(request_id, revision) + number(6, 1)))
                sent.append(revision)
            ended.set()

        ended = threading.Event()
        with FakeDaemon(behaviour) as daemon, open_client(daemon.address) as client:
            with client.watch(number(1, 5) + data(34, b""), timeout_ms=PATIENT_MS) as watch:
                self.assertEqual(next(watch), envelope(5, 1) + number(6, 1))
                self.assertTrue(client.check("user:1", "queue:a"))
                self.assertLessEqual(len(watch._waiting), 64)
                for revision in range(2, 1_000):
                    self.assertEqual(next(watch), envelope(5, revision) + number(6, 1))
            self.assertTrue(ended.wait(60))
            with self.assertRaises(StopIteration):
                next(watch)

    def test_is_refused_in_the_child_of_a_fork(self) -> None:
        with FakeDaemon(hung) as daemon, open_client(daemon.address) as client:
            with client.watch(number(1, 5) + data(34, b""), timeout_ms=PATIENT_MS) as watch:
                self.assertEqual(in_child(lambda: type_raised(lambda: next(watch))), "RuntimeError")


class ForksAndThreads(unittest.TestCase):
    def test_every_process_has_its_own_answers_and_counters(self) -> None:
        with FakeDaemon(answering(lambda i: allow(i, b"p%d" % i))) as daemon:
            with open_client(daemon.address) as client:
                self.assertTrue(client.check("user:1", "queue:a"))

                def ask() -> str:
                    good = all(client.check("user:1", "queue:a") for _ in range(200))
                    return f"{good} {client.counters().calls} {client.counters().reconnects}"

                reader, process = start_child(ask)
                self.assertTrue(all(client.check("user:1", "queue:a") for _ in range(200)))
                self.assertEqual(result_of(reader, process), "True 200 0")
                self.assertEqual(client.counters().calls, 201)
                self.assertEqual(client.counters().reconnects, 0)
                self.assertEqual(daemon.connection_count, 2)

    def test_a_breaker_that_is_open_is_closed_in_a_child(self) -> None:
        def behaviour(connection: Connection, index: int) -> None:
            if index > 0:
                answering(allow)(connection, index)

        with FakeDaemon(behaviour) as daemon:
            with open_client(daemon.address, breaker_failures=1, breaker_open_ms=3_600_000) as client:
                self.assertFalse(client.check("user:1", "queue:a"))
                self.assertEqual(in_child(lambda: str(bool(client.check("user:1", "queue:a")))), "True")
                answer = client.check("user:1", "queue:a")
                assert answer.error is not None
                self.assertEqual(answer.error.reason, "breaker_open")

    def test_threads_share_a_client(self) -> None:
        def ask() -> None:
            for _ in range(100):
                answers.append(bool(client.check("user:1", "queue:a")))

        answers: "list[bool]" = []
        with FakeDaemon(answering(allow)) as daemon, open_client(daemon.address) as client:
            threads = [threading.Thread(target=ask) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(answers, [True] * 400)
            self.assertLessEqual(daemon.connection_count, 4)

    def test_one_connection_makes_calls_wait_for_each_other(self) -> None:
        def ask() -> None:
            for _ in range(50):
                answers.append(bool(client.check("user:1", "queue:a")))

        answers: "list[bool]" = []
        with FakeDaemon(answering(allow)) as daemon:
            with open_client(daemon.address, connections=1, timeout_ms=600_000) as client:
                threads = [threading.Thread(target=ask) for _ in range(8)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                self.assertEqual(answers, [True] * 400)
                self.assertEqual(daemon.connection_count, 1)

    def test_close_while_another_thread_is_inside(self) -> None:
        asked, go_on = threading.Event(), threading.Event()

        def behaviour(connection: Connection, _: int) -> None:
            request_id = connection.request_id() or 0
            asked.set()
            go_on.wait(60)
            connection.send(frame(allow(request_id)))
            connection.await_end()

        with FakeDaemon(behaviour) as daemon:
            client = open_client(daemon.address)
            answers = []
            thread = threading.Thread(target=lambda: answers.append(client.check("user:1", "queue:a")))
            thread.start()
            self.assertTrue(asked.wait(60))
            client.close()
            go_on.set()
            thread.join()
            self.assertTrue(answers[0])


class FindingTheLibrary(unittest.TestCase):
    def load(self, path: str) -> str:
        program = "import scope\ntry: scope.Client('/s')\nexcept scope.LibraryError as e: print(e)"
        environment = {**os.environ, "SCOPE_LIBRARY": path}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    def test_says_what_to_do_where_there_is_none(self) -> None:
        said = self.load("/nonexistent/libscope.so.1")
        self.assertIn("/nonexistent/libscope.so.1", said)
        self.assertIn("Scripts/build-client --prefix", said)

    def test_refuses_another_library(self) -> None:
        self.assertIn("scope_version", self.load("libc.so.6"))

    def test_refuses_structs_of_another_size(self) -> None:
        class Longer(ctypes.Structure):
            _fields_ = _library.AnswerStruct._fields_ + [("more", ctypes.c_uint64)]

        path = _library._path()
        _library.Library(path)
        for name, struct in _library.STRUCTS.items():
            _library.STRUCTS[name] = Longer
            with self.assertRaises(scope.LibraryError) as caught:
                _library.Library(path)
            self.assertIn(name, str(caught.exception))
            _library.STRUCTS[name] = struct

    def test_refuses_another_major_version(self) -> None:
        _library.MAJOR_VERSION = "2"
        try:
            with self.assertRaises(scope.LibraryError):
                _library.Library(_library._path())
        finally:
            _library.MAJOR_VERSION = "1"


def start_child(body) -> tuple:  # type: ignore[no-untyped-def, type-arg]
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            os.write(writer, body().encode())
        finally:
            os._exit(0)
    os.close(writer)
    return reader, process


def result_of(reader: int, process: int) -> str:
    with os.fdopen(reader) as stream:
        said = stream.read()
    os.waitpid(process, 0)
    return said


def in_child(body) -> str:  # type: ignore[no-untyped-def]
    return result_of(*start_child(body))


def type_raised(body) -> str:  # type: ignore[no-untyped-def]
    try:
        body()
    except Exception as error:
        return type(error).__name__
    return "nothing"


if __name__ == "__main__":
    unittest.main()
