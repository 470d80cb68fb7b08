"""Against a daemon with Scripts/sample, whose address is in SCOPED_ADDRESS. Needs the modules that protoc generates."""

import os
import subprocess
import sys
import threading
import unittest

from google.protobuf.message import Message

import scope
from scope.v1 import envelope_pb2, types_pb2

ADDRESS = os.environ["SCOPED_ADDRESS"]

LEAVES_A_WATCH = """
import atexit, os, threading
atexit.register(lambda: print([thread.name for thread in threading.enumerate() if thread.name == "scope.Watch"]))
import scope
from scope.v1 import envelope_pb2
client = scope.Client(os.environ["SCOPED_ADDRESS"], company="nordlicht", timeout_ms=20_000)
request = envelope_pb2.Request(id=client.next_id(), company="nordlicht")
request.watch_changes.heartbeat_ms = 100
watch = client.watch(request.SerializeToString(), timeout_ms=60_000)
next(watch)
"""


def open_client() -> scope.Client:
    return scope.Client(ADDRESS, company="nordlicht", timeout_ms=20_000)


def response(packed: bytes) -> Message:
    return envelope_pb2.Response.FromString(packed)


class Questions(unittest.TestCase):
    def test_allow_deny_and_the_way(self) -> None:
        with open_client() as client:
            answer = client.check("user:1001", "queue:clinic-appointments")
            self.assertTrue(answer)
            self.assertEqual((answer.reason, answer.project, answer.group), ("shared_project", "clinic", "clinic-team"))
            self.assertGreater(answer.revision, 0)
            answer = client.check("user:1001", "queue:shop-orders")
            self.assertIs(answer.verdict, scope.Verdict.DENY)
            self.assertEqual(answer.reason, "no_shared_project")

    def test_right_company_and_revision(self) -> None:
        with open_client() as client:
            self.assertTrue(client.check("user:1073", "queue:insurer-claims", right="report.agents"))
            answer = client.check("user:1001", "queue:clinic-appointments", right="report.agents")
            self.assertEqual(answer.reason, "right_missing")
            self.assertFalse(client.check("user:1001", "queue:clinic-appointments", company="solmar"))
            self.assertEqual(client.check("user:1001", "queue:a", company="nobody").reason, "unknown_company")
            answer = client.check("user:1001", "queue:clinic-appointments", min_revision=1 << 40)
            self.assertIs(answer.verdict, scope.Verdict.UNAVAILABLE)
            assert answer.error is not None
            self.assertEqual(answer.error.reason, "revision_not_reached")
            self.assertTrue(answer.error.from_daemon)

    def test_filter(self) -> None:
        with open_client() as client:
            asked = ["claim-number", "phone", "nope", "phone"]
            found = client.filter("user:1001", "contact_field", asked)
            self.assertEqual(found.visible, [False, True, False, True])
            self.assertEqual(list(found), ["phone", "phone"])
            self.assertFalse(client.filter("user:1001", "contact_field", ["nope"]))
            self.assertFalse(client.filter("user:1001", "contact_field", []))
            with self.assertRaises(scope.CallError) as caught:
                client.filter("user:1001", "car", ["x"])
            self.assertEqual(caught.exception.reason, "bad_argument")

    def test_listings(self) -> None:
        with open_client() as client:
            projects = client.list_projects("user:1071")
            self.assertEqual(len(projects), 6)
            self.assertEqual([p.id for p in projects if p.contents_visible], ["collections"])
            objects = client.list_objects("user:1001", types=["queue"], project="clinic")
            self.assertIn("queue:clinic-appointments", [o.ref for o in objects])
            self.assertEqual({o.type for o in objects}, {"queue"})
            everything = client.list_objects("user:1001")
            self.assertTrue(any(o.system for o in everything))
            self.assertGreater(len(everything), len(objects))

    def test_letters_beyond_ascii(self) -> None:
        with open_client() as client:
            names = [project.name for project in client.list_projects("user:1080", company="solmar")]
            self.assertTrue(any(not name.isascii() for name in names), names)
            self.assertEqual(client.check("user:Łódź-☎", "queue:a").reason, "unknown_subject")

    def test_counters(self) -> None:
        with open_client() as client:
            client.check("user:1001", "queue:clinic-appointments")
            client.check("user:1001", "queue:shop-orders")
            client.check("user", "queue:shop-orders")
            self.assertEqual(client.counters(), scope.Counters(3, 1, 1, 1, 0, 0, 0))


class OtherCalls(unittest.TestCase):
    def request(self, client: scope.Client, **fields: object) -> Message:
        return envelope_pb2.Request(id=client.next_id(), company="nordlicht", **fields)

    def test_a_call_of_the_contract(self) -> None:
        with open_client() as client:
            request = self.request(client)
            request.get_user.id = "1001"
            found = [response(packed) for packed in client.call(request.SerializeToString(), resendable=True)]
            self.assertEqual(found[-1].id, request.id)
            self.assertEqual(found[-1].WhichOneof("result"), "get_user")

    def test_an_error_of_the_daemon(self) -> None:
        with open_client() as client:
            request = self.request(client)
            request.get_user.id = "9999"
            with self.assertRaises(scope.CallError) as caught:
                client.call(request.SerializeToString())
            self.assertIs(caught.exception.status, scope.Status.NOT_FOUND)
            self.assertTrue(caught.exception.from_daemon)
            self.assertEqual(response(caught.exception.responses[-1]).reason, caught.exception.reason)

    def test_a_watch_hears_of_a_change(self) -> None:
        with open_client() as client:
            request = self.request(client)
            request.watch_access.subject_type = types_pb2.ENTITY_TYPE_USER
            request.watch_access.subject_id = "1079"
            request.watch_access.heartbeat_ms = 200
            with client.watch(request.SerializeToString(), timeout_ms=60_000) as watch:
                settled(watch)
                self.change(client, "add_member")
                self.assertIn("hotels-reservations", [row.id for row in settled(watch).gained])
                self.change(client, "remove_member")
                self.assertIn("hotels-reservations", [row.id for row in settled(watch).lost])

    def test_a_watch_ends_before_the_interpreter(self) -> None:
        """A response that came later would crash the process."""
        done = subprocess.run([sys.executable, "-c", LEAVES_A_WATCH], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, "[]\n"), done.stderr)

    def change(self, client: scope.Client, kind: str) -> None:
        request = self.request(client)
        member = getattr(request.apply.changes.add(), kind)
        member.project = "hotels"
        member.member_type = types_pb2.ENTITY_TYPE_USER
        member.member_id = "1079"
        self.assertEqual(response(client.call(request.SerializeToString())[-1]).code, 0)


def settled(watch: scope.Watch) -> Message:
    """What was gained and lost until the daemon says that this is all, heartbeats left out."""
    whole = envelope_pb2.Response().watch_access
    for packed in watch:
        part = response(packed).watch_access
        whole.gained.extend(part.gained)
        whole.lost.extend(part.lost)
        if part.settled and (whole.gained or whole.lost):
            return whole
    raise AssertionError("the watch ended")


class ManyAtOnce(unittest.TestCase):
    def test_a_client_for_each_thread(self) -> None:
        wrong = []

        def ask() -> None:
            with open_client() as client:
                for _ in range(100):
                    if not client.check("user:1001", "queue:clinic-appointments"):
                        wrong.append("allow")
                    if client.check("user:1001", "queue:shop-orders").verdict is not scope.Verdict.DENY:
                        wrong.append("deny")

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])

    def test_every_answer_of_the_sample(self) -> None:
        rows = 0
        with open_client() as client, open(os.environ["SAMPLE_CHECKS"], encoding="utf-8") as table:
            next(table)
            for line in table:
                company, subject, object_, verdict, reason, project, group = line.rstrip("\n").split("\t")
                answer = client.check(subject, object_, company=company)
                found = (answer.verdict.name.lower(), answer.reason, answer.project, answer.group)
                self.assertEqual(found, (verdict, reason, project, group), line)
                rows += 1
        self.assertGreater(rows, 200)


if __name__ == "__main__":
    unittest.main()
