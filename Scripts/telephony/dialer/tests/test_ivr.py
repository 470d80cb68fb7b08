"""ivr.py against a daemon: what becomes of each caller, and that no transfer is decided without an answer."""

import json
import signal
import subprocess
import sys
import unittest
from typing import Any, Dict, Tuple

from support import FOLDER, DaemonCase, placed, unplaced

import ivr
import scope
from daemon import Daemon

CLEAR, VIP, UNWANTED, BOTH, OTHERS = "4310000001", "4310000002", "4310000003", "4310000004", "4310000005"
QUEUES = ivr.Queues("shop", "shop-vip")
PATIENT_MS = 20_000


class IvrCase(DaemonCase):
    def setUp(self) -> None:
        super().setUp()
        self.scoped.add("shop-vip", [int(VIP), int(BOTH)])
        self.scoped.add("shop-dnc", [int(UNWANTED)])
        self.scoped.add("all-dnc", [int(BOTH)])
        self.scoped.add("clinic-dnc", [int(OTHERS)])

    def decide(
        self, caller: str, queues: ivr.Queues = QUEUES, scenario: str = "shop", timeout_ms: int = PATIENT_MS,
        country: str = ivr.E164
    ) -> ivr.Decision:
        with scope.Client(self.scoped.address, company="c") as client:
            daemon = Daemon(client, "c", "call_scenario", scenario)
            return ivr.decide(daemon, caller, queues, "announce", timeout_ms, country)

    def run_program(self, *arguments: str, meaning: Tuple[str, ...] = ("--plus-optional",)) -> Tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, str(FOLDER / "ivr.py"), "--address", self.scoped.address, "--company", "c", "--scenario",
             "shop", "--timeout-ms", str(PATIENT_MS), *meaning, *arguments],
            capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr


class Decisions(IvrCase):
    def test_callers_go_where_their_lists_say(self) -> None:
        for caller, action, kind, queue, by in (
            (CLEAR, "transfer", "clear", "shop", ""),
            (f"+{CLEAR}", "transfer", "clear", "shop", ""),
            ("+43 1000 0001", "transfer", "clear", "shop", ""),
            (VIP, "transfer", "vip", "shop-vip", "shop-vip"),
            ("+43-10.00 (00) 02", "transfer", "vip", "shop-vip", "shop-vip"),
            (UNWANTED, "reject", "unwanted", "", "shop-dnc"),
            (BOTH, "reject", "unwanted", "", "all-dnc"),
            (OTHERS, "transfer", "clear", "shop", ""),  # unwanted in a project of others
            ("", "transfer", "withheld", "shop", ""),
            ("Anonymous", "transfer", "withheld", "shop", ""),
            ("112", "transfer", "invalid", "shop", ""),
            ("0" + VIP, "transfer", "invalid", "shop", ""),
            ("sip:alice", "transfer", "invalid", "shop", ""),
            (VIP + "\0", "transfer", "invalid", "shop", ""),
            ("٤٣١٠٠٠٠٠٠٠٢", "transfer", "invalid", "shop", ""),
            ("\udc80", "transfer", "invalid", "shop", ""),
            ("4" * 1_000, "transfer", "invalid", "shop", ""),
        ):
            with self.subTest(caller=caller):
                found = self.decide(caller)
                self.assertEqual((found.action, found.caller, found.queue, found.by_list), (action, kind, queue, by))
                self.assertEqual(found.is_vip, kind == "vip")
                self.assertFalse(found.is_unavailable)

    def test_a_number_without_a_plus_is_what_the_carrier_means_by_it(self) -> None:
        """2025550147 is one of Washington, and +20 25550147 would be one of Cairo."""
        self.scoped.add("shop-dnc", [12025550147, 442079460958])
        for caller, country, kind in (
            ("2025550147", "", "invalid"), ("2025550147", "US", "unwanted"), ("1 (202) 555-0147", "US", "unwanted"),
            ("2025550147", ivr.E164, "clear"), ("12025550147", ivr.E164, "unwanted"), ("12025550147", "", "invalid"),
            ("+12025550147", "", "unwanted"), ("+12025550147", "GB", "unwanted"),
            ("020 7946 0958", "GB", "unwanted"), ("020 7946 0958", "", "invalid"), ("112", "GB", "invalid"),
            ("020 7946 0958", ivr.E164, "invalid"), ("00442079460958", "DE", "unwanted"),
        ):
            with self.subTest(caller=caller, country=country):
                self.assertEqual(self.decide(caller, country=country).caller, kind)

    def test_an_unknown_country_decides_nothing(self) -> None:
        found = self.decide("2025550147", country="USA")
        self.assertTrue(found.is_unavailable)
        self.assertIn("unknown_country", found.why)

    def test_only_an_allowed_queue_is_transferred_to(self) -> None:
        self.assertEqual(self.decide(VIP, ivr.Queues("shop", "clinic")).queue, "shop")
        self.assertEqual(self.decide(VIP, ivr.Queues("clinic", "shop-vip")).queue, "shop-vip")
        self.assertEqual(self.decide(VIP, ivr.Queues("shop")).queue, "shop")
        for caller, queues in ((CLEAR, ivr.Queues("clinic", "shop-vip")), (VIP, ivr.Queues("nowhere", "clinic"))):
            found = self.decide(caller, queues)
            self.assertEqual((found.action, found.queue, found.is_unavailable), ("announce", "", False))
        self.assertIn("queue:clinic is not allowed: no_shared_project", found.why)
        self.assertIn("queue:nowhere is not allowed: unknown_object", found.why)

    def test_a_change_counts_for_the_next_caller(self) -> None:
        self.scoped.apply(unplaced("queue", "shop-vip", "shop"))
        self.assertEqual(self.decide(VIP).queue, "shop")
        self.scoped.apply(placed("queue", "shop-vip", "shop"))
        self.assertEqual(self.decide(VIP).queue, "shop-vip")
        self.scoped.take_off("shop-vip", [int(VIP)])
        self.assertEqual(self.decide(VIP).caller, "clear")
        self.scoped.add("shop-dnc", [int(VIP)])
        self.assertEqual(self.decide(VIP).action, "reject")

    def test_a_scenario_that_is_not_there_transfers_nobody(self) -> None:
        for caller in (CLEAR, VIP, UNWANTED, ""):
            found = self.decide(caller, scenario="nobody")
            self.assertEqual((found.action, found.queue, found.is_unavailable), ("announce", "", False))
            self.assertIn("unknown_subject", found.why)


class Unavailable(IvrCase):
    def expect_nothing_decided(self, found: ivr.Decision) -> None:
        self.assertEqual((found.action, found.queue, found.is_unavailable), ("announce", "", True))
        self.assertEqual((found.caller, found.is_vip, found.by_list), ("", False, ""))
        self.assertTrue(found.why.startswith("no answer: "))

    def test_a_hung_daemon(self) -> None:
        self.scoped.pause()
        for caller in (CLEAR, VIP, UNWANTED, "anonymous", "112"):
            found = self.decide(caller, timeout_ms=50)
            self.expect_nothing_decided(found)
            self.assertIn("timeout", found.why)
        self.scoped.signal(signal.SIGCONT)
        self.assertEqual(self.decide(VIP).queue, "shop-vip")

    def test_a_daemon_that_is_away(self) -> None:
        self.scoped.kill()
        for caller in (CLEAR, VIP, UNWANTED, ""):
            self.expect_nothing_decided(self.decide(caller))
        self.scoped.start()
        self.assertEqual(self.decide(UNWANTED).action, "reject")

    def test_a_daemon_that_goes_between_the_questions(self) -> None:
        """The caller is known to be clear; whether the queue is allowed is not."""
        with scope.Client(self.scoped.address, company="c") as client:
            daemon = Daemon(client, "c", "call_scenario", "shop")
            screen = daemon.screen

            def screen_and_die(*arguments: Any, **options: Any) -> Any:
                screening = screen(*arguments, **options)
                self.scoped.kill()
                return screening

            daemon.screen = screen_and_die  # type: ignore[method-assign]
            self.expect_nothing_decided(ivr.decide(daemon, CLEAR, QUEUES, "announce", PATIENT_MS))


class Program(IvrCase):
    def test_words_and_exit_codes(self) -> None:
        queues = ("--queue", "shop", "--vip-queue", "shop-vip")
        self.assertEqual(
            self.run_program("--caller", VIP, *queues),
            (0, "transfer to queue:shop-vip: the caller is on shop-vip\n", ""))
        self.assertEqual(
            self.run_program("--caller", UNWANTED, *queues), (1, "reject: the caller is on shop-dnc\n", ""))
        self.assertEqual(
            self.run_program("--caller", CLEAR, "--queue", "clinic", "--otherwise", "voicemail"),
            (1, "voicemail: queue:clinic is not allowed: no_shared_project\n", ""))
        self.scoped.kill()
        code, output, _ = self.run_program("--caller", CLEAR, *queues)
        self.assertEqual((code, output[:32]), (2, "announce: no answer: connect_fai"))

    def test_options_say_what_a_number_without_a_plus_is(self) -> None:
        for meaning, caller, kind in (
            ((), VIP, "invalid"), ((), f"+{VIP}", "vip"), (("--plus-optional",), VIP, "vip"),
            (("--country", "AT"), "0" + VIP[2:], "invalid"), (("--country", "AT"), f"+{VIP}", "invalid"),
        ):
            with self.subTest(meaning=meaning, caller=caller):
                out = self.run_program("--caller", caller, "--queue", "shop", "--json", meaning=meaning)[1]
                self.assertEqual(json.loads(out)["caller"], kind)

    def test_json(self) -> None:
        _, output, _ = self.run_program("--caller", VIP, "--queue", "shop", "--json")
        decision: Dict[str, Any] = json.loads(output)
        self.assertGreater(decision.pop("revision"), 0)
        self.assertEqual(decision, {
            "action": "transfer", "why": "the caller is on shop-vip", "caller": "vip", "queue": "shop",
            "is_vip": True, "by_list": "shop-vip", "is_unavailable": False})

    def test_the_number_that_was_called_tells_the_queue(self) -> None:
        routes = ("--route", "431=shop,shop-vip", "--route", "432=clinic")
        self.assertEqual(self.run_program("--caller", VIP, "--did", "431", *routes)[1].split(":")[1], "shop-vip")
        self.assertEqual(self.run_program("--caller", VIP, "--did", "432", *routes)[0], 1)
        self.assertEqual(
            self.run_program("--caller", VIP, "--did", "433", *routes), (1, "announce: no --route for 433\n", ""))

    def test_wrong_usage(self) -> None:
        for arguments in (
            [], ["--did", "1", "--queue", "q"], ["--queue", "q", "--timeout-ms", "0"], ["--did", "1", "--route", "1"],
            ["--did", "1", "--route", "1=a,b,c"], ["--queue", "q", "--otherwise", "transfer"],
        ):
            code, output, errors = self.run_program("--caller", CLEAR, *arguments)
            self.assertEqual((code, output), (64, ""), arguments)
            self.assertIn("see --help", errors)


if __name__ == "__main__":
    unittest.main()
