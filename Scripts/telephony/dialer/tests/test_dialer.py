"""dialer.py against a daemon: which numbers are dialled, and what happens when lists, provider or daemon go away."""

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import unittest
from typing import Any, Callable, List, Tuple
from unittest import mock

from support import FOLDER, PATIENCE_SECONDS, Proxy, Worker, WorkerCase, numbers, placed, unplaced

import daemon
import dialer
import scope
from scope.v1 import envelope_pb2

A, B, C = 4_310_000_000, 4_320_000_000, 4_330_000_000


class Decisions(WorkerCase):
    def test_every_number_is_dialled_or_skipped_as_expected(self) -> None:
        for list_id, first, count in (("shop-a", A, 230), ("shop-b", B, 70), ("clinic-a", C, 20)):
            self.scoped.add(list_id, range(first, first + count))
        self.scoped.add("shop-dnc", [n for n in range(A, A + 230) if n % 3 == 0])
        self.scoped.add("all-dnc", [n for n in [*range(A, A + 230), *range(B, B + 70)] if n % 7 == 0])
        self.scoped.add("shop-vip", range(A + 10, A + 30))
        self.scoped.add("clinic-dnc", range(B, B + 70))  # of the other project: means nothing here
        worker = self.begin("--once", "--hopper", "50", is_held=False)
        self.finish(worker)
        shop_dnc = {n for n in range(A, A + 230) if n % 3 == 0}
        all_dnc = {n for n in [*range(A, A + 230), *range(B, B + 70)] if n % 7 == 0}
        asked = [*range(A, A + 230), *range(B, B + 70)]
        unwanted = shop_dnc | all_dnc
        self.assertEqual(worker.dialled(), [n for n in asked if n not in unwanted])
        self.assertEqual(worker.skipped(), {n: ("unwanted", "hopper") for n in asked if n in unwanted})
        for line in worker.lines:
            if line["event"] == "skipped":
                self.assertEqual(line["by"], "all-dnc" if int(line["number"]) in all_dnc else "shop-dnc")
            if line["event"] == "dialled":
                is_vip = A + 10 <= int(line["number"]) < A + 30
                self.assertEqual(line["verdict"], "vip" if is_vip else "clear")
                self.assertEqual(line["label"], f"n{line['number']}")
        summary = worker.lines[-1]
        self.assertEqual(
            (summary["dialled"], summary["skipped_unwanted"], summary["dial_failed"]),
            (len(asked) - len(unwanted), len(unwanted), 0))

    def test_a_number_that_became_unwanted_in_the_hopper_is_not_dialled(self) -> None:
        self.scoped.add("shop-a", range(A, A + 40))
        worker = self.begin("--once")
        self.assertEqual(worker.call_through(3)[-1], A + 2)
        self.scoped.add("shop-dnc", [A + 20])
        self.scoped.take_off("shop-a", [A + 30])
        self.finish(worker)
        self.assertEqual(worker.dialled(), [n for n in range(A, A + 40) if n not in (A + 20, A + 30)])
        self.assertEqual(
            worker.skipped(), {A + 20: ("unwanted", "dial"), A + 30: ("out_of_scope", "dial")})

    def test_what_is_known_of_a_number_is_on_the_commands_input(self) -> None:
        self.scoped.add("shop-a", [A])
        out = self.scoped.folder / "known"
        worker = self.begin("--once", "--dial-command", f"/bin/sh -c 'cat > {out}; echo $0 $1'", is_held=False)
        worker.await_line("dialled", number=str(A), exit=0)
        self.assertEqual(worker.end(), (0, f"{A} shop-a\n"))
        self.assertEqual(json.loads(out.read_text()), {
            "number": str(A), "list": "shop-a", "label": f"n{A}", "time_zone": "", "columns": {}})

    def test_rounds_follow_each_other(self) -> None:
        self.scoped.add("shop-a", range(A, A + 3))
        worker = self.begin("--limit", "7", "--round-pause-ms", "0", is_held=False)
        self.finish(worker)
        self.assertEqual(worker.dialled(), [A, A + 1, A + 2, A, A + 1, A + 2, A])
        self.assertEqual([line["round"] for line in worker.lines if line["event"] == "round"], [1, 2])

    def test_a_list_for_calling_no_more_is_left(self) -> None:
        self.scoped.add("shop-a", range(A, A + 200))
        worker = self.begin("--once", "--hopper", "50")
        worker.call_through(2)
        self.scoped.apply(*numbers("shop-a", "script", "shop"))
        self.finish(worker)
        self.assertLess(len(worker.dialled()), 50, "no further page was taken")


class Scope(WorkerCase):
    def test_a_list_taken_away_leaves_the_hopper_at_once_and_comes_back_where_it_was(self) -> None:
        self.scoped.add("shop-a", range(A, A + 60))
        self.scoped.add("shop-b", range(B, B + 20))
        worker = self.begin("--round-pause-ms", "3600000")
        begun = worker.call_through(5)
        self.scoped.apply(unplaced("list", "shop-a", "shop"))  # acknowledged
        place = worker.await_line("lost", ref="list:shop-a")  # while the call is still held: before the next
        self.assertEqual(worker.lines[place]["dropped"], 55)
        worker.let_go(2_000)
        end = worker.await_line("round")
        self.assertEqual(worker.dialled("shop-a"), begun)
        self.assertEqual(worker.dialled("shop-b"), [*range(B, B + 20)])
        self.scoped.apply(placed("list", "shop-a", "shop"))
        worker.await_line("gained", since=place, ref="list:shop-a")
        worker.await_line("dialled", since=end, number=str(A + 59))
        worker.terminate()
        self.assertEqual(worker.end(), (0, ""))
        self.assertEqual(worker.dialled(), [*begun, *range(B, B + 20), *range(A + 5, A + 60)])

    def test_without_a_word_of_the_watch_the_check_keeps_a_list_out(self) -> None:
        """The watch is silent but not yet given up: only the question at dial time knows."""
        self.scoped.add("shop-a", range(A, A + 60))
        proxy = Proxy(str(self.scoped.folder / "proxy"), self.scoped.socket)
        self.addCleanup(proxy.close)
        worker = self.begin("--once", "--hopper", "50", "--heartbeat-ms", "20000", address=proxy.address)
        begun = worker.call_through(5)
        proxy.silence_watches(True)
        self.scoped.apply(unplaced("list", "shop-a", "shop"))
        self.finish(worker)
        self.assertEqual(worker.dialled(), begun)
        self.assertEqual([line["ref"] for line in worker.lines if line["event"] == "lost"], [])
        self.assertEqual(worker.skipped(), {}, "they wait for the list to come back")

    def test_a_list_that_is_gained_is_begun(self) -> None:
        self.scoped.add("shop-b", range(B, B + 5))
        worker = self.begin("--round-pause-ms", "3600000", is_held=False)
        end = worker.await_line("round")
        self.scoped.add("clinic-a", range(C, C + 5))
        self.scoped.apply(placed("list", "clinic-a", "shop"))
        worker.await_line("dialled", since=end, number=str(C + 4))
        worker.terminate()
        self.assertEqual(worker.end()[0], 0)
        self.assertEqual(worker.dialled(since=end), [*range(C, C + 5)])

    def test_without_its_provider_nothing_is_dialled(self) -> None:
        self.scoped.add("shop-a", range(A, A + 30))
        worker = self.begin("--once", "--provider", "shop")
        begun = worker.call_through(4)
        self.scoped.apply(unplaced("sip_provider", "shop", "shop"))
        place = worker.await_line("lost", ref="sip_provider:shop")
        self.assertEqual(worker.lines[place]["dropped"], 26)
        worker.let_go(2_000)
        paused = worker.await_line("paused", since=place)
        self.assertEqual(worker.lines[paused]["why"], "sip_provider:shop is out of scope")
        self.scoped.apply(placed("sip_provider", "shop", "shop"))
        resumed = worker.await_line("resumed", since=paused)
        self.assertEqual(worker.dialled(), begun)
        self.assertEqual([line for line in worker.lines[paused:resumed] if line["event"] == "dialled"], [])
        self.finish(worker)
        self.assertEqual(worker.dialled(), [*range(A, A + 30)])

    def test_the_check_keeps_a_lost_provider_out(self) -> None:
        self.scoped.add("shop-a", range(A, A + 30))
        proxy = Proxy(str(self.scoped.folder / "proxy"), self.scoped.socket)
        self.addCleanup(proxy.close)
        worker = self.begin("--once", "--provider", "shop", "--heartbeat-ms", "20000", address=proxy.address)
        begun = worker.call_through(4)
        proxy.silence_watches(True)
        self.scoped.apply(unplaced("sip_provider", "shop", "shop"))
        worker.let_go(2_000)
        worker.await_line("paused", why="sip_provider:shop: no_shared_project")
        self.assertEqual(worker.dialled(), begun)
        self.scoped.apply(placed("sip_provider", "shop", "shop"))
        self.finish(worker)
        self.assertEqual(worker.dialled(), [*range(A, A + 30)])


class BetweenAnswerAndCall(WorkerCase):
    """What is heard while a question is under way counts before anything follows from its answer."""

    def setUp(self) -> None:
        super().setUp()
        self.scoped.add("shop-a", [A])
        options = dialer.options_of(
            ["--address", self.scoped.address, "--company", "c", "--dialer", "shop", "--timeout-ms", "20000",
             "--state", str(self.scoped.folder / "state")])
        state = dialer.State(options.state, "c", "shop")
        self.addCleanup(state.close)
        self.worker = dialer.Worker(options, state)
        self.worker._unseen_why = ""

    def decide(self, meanwhile: Callable[[], None]) -> Tuple[int, int]:
        """How many were dialled, and how many are in the hopper."""
        number = dialer.Number("shop-a", str(A))
        self.worker._hopper.add_page("shop-a", [number], b"")
        self.answer("screen", meanwhile)
        with contextlib.redirect_stdout(io.StringIO()):
            self.worker._decide(number)
        return self.worker._counts["dialled"], self.worker._hopper.count

    def answer(self, call: str, meanwhile: Callable[[], None]) -> None:
        ask = getattr(self.worker._daemon, call)

        def ask_meanwhile(*asked: Any) -> Any:
            answer = ask(*asked)
            meanwhile()
            return answer

        setattr(self.worker._daemon, call, ask_meanwhile)

    def lose(self) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            self.worker._see(set(), {"list:shop-a"})

    def test_nothing(self) -> None:
        self.assertEqual(self.decide(lambda: None), (1, 0))

    def test_the_list_is_lost(self) -> None:
        self.assertEqual(self.decide(self.lose), (0, 0))

    def test_the_watch_ends(self) -> None:
        self.assertEqual(self.decide(lambda: setattr(self.worker, "_unseen_why", "gone")), (0, 1))

    def test_it_is_to_end(self) -> None:
        self.assertEqual(self.decide(lambda: self.worker.stop("SIGTERM")), (0, 1))

    def test_a_page_of_a_list_that_is_lost_does_not_come_in(self) -> None:
        self.assertTrue(self.worker._fetch_page())
        self.assertEqual(self.worker._hopper.drop("shop-a"), 1)
        self.answer("screen", self.lose)
        self.assertTrue(self.worker._fetch_page())
        self.assertEqual(self.worker._hopper.count, 0)

    def test_answers_that_are_not_to_the_question_are_none(self) -> None:
        for call in ("screen_numbers", "list_numbers"):
            response = envelope_pb2.Response(id=1)
            getattr(response, call).SetInParent()
            client = mock.Mock(next_id=lambda: 1, call=lambda *_, **__: [response.SerializeToString()])
            with self.assertRaises(scope.CallError) as caught:
                daemon.Daemon(client, "c", "dialer", "shop").screen([str(A)])
            self.assertEqual(caught.exception.reason, "bad_answer")

    def test_a_fault_of_the_thread_that_follows_ends_the_worker(self) -> None:
        self.worker._unseen_why = dialer.STARTING
        self.worker._daemon.watch_access = mock.Mock(side_effect=RuntimeError("fault"))  # type: ignore[method-assign]
        raised: List[str] = []

        def run() -> None:
            try:
                self.worker.run()
            except RuntimeError as error:
                raised.append(str(error))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(PATIENCE_SECONDS)
        self.assertEqual((raised, self.worker._counts["dialled"]), (["fault"], 0))

    def test_pages_with_nothing_to_dial_leave_one_mark(self) -> None:
        hopper = dialer.Hopper()
        for page in range(100):
            hopper.add_page("a", [], bytes([page + 1]))
        self.assertEqual((len(hopper._items), hopper.first()), (1, dialer.PageEnd("a", b"\x64")))


class Outages(WorkerCase):
    def setUp(self) -> None:
        super().setUp()
        self.scoped.add("shop-a", range(A, A + 120))

    def expect_none_between(self, worker: Worker, paused: int, resumed: int) -> None:
        self.assertEqual([at for at in worker.lines[paused:resumed] if at["event"] == "dialled"], [])

    def test_a_daemon_killed_and_restarted(self) -> None:
        worker = self.begin("--once", "--hopper", "50")
        begun = worker.call_through(10)
        self.scoped.kill()
        worker.let_go(2_000)
        paused = worker.await_line("paused")
        self.await_attempts(6)
        self.assertEqual(worker.dialled(), begun)
        self.scoped.start()
        resumed = worker.await_line("resumed", since=paused)
        self.finish(worker)
        self.expect_none_between(worker, paused, resumed)
        self.assertEqual(worker.dialled(), [*range(A, A + 120)], "none twice, none left out")

    def await_attempts(self, count: int) -> None:
        """The worker tries again: seen at a socket in the daemon's place, which answers nothing."""
        os.unlink(self.scoped.socket)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.scoped.socket)
            listener.listen()
            listener.settimeout(PATIENCE_SECONDS)
            for _ in range(count):
                listener.accept()[0].close()
        os.unlink(self.scoped.socket)

    def test_a_hung_daemon(self) -> None:
        worker = self.begin("--once", "--hopper", "50", "--timeout-ms", "3000")
        begun = worker.call_through(10)
        held = len(worker.lines)
        self.scoped.pause()
        worker.let_go(2_000)
        paused = worker.await_line("paused", since=held)
        self.assertIn("timeout", worker.lines[paused]["why"])
        self.assertEqual(worker.dialled(), begun)
        self.scoped.signal(signal.SIGCONT)
        resumed = worker.await_line("resumed", since=paused)
        self.finish(worker)
        self.expect_none_between(worker, paused, resumed)
        self.assertEqual(worker.dialled(), [*range(A, A + 120)])

    def test_a_watch_that_falls_silent_while_questions_are_answered(self) -> None:
        proxy = Proxy(str(self.scoped.folder / "proxy"), self.scoped.socket)
        self.addCleanup(proxy.close)
        worker = self.begin("--once", "--hopper", "50", "--heartbeat-ms", "300", address=proxy.address)
        begun = worker.call_through(10)
        held = len(worker.lines)
        proxy.silence_watches(True)
        worker.await_line("unwatched", since=held)
        self.scoped.apply(unplaced("list", "shop-b", "shop"))  # with no watch to tell
        worker.let_go(2_000)
        paused = worker.await_line("paused", since=held)
        self.assertIn("timeout", worker.lines[paused]["why"])
        self.assertEqual(worker.dialled(), begun)
        proxy.silence_watches(False)
        worker.await_line("lost", ref="list:shop-b")
        resumed = worker.await_line("resumed", since=paused)
        self.finish(worker)
        self.expect_none_between(worker, paused, resumed)
        self.assertEqual(worker.dialled(), [*range(A, A + 120)])


class Ends(WorkerCase):
    def test_a_worker_that_starts_again_goes_on(self) -> None:
        self.scoped.add("shop-a", range(A, A + 90))
        self.scoped.add("shop-b", range(B, B + 10))
        had: List[int] = []
        # Blocked as they are where a program is started by a thread that takes no signals.
        self.addCleanup(signal.pthread_sigmask, signal.SIG_SETMASK, signal.pthread_sigmask(
            signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT]))
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            worker = self.begin("--hopper", "50", "--round-pause-ms", "3600000")
            worker.call_through(20)
            worker.process.send_signal(number)
            worker.let_go()
            self.assertEqual(worker.end(), (0, ""))
            summary = worker.lines[-1]
            self.assertEqual((summary["why"], summary["dialled"]), (signal.Signals(number).name, 20))
            had += worker.dialled()
        cursor, last, _ = json.loads((self.scoped.folder / "state").read_text())["lists"]["shop-a"]
        self.assertTrue(cursor and last == str(had[-1]), "it does not read the list from its beginning")
        last = self.begin("--once", is_held=False)
        self.finish(last)
        self.assertEqual(had + last.dialled(), [*range(A, A + 90), *range(B, B + 10)])

    def test_a_killed_worker_calls_nobody_twice(self) -> None:
        self.scoped.add("shop-a", range(A, A + 30))
        worker = self.begin()
        had = worker.call_through(10)
        worker.close()
        last = self.begin("--once", is_held=False)
        self.finish(last)
        self.assertEqual(had + last.dialled(), [*range(A, A + 30)])

    def test_a_state_is_of_one_worker_and_one_dialer(self) -> None:
        self.scoped.add("shop-a", [A])
        first = self.begin()
        first.next_call()
        code, errors = self.begin(is_held=False).end()
        self.assertEqual(code, 73)
        self.assertIn("another worker has it", errors)
        first.let_go()
        first.terminate()
        self.assertEqual(first.end()[0], 0)
        code, errors = self.begin("--dialer", "clinic", is_held=False).end()
        self.assertEqual(code, 73)
        self.assertIn("not the state of", errors)
        (self.scoped.folder / "state").write_text("{")
        self.assertEqual(self.begin(is_held=False).end()[0], 73)

    def test_it_does_not_dial_on_when_nobody_reads_what_it_says(self) -> None:
        self.scoped.add("shop-a", range(A, A + 50))
        worker = self.begin()
        worker.next_call()
        worker.stop_reading()
        worker.let_go(2_000)
        code, errors = worker.end()
        self.assertEqual(
            (code, errors), (74, "dialer.py: [Errno 32] Broken pipe; nothing is dialled any more\n"))

    def test_a_dialer_that_is_not_there_dials_nothing(self) -> None:
        self.scoped.add("shop-a", [A])
        worker = self.begin("--once", "--dialer", "nobody", is_held=False)
        self.finish(worker)
        self.assertEqual(worker.dialled(), [])

    def test_wrong_usage(self) -> None:
        needed = ["--socket", "s", "--company", "c", "--dialer", "d", "--state", "/nonexistent/state"]
        for arguments in (
            [*needed, "--hopper", "49"], [*needed, "--hopper", "1001"], [*needed, "--limit", "x"],
            [*needed, "--address", "unix:s"], ["--socket", "s", "--dialer", "d"],
        ):
            done = subprocess.run(
                [sys.executable, str(FOLDER / "dialer.py"), *arguments], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 64, arguments)
            self.assertIn("see --help", done.stderr)


if __name__ == "__main__":
    unittest.main()
