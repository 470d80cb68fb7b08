"""What calls give."""

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Generic, Iterator, List, Optional, Tuple, TypeVar


class Verdict(Enum):
    """The answer to a check. True only if it is ALLOW."""

    UNAVAILABLE = 0
    """No answer was had; `Answer.error` says why."""
    ALLOW = 1
    """The daemon said: may see and use it."""
    DENY = 2
    """The daemon said: may not."""

    def __bool__(self) -> bool:
        return self is Verdict.ALLOW


class Status(IntEnum):
    """How a call went. The numbers are gRPC's, and the daemon's."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


@dataclass(frozen=True)
class Failure:
    """Why a call has no result."""

    status: Status
    reason: str
    """Stable, for machines: "timeout", "connect_failed", "breaker_open", …; scope.h lists the library's own."""
    message: str
    """For people."""
    from_daemon: bool = False
    """The daemon answered so; otherwise the library found it."""
    request_sent: bool = False
    """The whole request left this process: a change may have been applied unless the daemon says otherwise."""

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}" if self.message else self.reason


class CallError(Exception):
    """A call other than a check failed. `failure` says how, and so do the attributes of the same names."""

    def __init__(self, failure: Failure, responses: Tuple[bytes, ...] = ()) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.responses = responses
        """Of `Client.call`: the responses that had come, an error of the daemon as the last."""

    @property
    def status(self) -> Status:
        return self.failure.status

    @property
    def reason(self) -> str:
        return self.failure.reason

    @property
    def message(self) -> str:
        return self.failure.message

    @property
    def from_daemon(self) -> bool:
        return self.failure.from_daemon

    @property
    def request_sent(self) -> bool:
        return self.failure.request_sent


@dataclass(frozen=True)
class Answer:
    """The answer to one check. True only for allow."""

    verdict: Verdict
    reason: str = "unavailable"
    """Stable text of the rule that decided, such as "no_shared_project"; "unavailable" when there is none."""
    revision: int = 0
    """Of the rules the answer was computed at; 0 when unavailable."""
    project: str = ""
    """With shared_project: the project shared; otherwise empty."""
    group: str = ""
    """The group by which the user is in it; empty: directly."""
    error: Optional[Failure] = None
    """Why unavailable; None with allow and deny."""

    def __bool__(self) -> bool:
        return self.verdict is Verdict.ALLOW


@dataclass(frozen=True)
class Filtered:
    """Which ids are visible. True if any is; as a sequence, the visible ones in the order asked."""

    ids: List[str]
    """The visible ones, in the order asked."""
    visible: List[bool]
    """For each id asked, whether it is visible."""
    revision: int
    """Lowest revision among the parts of a long question; `revision_last` is the highest."""
    revision_last: int

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)


@dataclass(frozen=True)
class Project:
    """A project as a user sees it."""

    id: str
    name: str
    description: str
    contents_visible: bool
    """False: only these words may be shown."""


@dataclass(frozen=True)
class Object:
    """An object in a listing."""

    type: str
    """Name of the type: "queue"."""
    id: str
    name: str
    system: bool
    """A system contact field."""

    @property
    def ref(self) -> str:
        """The object as text: "queue:support"."""
        return f"{self.type}:{self.id}"


Row = TypeVar("Row")


@dataclass(frozen=True)
class Listing(Generic[Row]):
    """The rows of a listing, which is complete."""

    rows: List[Row] = field(default_factory=list)
    revision: int = 0
    """Lowest revision among the listing's parts; `revision_last` is the highest."""
    revision_last: int = 0

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)


@dataclass(frozen=True)
class Counters:
    """What a client did since it was opened, or since the fork in a child."""

    calls: int
    """Calls of every kind."""
    allow: int
    deny: int
    unavailable: int
    """Calls of every kind that ended with an error."""
    timeouts: int
    """Of those: the deadline passed."""
    breaker_skips: int
    """Of those: not tried, the breaker was open."""
    reconnects: int
    """Connections made after the first."""
