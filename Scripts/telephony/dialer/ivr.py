#!/usr/bin/python3
"""An IVR scenario's decision: what becomes of a caller.

`decide` is for programs that serve many calls with one client; the command line asks once.
"""

import argparse
import json
import sys
import time
from typing import Dict, List, NamedTuple, Optional, Tuple

import scope
from daemon import Daemon, Parser, Verdict, add_daemon, between

EXIT_TRANSFER, EXIT_NO_TRANSFER, EXIT_UNAVAILABLE, EXIT_USAGE = 0, 1, 2, 64

HELP = """\
Decides what an IVR scenario does with a caller, by what scoped says:

  unwanted   the caller is on an unwanted list of the scenario's projects: reject
  vip        on a VIP list: transfer to the VIP queue
  otherwise  transfer to the queue

A transfer is decided only if the scenario may use that queue. If it may not use
the VIP queue, the caller goes to the ordinary one; if not that either, or if
there is no answer, the scenario does what --otherwise says. A caller who shows
no number, or one that is invalid, can be on no list and is treated as others.

A number without a plus may be one of this country or of another: it is invalid,
unless --country or --plus-optional says how your carrier writes numbers.
"""

OUTPUT = """\
Exit codes: 0 transfer; 1 no transfer: rejected, or not allowed; 2 unavailable:
no answer was had, so no transfer; 64 wrong usage.

Example:
  ivr.py --address unix:/run/scoped/scoped.sock --company nordlicht \\
    --scenario shop-main --caller +4930123456 --queue shop-orders --vip-queue shop-vip
"""

WITHHELD = {"", "anonymous", "private", "restricted", "unavailable", "unknown", "withheld"}
"""What carriers and telephone systems write where the caller shows no number."""


class Queues(NamedTuple):
    """Where callers of a number go."""

    ordinary: str
    vip: str = ""
    """Empty: as `ordinary`."""


class Decision(NamedTuple):
    action: str
    """"transfer", "reject", or what the scenario does otherwise."""
    why: str
    """For people."""
    caller: str = ""
    """"clear", "vip", "unwanted", "invalid" or "withheld"; empty: not known."""
    queue: str = ""
    """With "transfer" alone."""
    is_vip: bool = False
    by_list: str = ""
    """The unwanted or VIP list that decided."""
    is_unavailable: bool = False
    """There was no answer: nothing is known about the caller or the queue."""
    revision: int = 0


class Deadline:
    """One for all questions of a decision."""

    def __init__(self, timeout_ms: int) -> None:
        self._end = time.monotonic() + timeout_ms / 1_000

    def rest_ms(self) -> int:
        return max(1, int((self._end - time.monotonic()) * 1_000))


E164 = "E164"
"""Numbers without a plus have their country's code."""


def decide(
    daemon: Daemon, caller: str, queues: Queues, otherwise: str, timeout_ms: int, country: str = ""
) -> Decision:
    """What becomes of the caller. Never raises for what goes wrong on the way.

    :param daemon: asks for the scenario
    :param caller: as the telephone system has it
    :param otherwise: the action where no transfer is allowed or there is no answer
    :param timeout_ms: for all questions together
    :param country: how a number without a plus is meant: as it is dialled in "US", or `E164`; "": it is invalid
    """
    deadline = Deadline(timeout_ms)
    try:
        verdict, revision = _screen(daemon, caller, country, deadline)
        if verdict.name == "unwanted":
            why = f"the caller is on {verdict.unwanted_list}"
            return Decision("reject", why, verdict.name, by_list=verdict.unwanted_list, revision=revision)
        return _transfer(daemon, verdict, queues, otherwise, deadline)
    except scope.CallError as error:
        return Decision(otherwise, f"no answer: {error}", is_unavailable=True)
    except NotAllowed as error:
        return Decision(otherwise, str(error))


class NotAllowed(Exception):
    """The daemon said so."""


def _screen(daemon: Daemon, caller: str, country: str, deadline: Deadline) -> Tuple[Verdict, int]:
    """What the caller is. One who shows no number is not asked about."""
    if caller.strip().lower() in WITHHELD:
        return Verdict("withheld", "", ""), 0
    number = _number(caller, country)
    screening = daemon.screen(
        [number], timeout_ms=deadline.rest_ms(), country="" if country == E164 else country)
    if screening.refusal:
        raise NotAllowed(f"{daemon.subject} may not ask: {screening.refusal}")
    verdict = screening.verdicts[0]
    if verdict.name not in ("clear", "vip", "unwanted", "invalid"):
        raise NotAllowed(f"the number's verdict is {verdict.name}")
    return verdict, screening.revision


def _number(caller: str, country: str) -> str:
    """As the daemon is asked about it. What could not be asked about, or might be another country's, is invalid."""
    number = caller.strip()
    if country in ("", E164):  # with a country, the daemon reads what people write between digits
        number = number.translate({ord(mark): None for mark in " -.()/"})
    is_known = country != "" or number.startswith("+")
    return number if is_known and number.isascii() and number.isprintable() and len(number) <= 128 else "-"


def _transfer(
    daemon: Daemon, verdict: Verdict, queues: Queues, otherwise: str, deadline: Deadline
) -> Decision:
    """To the first queue, the VIP one first for a VIP, that the scenario may use."""
    is_vip = verdict.name == "vip"
    refused: List[str] = []
    for queue in ([queues.vip] if is_vip and queues.vip else []) + [queues.ordinary]:
        answer = daemon.client.check(daemon.subject, f"queue:{queue}", timeout_ms=deadline.rest_ms())
        if answer.error is not None:
            raise scope.CallError(answer.error)
        if answer:
            why = f"the caller is on {verdict.vip_list}" if is_vip else f"the caller is {verdict.name}"
            return Decision(
                "transfer", "; ".join([why] + refused), verdict.name, queue, is_vip, verdict.vip_list,
                revision=answer.revision)
        refused.append(f"queue:{queue} is not allowed: {answer.reason}")
    return Decision(otherwise, "; ".join(refused), verdict.name, by_list=verdict.vip_list)


# ------------------------------------------------------------------------------------ command line


def route(text: str) -> Tuple[str, Queues]:
    """DID=QUEUE[,VIPQUEUE]"""
    did, _, names = text.partition("=")
    queues = names.split(",")
    if not did or not 1 <= len(queues) <= 2 or not all(queues):
        raise argparse.ArgumentTypeError(f"{text!r} is not DID=QUEUE or DID=QUEUE,VIPQUEUE")
    return did, Queues(*queues)


def parser() -> Parser:
    parser = Parser(description=HELP, epilog=OUTPUT, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_daemon(parser)
    parser.add_argument("--scenario", required=True, metavar="ID", help="the call scenario that asks")
    parser.add_argument(
        "--caller", required=True, metavar="NUMBER", help='as the telephone system has it; "" or "anonymous": withheld')
    meaning = parser.add_mutually_exclusive_group()
    meaning.add_argument(
        "--country", default="", metavar="CC", help="numbers without a plus are of this country, such as US")
    meaning.add_argument(
        "--plus-optional", dest="country", action="store_const", const=E164,
        help="numbers without a plus have their country's code")
    parser.add_argument("--queue", metavar="ID", help="where callers go")
    parser.add_argument("--vip-queue", default="", metavar="ID", help="where VIP callers go; default: as the others")
    parser.add_argument("--did", metavar="NUMBER", help="the number that was called, in place of --queue")
    parser.add_argument(
        "--route", action="append", default=[], type=route, metavar="DID=QUEUE[,VIPQUEUE]",
        help="where callers of a DID go; may be given several times")
    parser.add_argument(
        "--otherwise", choices=("announce", "voicemail", "hangup"), default="announce",
        help="what to do where no transfer is allowed, or there is no answer (%(default)s)")
    parser.add_argument(
        "--timeout-ms", type=between(1, 60_000), default=100, metavar="MS",
        help="for all questions together (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the decision as one JSON object")
    return parser


def queues_of(options: argparse.Namespace) -> Optional[Queues]:
    if options.queue:
        return Queues(options.queue, options.vip_queue)
    routes: Dict[str, Queues] = dict(options.route)
    return routes.get(options.did)


def printed(decision: Decision, as_json: bool) -> str:
    if as_json:
        return json.dumps(decision._asdict(), ensure_ascii=False)
    to = f" to queue:{decision.queue}" if decision.queue else ""
    return f"{decision.action}{to}: {decision.why}"


def exit_code(decision: Decision) -> int:
    if decision.is_unavailable:
        return EXIT_UNAVAILABLE
    return EXIT_TRANSFER if decision.action == "transfer" else EXIT_NO_TRANSFER


def main(arguments: Optional[List[str]] = None) -> int:
    parsed = parser()
    options = parsed.parse_args(arguments)
    if bool(options.queue) == bool(options.did):
        parsed.error("give either --queue or --did")
    queues = queues_of(options)
    if queues is None:
        decision = Decision(options.otherwise, f"no --route for {options.did}")
    else:
        try:
            client = scope.Client(options.address, company=options.company)
        except (scope.CallError, scope.LibraryError) as error:
            parsed.error(str(error))
        daemon = Daemon(client, options.company, "call_scenario", options.scenario)
        decision = decide(daemon, options.caller, queues, options.otherwise, options.timeout_ms, options.country)
    print(printed(decision, options.json))
    return exit_code(decision)


if __name__ == "__main__":
    sys.exit(main())
