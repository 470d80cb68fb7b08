"""The calls about numbers, for the programs beside this file: over the package `scope`, in the contract's messages."""

import argparse
import os
import sys
from typing import Any, Callable, Iterator, List, NamedTuple, NoReturn, Optional, Sequence, Tuple

import scope
from scope.v1 import envelope_pb2, numbers_pb2, types_pb2

CANDIDATES_LIMIT = 1_000
"""Most numbers in one screening."""

PURPOSE_CALLING = types_pb2.LIST_PURPOSE_CALLING
_SUBJECTS = {"dialer": types_pb2.ENTITY_TYPE_DIALER, "call_scenario": types_pb2.ENTITY_TYPE_CALL_SCENARIO}


class Verdict(NamedTuple):
    """What a number is to its asker."""

    name: str
    """"clear", "vip", "unwanted", "out_of_scope" or "invalid"; "unspecified" for what this program does not know."""
    unwanted_list: str
    vip_list: str

    @property
    def may_be_dialled(self) -> bool:
        return self.name in ("clear", "vip")


class Screening(NamedTuple):
    """The answers to some numbers."""

    verdicts: List[Verdict]
    """One for each number, in the order asked."""
    refusal: str
    """Why all are out of scope: "unknown_subject", "no_shared_project", …; empty: the subject may ask."""
    revision: int


class Daemon:
    """Asks for one dialer or scenario. Every call has the client's deadline, or its own; all raise `scope.CallError`
    where there is no whole answer."""

    def __init__(self, client: scope.Client, company: str, subject_type: str, subject_id: str) -> None:
        self.client = client
        self.subject = f"{subject_type}:{subject_id}"
        self._company = company
        self._type = _SUBJECTS[subject_type]
        self._id = subject_id

    def calling_lists(self) -> List[str]:
        """Ids of the lists that the subject may call from, in byte order."""
        request, call = self._request("list_number_lists")
        call.purposes.append(PURPOSE_CALLING)
        return [row.id for part in self._ask(request) for row in part.list_number_lists.lists]

    def page(
        self, list_id: str, cursor: bytes, limit: int
    ) -> Tuple[Sequence[Any], bytes]:
        """Numbers of a list in numeric order, and the cursor of the next page; empty: that was the end."""
        request, call = self._request("list_numbers")
        call.list, call.cursor, call.limit = list_id, cursor, limit
        page = self._ask(request)[-1].list_numbers
        return page.numbers, page.next_cursor

    def screen(
        self, numbers: Sequence[str], calling_list: str = "", timeout_ms: Optional[int] = None, country: str = ""
    ) -> Screening:
        """At most `CANDIDATES_LIMIT` numbers against the lists that the subject sees.

        :param country: how numbers without a plus are meant: as they are dialled in "US"; "": as E.164
        """
        request, call = self._request("screen_numbers")
        call.numbers.extend(numbers)
        call.calling_list, call.country = calling_list, country
        response = self._ask(request, timeout_ms)[-1]
        screened = response.screen_numbers
        if len(screened.answers) != len(numbers):
            raise scope.CallError(scope.Failure(scope.Status.INTERNAL, "bad_answer", "not one answer for each number"))
        verdicts = [Verdict(_verdict(a.verdict), a.unwanted_list, a.vip_list) for a in screened.answers]
        refusal = _name(types_pb2.Reason, "REASON_", screened.reason) if screened.reason else ""
        return Screening(verdicts, refusal, response.revision)

    def watch_access(self, provider: str, heartbeat_ms: int, silence_ms: int) -> scope.Watch:
        """What the subject gains and loses of lists, and of providers if one is named."""
        request, call = self._request("watch_access")
        call.object_types.append(types_pb2.ENTITY_TYPE_LIST)
        if provider:
            call.object_types.append(types_pb2.ENTITY_TYPE_SIP_PROVIDER)
        call.heartbeat_ms = heartbeat_ms
        return self.client.watch(request.SerializeToString(), timeout_ms=silence_ms)

    def _request(self, name: str) -> Tuple[Any, Any]:
        """A request, and its call about the subject."""
        request = envelope_pb2.Request(id=self.client.next_id(), company=self._company)
        call = getattr(request, name)
        call.subject_type, call.subject_id = self._type, self._id
        return request, call

    def _ask(self, request: Any, timeout_ms: Optional[int] = None) -> List[Any]:
        """All these calls only read: they may be sent again."""
        parts = self.client.call(request.SerializeToString(), timeout_ms=timeout_ms, resendable=True)
        responses = [envelope_pb2.Response.FromString(part) for part in parts]
        if any(response.WhichOneof("result") != request.WhichOneof("call") for response in responses):
            raise scope.CallError(scope.Failure(scope.Status.INTERNAL, "bad_answer", "another call's answer"))
        return responses


def access_parts(watch: scope.Watch) -> Iterator[Tuple[List[str], List[str], bool]]:
    """Refs gained, refs lost, and whether that is all there is at the moment."""
    for packed in watch:
        part = envelope_pb2.Response.FromString(packed).watch_access
        yield [_ref(row) for row in part.gained], [_ref(row) for row in part.lost], part.settled


def _ref(row: Any) -> str:
    return f"{_name(types_pb2.EntityType, 'ENTITY_TYPE_', row.type)}:{row.id}"


def _verdict(value: int) -> str:
    return _name(numbers_pb2.NumberVerdict, "NUMBER_VERDICT_", value)


def _name(enum: Any, prefix: str, value: int) -> str:
    """Of a later daemon's value, which this program does not know, nothing may follow."""
    return enum.Name(value)[len(prefix):].lower() if value in enum.values() else "unspecified"


# -------------------------------------------------------------------------------- command lines


class Parser(argparse.ArgumentParser):
    """Ends with 64 on wrong usage, as the daemon's own tools do."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(64, f"{self.prog}: {message}; see --help\n")


def add_daemon(group: Any) -> None:
    """Where the daemon is, and whose rules are asked about."""
    address, company = os.environ.get("SCOPED_ADDRESS"), os.environ.get("SCOPED_COMPANY")
    where = group.add_mutually_exclusive_group(required=address is None)
    where.add_argument(
        "--address", default=address, help="unix:PATH or tcp:127.0.0.1:PORT; default: SCOPED_ADDRESS")
    where.add_argument(
        "--socket", dest="address", type="unix:{}".format, metavar="PATH", help="the same as --address unix:PATH")
    group.add_argument(
        "--company", default=company, required=company is None, metavar="ID", help="default: SCOPED_COMPANY")


def between(least: int, most: int) -> Callable[[str], int]:
    """A type of argument."""

    def number(text: str) -> int:
        if text.isascii() and text.isdigit() and least <= int(text) <= most:
            return int(text)
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least} to {most}")

    return number
