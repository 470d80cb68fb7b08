#!/usr/bin/python3
"""A dialer's worker: takes the numbers of its calling lists from scoped, and dials those it may.

README.md beside this file shows it at work and says what to copy.
"""

import argparse
import base64
import fcntl
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Deque, Dict, Iterable, List, Optional, Set

import scope
from daemon import Daemon, Parser, Verdict, access_parts, add_daemon, between

HOPPER_MIN, HOPPER_MAX = 50, 1_000
STARTING = "the watch has not begun"
EXIT_USAGE, EXIT_STATE, EXIT_OUTPUT = 64, 73, 74

HELP = """\
Takes the numbers of a dialer's calling lists from scoped page by page, and
dials those that are clear or VIP:

  1. finds the calling lists that the dialer sees
  2. fills a small hopper with numbers, screened against the unwanted and VIP
     lists of the dialer's projects
  3. asks again about each number when its turn comes, and about the provider;
     without an answer, or with any but "clear" and "vip", it is not dialled
  4. watches what the dialer sees: numbers of a list that it loses leave the
     hopper at once, a list that it gains is begun

While the daemon does not answer nothing is dialled, and no number is lost: the
worker says "paused", tries again, and goes on where it was.
"""

OUTPUT = """\
One JSON object a line on standard output:
  dialled  number, list, verdict, label; exit (of --dial-command)
  skipped  number, list, why; by (the unwanted list); at: hopper or dial
  gained, lost      ref of what the dialer sees, or no more; dropped: how many
           numbers left the hopper
  unwatched         why: the watch ended, and no call begins until there is one
  paused, resumed   why
  round    all lists were gone through: number of the round
  summary  the counters, at the end

Exit codes: 0 it ended as asked (--once, --limit, SIGTERM, Ctrl-C); 64 wrong
usage; 73 the state file can't be used; 74 it can't be written, or nobody reads
the output.

Example:
  dialer.py --address unix:/run/scoped/scoped.sock --company nordlicht \\
    --dialer collections-early --state /var/lib/dialer/early.json \\
    --dial-command /usr/local/bin/originate
"""


# ------------------------------------------------------------------------------------ what is kept


@dataclass
class Place:
    """How far a list is in this round."""

    cursor: bytes = b""
    """Of the page that is worked on."""
    last: str = ""
    """The last number of it that was decided; empty: none."""
    is_done: bool = False


class State:
    """Where the round is, kept in a file, so that a worker that starts again goes on there.

    Written before each call goes out: a crash in between leaves out one call, and never makes one twice. A dialer with
    a database keeps this there, with its claims.
    """

    def __init__(self, path: Path, company: str, dialer: str) -> None:
        """:raises OSError: it can't be read, or another worker has it
        :raises ValueError: it is no state of this dialer
        """
        self._path = path
        self._owner = {"version": 1, "company": company, "dialer": dialer}
        self._lock = open(f"{path}.lock", "w", encoding="ascii")
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.round = 1
        self.places: Dict[str, Place] = {}
        if path.exists():
            self._read(json.loads(path.read_text(encoding="utf-8")))

    def close(self) -> None:
        self._lock.close()

    def place(self, list_id: str) -> Place:
        return self.places.setdefault(list_id, Place())

    def begin_round(self) -> None:
        self.round += 1
        self.places = {}
        self.write()

    def _read(self, kept: Dict[str, Any]) -> None:
        if not isinstance(kept, dict) or {key: kept.get(key) for key in self._owner} != self._owner:
            raise ValueError(f"{self._path} is not the state of {self._owner['company']}, {self._owner['dialer']}")
        try:
            self.round = int(kept["round"])
            for list_id, (cursor, last, is_done) in kept["lists"].items():
                self.places[list_id] = Place(base64.b64decode(cursor), str(last), bool(is_done))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{self._path} is damaged: {error!r}") from None

    def write(self) -> None:
        lists = {
            list_id: (base64.b64encode(place.cursor).decode(), place.last, place.is_done)
            for list_id, place in self.places.items()
        }
        new = Path(f"{self._path}.new")
        with open(new, "w", encoding="utf-8") as file:
            json.dump({**self._owner, "round": self.round, "lists": lists}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, self._path)


@dataclass(frozen=True)
class Number:
    list_id: str
    digits: str
    label: str = ""
    time_zone: str = ""
    columns: Dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PageEnd:
    """Stands behind a page's numbers: once they are decided the list is at this cursor."""

    list_id: str
    next_cursor: bytes


class Hopper:
    """Numbers that were clear when they came in, and where their pages end. In order within each list."""

    def __init__(self) -> None:
        self._items: Deque[Any] = deque()
        self._fetched: Dict[str, Optional[bytes]] = {}
        self.count = 0
        """Of numbers."""

    def next_cursor(self, list_id: str, place: Place) -> Optional[bytes]:
        """Where the list's next page begins; None: it has been fetched to its end."""
        if place.is_done:
            return None
        return self._fetched.get(list_id, place.cursor)

    def add_page(self, list_id: str, numbers: Iterable[Number], next_cursor: bytes) -> None:
        added = list(numbers)
        # Pages without a number to dial leave one mark, however many they are.
        tail = self._items[-1] if self._items else None
        if not added and isinstance(tail, PageEnd) and tail.list_id == list_id:
            self._items.pop()
        self._items.extend(added)
        self._items.append(PageEnd(list_id, next_cursor))
        self._fetched[list_id] = next_cursor or None
        self.count += len(added)

    def first(self) -> Any:
        return self._items[0] if self._items else None

    def remove_first(self) -> None:
        self.count -= isinstance(self._items.popleft(), Number)

    def drop(self, list_id: str) -> int:
        """Forgets what it has of a list, which is then fetched from its place again. How many numbers went."""
        kept = deque(item for item in self._items if item.list_id != list_id)
        self._fetched.pop(list_id, None)
        before, self._items = self.count, kept
        self.count = sum(isinstance(item, Number) for item in kept)
        return before - self.count

    def clear(self) -> int:
        before, self.count = self.count, 0
        self._items.clear()
        self._fetched.clear()
        return before


class Backoff:
    """Longer and longer pauses, in milliseconds."""

    def __init__(self, most_ms: int) -> None:
        self._most_ms = most_ms
        self._next_ms = min(100, most_ms)

    def next_ms(self) -> int:
        pause_ms, self._next_ms = self._next_ms, min(2 * self._next_ms, self._most_ms)
        return pause_ms

    def reset(self) -> None:
        self._next_ms = min(100, self._most_ms)


# --------------------------------------------------------------------------------------- the worker


class NotNow(Exception):
    """Nothing may be dialled at the moment; says why."""


class Worker:
    """The main thread fills the hopper and dials; a second one follows what the dialer sees."""

    def __init__(self, options: argparse.Namespace, state: State) -> None:
        # Breaker and backoff of the client are off: the worker asks one thing at a time, and pauses by itself.
        self._client = scope.Client(
            options.address, company=options.company, timeout_ms=options.timeout_ms, breaker_failures=0,
            backoff_min_ms=0)
        self._daemon = Daemon(self._client, options.company, "dialer", options.dialer)
        self._options = options
        self._state = state
        self._counts: Counter = Counter()
        self._paused = ""
        self._backoff = Backoff(options.retry_ms)
        self._listed_version = -1
        self._round_ended_at: Optional[float] = None  # on the monotonic clock
        # What follows is used with `_changed` held.
        self._changed = threading.Condition()
        self._hopper = Hopper()
        self._seen: Set[str] = set()  # refs
        self._unseen_why = STARTING  # empty: `_seen` is up to date
        self._seen_version = 0
        self._stopping = ""
        self._failure: Optional[BaseException] = None  # of the thread that follows

    def stop(self, why: str) -> None:
        with self._changed:
            self._stopping = self._stopping or why
            self._changed.notify_all()

    def run(self) -> None:
        threading.Thread(target=self._follow, name="watch", daemon=True).start()
        while not self._stopping:
            try:
                self._await_scope()
                self._step()
                self._resume()
            except (scope.CallError, NotNow) as error:
                self._rest(str(error))
        if self._failure is not None:
            raise self._failure
        self._say("summary", why=self._stopping, round=self._state.round, **self._summary())

    def _step(self) -> None:
        """Fetches one page if there is room, and dials one number; with neither, ends the round."""
        is_low = self._hopper.count < self._options.hopper // 2
        has_fetched = is_low and self._fetch_page()
        item = self._hopper.first()
        if isinstance(item, Number):
            self._decide(item)
        elif isinstance(item, PageEnd):
            self._turn_page(item)
        elif not has_fetched:
            self._end_round()

    # ------------------------------------------------------------------------------- filling

    def _fetch_page(self) -> bool:
        """Fetches a page of the first list that has one. False: there is none."""
        # Asked each time: a list that is for calling no more leaves without a word of the watch.
        with self._changed:
            version = self._listed_version = self._seen_version
        lists = self._daemon.calling_lists()
        with self._changed:
            for list_id in {*self._state.places} - {*lists}:
                self._hopper.drop(list_id)
            room = self._options.hopper - self._hopper.count
        for list_id in lists:
            place = self._state.place(list_id)
            cursor = self._hopper.next_cursor(list_id, place)
            if cursor is not None:
                self._fetch(list_id, place, cursor, room, version)
                return True
        return False

    def _fetch(self, list_id: str, place: Place, cursor: bytes, room: int, version: int) -> None:
        try:
            rows, next_cursor = self._daemon.page(list_id, cursor, room)
        except scope.CallError as error:
            if error.reason != "bad_cursor":
                raise
            rows, next_cursor = self._daemon.page(list_id, b"", room)  # `last` says what was had
        rows = [row for row in rows if int(row.number) > int(place.last or 0)]
        screening = self._daemon.screen([row.number for row in rows], list_id) if rows else None
        if screening is not None and screening.refusal:
            raise NotNow(f"{list_id}: {screening.refusal}")
        verdicts = screening.verdicts if screening is not None else []
        with self._changed:
            if version != self._seen_version:
                return  # something was lost or gained meanwhile: what came may be of it
            self._hopper.add_page(
                list_id, [_number(list_id, row) for row, v in zip(rows, verdicts) if v.may_be_dialled], next_cursor)
        for row, verdict in zip(rows, verdicts):
            if not verdict.may_be_dialled:
                self._skip(list_id, row.number, verdict, "hopper")

    # ------------------------------------------------------------------------------- dialling

    def _decide(self, number: Number) -> None:
        self._check_provider()
        screening = self._daemon.screen([number.digits], number.list_id)
        verdict = screening.verdicts[0]
        with self._changed:
            if self._hopper.first() is not number or self._unseen_why or self._stopping:
                return  # lost while it was asked about
            if screening.refusal:
                self._hopper.drop(number.list_id)
                raise NotNow(f"{number.list_id}: {screening.refusal}")
            self._hopper.remove_first()
        self._resume()
        self._state.place(number.list_id).last = number.digits
        self._state.write()
        if verdict.may_be_dialled:
            self._dial(number, verdict)
        else:
            self._skip(number.list_id, number.digits, verdict, "dial")

    def _check_provider(self) -> None:
        if not self._options.provider:
            return
        answer = self._client.check(self._daemon.subject, f"sip_provider:{self._options.provider}")
        if not answer:
            raise NotNow(f"sip_provider:{self._options.provider}: {answer.error or answer.reason}")

    def _dial(self, number: Number, verdict: Verdict) -> None:
        decision: Dict[str, Any] = {
            "number": number.digits, "list": number.list_id, "verdict": verdict.name, "label": number.label}
        if self._options.dial_command:
            decision["exit"] = self._run_command(number)
        self._counts["dialled"] += 1
        if decision.get("exit", 0) != 0:
            self._counts["dial_failed"] += 1
        self._say("dialled", **decision)
        if self._counts["dialled"] == self._options.limit:
            self.stop("limit")

    def _run_command(self, number: Number) -> Any:
        """Without a shell; what is known of the number stands on the command's input."""
        known = {
            "number": number.digits, "list": number.list_id, "label": number.label, "time_zone": number.time_zone,
            "columns": number.columns}
        command = [*shlex.split(self._options.dial_command), number.digits, number.list_id]
        try:
            done = subprocess.run(
                command, input=json.dumps(known).encode(), stdout=sys.stderr, check=False,
                timeout=self._options.dial_timeout_ms / 1_000)
            return done.returncode
        except subprocess.TimeoutExpired:
            return "timeout"
        except OSError as error:
            return error.strerror

    def _skip(self, list_id: str, digits: str, verdict: Verdict, at: str) -> None:
        self._counts["skipped_" + verdict.name] += 1
        by = {"by": verdict.unwanted_list} if verdict.unwanted_list else {}
        self._say("skipped", number=digits, list=list_id, why=verdict.name, at=at, **by)

    # --------------------------------------------------------------------------------- rounds

    def _turn_page(self, end: PageEnd) -> None:
        with self._changed:
            if self._hopper.first() is not end:
                return
            self._hopper.remove_first()
        place = self._state.place(end.list_id)
        place.cursor, place.is_done = end.next_cursor, not end.next_cursor
        self._state.write()

    def _end_round(self) -> None:
        """Waits for the next round; a list that is gained before it begins is still of this one."""
        self._resume()
        if self._round_ended_at is None:
            self._round_ended_at = time.monotonic()
            self._say("round", round=self._state.round, **self._summary())
        if self._options.once:
            self._state.begin_round()
            return self.stop("once")
        rest = self._round_ended_at + self._options.round_pause_ms / 1_000 - time.monotonic()
        with self._changed:
            has_changed = self._changed.wait_for(
                lambda: self._stopping or self._listed_version != self._seen_version, max(0, rest))
            if not has_changed:
                self._hopper.clear()
                self._round_ended_at = None
                self._state.begin_round()

    # ----------------------------------------------------------------------- what the dialer sees

    def _follow(self) -> None:
        try:
            backoff = Backoff(self._options.retry_ms)
            while not self._stopping:
                why = self._watch(backoff)
                with self._changed:
                    if not self._unseen_why:
                        self._say("unwatched", why=why)
                    self._unseen_why = why
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: self._stopping, backoff.next_ms() / 1_000)
        except BaseException as error:  # without this thread nothing may be dialled
            self._failure = error
            self.stop("fault")

    def _watch(self, backoff: Backoff) -> str:
        """Follows one watch to its end; returns what ended it."""
        options = self._options
        try:
            with self._daemon.watch_access(options.provider, options.heartbeat_ms, 3 * options.heartbeat_ms) as watch:
                self._take_parts(watch, backoff)
            return "the watch ended"
        except scope.CallError as error:
            return str(error)

    def _take_parts(self, watch: scope.Watch, backoff: Backoff) -> None:
        first: Optional[Set[str]] = set()  # all there is, until the daemon says that it is complete
        for refs_gained, refs_lost, is_settled in access_parts(watch):
            backoff.reset()
            gained, lost = self._ours(refs_gained), self._ours(refs_lost)
            if first is None:
                self._see(gained, lost)
                continue
            first.update(gained)
            first.difference_update(lost)
            if is_settled:
                self._see_all(first)
                first = None

    def _ours(self, refs: List[str]) -> Set[str]:
        """Without other providers."""
        return {ref for ref in refs if ref.startswith("list:") or ref == f"sip_provider:{self._options.provider}"}

    def _see_all(self, refs: Set[str]) -> None:
        with self._changed:
            self._see(refs - self._seen, self._seen - refs)
            self._unseen_why = ""
            self._changed.notify_all()

    def _see(self, gained: Set[str], lost: Set[str]) -> None:
        with self._changed:
            self._seen = self._seen - lost | gained
            self._seen_version += bool(gained or lost)
            for ref in sorted(lost):
                dropped = self._drop(ref)
                self._say("lost", ref=ref, dropped=dropped)
            for ref in sorted(gained):
                self._say("gained", ref=ref)
            self._changed.notify_all()

    def _drop(self, ref: str) -> int:
        kind, _, id = ref.partition(":")
        if kind == "list":
            return self._hopper.drop(id)
        return self._hopper.clear() if id == self._options.provider else 0

    def _await_scope(self) -> None:
        """Waits until the watch tells what the dialer sees, and the provider is among it."""
        with self._changed:
            while not self._stopping and (why := self._obstacle()):
                if why is not STARTING:
                    self._pause(why)
                self._changed.wait()

    def _obstacle(self) -> str:
        if self._unseen_why:
            return self._unseen_why
        provider = f"sip_provider:{self._options.provider}"
        return f"{provider} is out of scope" if self._options.provider and provider not in self._seen else ""

    # --------------------------------------------------------------------------------- words

    def _rest(self, why: str) -> None:
        """Until it is time to try again, or something changed."""
        self._pause(why)
        with self._changed:
            version = self._seen_version
            self._changed.wait_for(
                lambda: self._stopping or version != self._seen_version, self._backoff.next_ms() / 1_000)

    def _pause(self, why: str) -> None:
        if not self._paused:
            self._counts["pauses"] += 1
            self._say("paused", why=why)
        self._paused = why

    def _resume(self) -> None:
        self._backoff.reset()
        if self._paused:
            self._paused = ""
            self._say("resumed")

    def _summary(self) -> Dict[str, int]:
        counts = {name: 0 for name in ("dialled", "dial_failed", "pauses")}
        return {**counts, **self._counts}

    def _say(self, event: str, **words: Any) -> None:
        line = json.dumps({"event": event, **words}, ensure_ascii=False)
        with self._changed:  # two threads speak
            print(line, flush=True)


def _number(list_id: str, row: Any) -> Number:
    return Number(
        list_id, row.number, row.label, row.time_zone, {column.name: column.value for column in row.columns})


# ------------------------------------------------------------------------------------ command line


def options_of(arguments: Optional[List[str]] = None) -> argparse.Namespace:
    parser = Parser(description=HELP, epilog=OUTPUT, formatter_class=argparse.RawDescriptionHelpFormatter)
    whose = parser.add_argument_group("whose numbers, and from where")
    add_daemon(whose)
    whose.add_argument("--dialer", required=True, metavar="ID", help="the dialer that calls")
    whose.add_argument("--provider", default="", metavar="ID",
            help="also ask for each call whether the dialer may use this SIP provider")
    whose.add_argument("--state", required=True, type=Path, metavar="FILE",
            help="where it keeps how far each list is; one worker at a time")
    calls = parser.add_argument_group("calls")
    calls.add_argument("--dial-command", default="", metavar="COMMAND",
            help="run for each call, without a shell, with number and list as last arguments and what is known "
            "of the number as JSON on its input; default: only the line on standard output")
    calls.add_argument("--dial-timeout-ms", type=between(1, 3_600_000), default=30_000, metavar="MS",
            help="longest a dial command may take (%(default)s)")
    calls.add_argument("--hopper", type=between(HOPPER_MIN, HOPPER_MAX), default=200, metavar="COUNT",
            help=f"most numbers held ready, {HOPPER_MIN} to {HOPPER_MAX} (%(default)s)")
    calls.add_argument("--once", action="store_true", help="end after one round of all lists")
    calls.add_argument("--limit", type=between(1, 1_000_000_000), metavar="COUNT", help="end after so many calls")
    waits = parser.add_argument_group("waits, in milliseconds")
    waits.add_argument("--timeout-ms", type=between(1, 60_000), default=500, metavar="MS",
            help="deadline of a question (%(default)s)")
    waits.add_argument("--heartbeat-ms", type=between(100, 20_000), default=1_000, metavar="MS",
            help="how often the watch hears from the daemon; three times as much silence ends it (%(default)s)")
    waits.add_argument("--retry-ms", type=between(1, 60_000), default=5_000, metavar="MS",
            help="longest pause before the next attempt; they begin at 100 and double (%(default)s)")
    waits.add_argument("--round-pause-ms", type=between(0, 86_400_000), default=60_000, metavar="MS",
            help="between rounds (%(default)s)")
    return parser.parse_args(arguments)


def end_by_signal(worker: Worker) -> None:
    ends = (signal.SIGTERM, signal.SIGINT)
    for number in ends:
        signal.signal(number, lambda number, _: worker.stop(signal.Signals(number).name))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ends)  # whoever started this may have blocked them


def main() -> int:
    options = options_of()
    try:
        state = State(options.state, options.company, options.dialer)
    except (OSError, ValueError) as error:
        print(f"dialer.py: {options.state} can't be used, or another worker has it: {error}", file=sys.stderr)
        return EXIT_STATE
    try:
        worker = Worker(options, state)
        end_by_signal(worker)
        worker.run()
        return 0
    except (scope.CallError, scope.LibraryError) as error:
        print(f"dialer.py: {error}", file=sys.stderr)
        return EXIT_USAGE
    except OSError as error:
        print(f"dialer.py: {error}; nothing is dialled any more", file=sys.stderr)
        return EXIT_OUTPUT


if __name__ == "__main__":
    sys.exit(main())
