"""A client: a handle of libscope, and its calls."""

import ctypes
from ctypes import byref
from dataclasses import fields
from typing import Any, Callable, Iterable, List, Optional, Sequence, Tuple

from ._library import (
    CALL_RESENDABLE,
    CALL_STREAM,
    AnswerStruct,
    CallOptionsStruct,
    CountersStruct,
    ErrorStruct,
    Library,
    ObjectCallback,
    OptionsStruct,
    ProjectCallback,
    ResponseCallback,
    ResultStruct,
    library,
)
from ._types import (
    Answer,
    CallError,
    Counters,
    Failure,
    Filtered,
    Listing,
    Object,
    Project,
    Row,
    Status,
    Verdict,
)
from ._watch import Watch

_UINT32_MAX = 0xFFFFFFFF
_UINT64_MAX = 0xFFFFFFFFFFFFFFFF
_VERDICTS = {verdict.value: verdict for verdict in Verdict}


class Client:
    """The way to the daemon: connections, made when they are needed and kept between calls.

    Opening never connects, so it succeeds while the daemon is down.

    Threads may share a client. As many calls run at once as it has `connections`; others wait, which counts against
    the deadline. A program that asks from many threads all the time opens one client per thread. A client may be opened before
    a fork: the child connects anew at its first call, with breaker closed and counters at zero. `close` may be called
    while another thread is inside a call, which then ends as usual.
    """

    def __init__(
        self,
        address: str,
        company: Optional[str] = None,
        timeout_ms: Optional[int] = None,
        breaker_failures: Optional[int] = None,
        breaker_open_ms: Optional[int] = None,
        backoff_min_ms: Optional[int] = None,
        backoff_max_ms: Optional[int] = None,
        connections: Optional[int] = None,
    ) -> None:
        """Opens a client. What is None has libscope's default.

        :param address: "unix:/run/scoped/scoped.sock" or "tcp:127.0.0.1:7400"
        :param company: asked about by calls that don't name their own
        :param timeout_ms: deadline of a call, for all it does, in milliseconds, 1 or more; default 50
        :param breaker_failures: failed calls in a row after which none is tried for `breaker_open_ms`; calls that
            overlap and fail are one failure; default 3; 0: never
        :param breaker_open_ms: in milliseconds; then one call tries again; default 1000
        :param backoff_min_ms: pause after a failed attempt to connect, in milliseconds, doubled by each further one;
            default 10; 0: none
        :param backoff_max_ms: longest such pause, in milliseconds; default 1000
        :param connections: calls that run at once, 1 to 64; default 4; a thread alone makes one
        :raises LibraryError: libscope is not there, or another version
        :raises CallError: the address or the company is wrong
        :raises ValueError: a number is out of range
        """
        self._library = library()
        options = OptionsStruct()
        self._library.options_init(byref(options), ctypes.sizeof(options))
        options.company = None if company is None else _encoded(company, "the company")
        if timeout_ms is not None:
            options.timeout_ms = _number(timeout_ms, "timeout_ms", 1)
        if connections is not None:
            options.connections = _number(connections, "connections", 1)
        for name, value in (
            ("breaker_failures", breaker_failures),
            ("breaker_open_ms", breaker_open_ms),
            ("backoff_min_ms", backoff_min_ms),
            ("backoff_max_ms", backoff_max_ms),
        ):
            if value is not None:
                setattr(options, name, _number(value, name))
        self._address = _encoded(address, "the address")
        self._options = options
        self._handle: Optional[_Handle] = _Handle(self._library, self._address, options)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections, once no thread is inside a call. A closed client can't be used; closing it again
        does nothing."""
        self._handle = None

    # ---------------------------------------------------------------------------------- checks

    def check(
        self,
        subject: str,
        object: str,
        right: Optional[str] = None,
        company: Optional[str] = None,
        timeout_ms: Optional[int] = None,
        min_revision: int = 0,
    ) -> Answer:
        """May the subject see and use the object, and hold the right if one is named?

        Whatever goes wrong, refs that are none included, is the answer UNAVAILABLE and not an exception.

        :param subject: a ref: "user:1001", "dialer:survey-nps"
        :param object: a ref: "queue:support"
        :param right: such as "report.agents"; None: none
        :param company: None: the client's
        :param timeout_ms: deadline of this call, in milliseconds; None: the client's
        :param min_revision: lowest acceptable revision; 0: any
        :raises ValueError: the client is closed, or a number is out of range
        :raises TypeError: what must be text is not
        """
        answer = AnswerStruct()
        try:
            if right == "":
                raise _bad_argument("the right is empty")  # would ask a weaker question
            options = _call_options(company, timeout_ms, min_revision)
            arguments = (
                _encoded(subject, "the subject"),
                _encoded(object, "the object"),
                None if right is None else _encoded(right, "the right"),
            )
        except CallError as error:
            return Answer(Verdict.UNAVAILABLE, error=error.failure)
        handle = self._open_handle()
        self._library.check_with(handle.pointer, options, *arguments, byref(answer))
        return _answer(answer)

    def filter(
        self,
        subject: str,
        object_type: str,
        ids: Iterable[str],
        project: Optional[str] = None,
        company: Optional[str] = None,
        timeout_ms: Optional[int] = None,
        min_revision: int = 0,
    ) -> Filtered:
        """Which of these objects does the subject see?

        :param object_type: name of the type of every id: "contact_field"
        :param ids: without their type; any number
        :param project: id of a project to narrow to; None: none
        :raises CallError: the question was not answered as a whole
        """
        names = list(ids)
        texts = (ctypes.c_char_p * len(names))(*[_encoded(name, "an id") for name in names])
        visible = (ctypes.c_uint8 * max(1, len(names)))()
        result = ResultStruct()
        handle = self._open_handle()
        done = self._library.filter(
            handle.pointer,
            _call_options(company, timeout_ms, min_revision),
            _encoded(subject, "the subject"),
            _encoded(object_type, "the type"),
            texts,
            len(names),
            None if project is None else _encoded(project, "the project"),
            ctypes.cast(visible, ctypes.c_void_p),
            byref(result),
        )
        if not done:
            raise CallError(_failure(result.error))
        marks = [visible[index] == 1 for index in range(len(names))]
        seen = [name for name, mark in zip(names, marks) if mark]
        return Filtered(seen, marks, result.revision, result.revision_last)

    # -------------------------------------------------------------------------------- listings

    def list_projects(
        self,
        user: str,
        company: Optional[str] = None,
        timeout_ms: Optional[int] = None,
        min_revision: int = 0,
    ) -> Listing[Project]:
        """Which projects does a user see? In byte order of ids.

        :param user: a ref: "user:1001"
        :raises CallError: the listing did not come as a whole
        """
        listing: Listing[Project] = Listing()

        def take(_: Any, row: Any) -> bool:
            at = row.contents
            listing.rows.append(
                Project(_text(at.id), _text(at.name), _text(at.description), at.contents_visible))
            return True

        guard = _Guard(take)
        arguments = (_encoded(user, "the user"), ProjectCallback(guard))
        return self._list(
            self._library.list_projects, arguments, guard, listing,
            _call_options(company, timeout_ms, min_revision))

    def list_objects(
        self,
        subject: str,
        types: Sequence[str] = (),
        project: Optional[str] = None,
        company: Optional[str] = None,
        timeout_ms: Optional[int] = None,
        min_revision: int = 0,
    ) -> Listing[Object]:
        """What does the subject see? In order of type and bytes of the id.

        :param types: names of the types wanted; none: all
        :param project: id of a project to narrow to; None: none
        :raises CallError: the listing did not come as a whole
        """
        if isinstance(types, str):
            raise TypeError("types must be a sequence of names")
        listing: Listing[Object] = Listing()

        def take(_: Any, row: Any) -> bool:
            at = row.contents
            listing.rows.append(Object(_text(at.type_name), _text(at.id), _text(at.name), at.system))
            return True

        guard = _Guard(take)
        names = (ctypes.c_char_p * len(types))(*[_encoded(name, "a type") for name in types])
        arguments = (
            _encoded(subject, "the subject"),
            names,
            len(types),
            None if project is None else _encoded(project, "the project"),
            ObjectCallback(guard),
        )
        return self._list(
            self._library.list_objects, arguments, guard, listing,
            _call_options(company, timeout_ms, min_revision))

    def _list(
        self,
        function: Callable[..., bool],
        arguments: Tuple[object, ...],
        guard: "_Guard",
        listing: "Listing[Row]",
        options: Optional["ctypes._CArgObject"],
    ) -> "Listing[Row]":
        result = ResultStruct()
        handle = self._open_handle()
        done = function(handle.pointer, options, *arguments, None, byref(result))
        guard.raise_again()
        if not done:
            raise CallError(_failure(result.error))
        return Listing(listing.rows, result.revision, result.revision_last)

    # ------------------------------------------------------------------------------- counters

    def counters(self) -> Counters:
        """What this client did since it was opened, or since the fork in a child. Waits for no call."""
        counters = CountersStruct()
        handle = self._open_handle()
        self._library.counters_read(handle.pointer, byref(counters))
        return Counters(*[getattr(counters, field.name) for field in fields(Counters)])

    # -------------------------------------------------------------------------- any other call

    def next_id(self) -> int:
        """An id for a request of `call` and `watch`, not used on this client before. Never 0."""
        handle = self._open_handle()
        return int(self._library.next_id(handle.pointer))

    def call(self, request: bytes, timeout_ms: Optional[int] = None, resendable: bool = False) -> List[bytes]:
        """Sends a scope.v1.Request, as protobuf's SerializeToString() gives it, and returns the responses, each a
        scope.v1.Response.

        :param request: with the id from `next_id`; company, timeout and min_revision stand in it
        :param resendable: the call only reads: if a kept connection turns out to be dead, it is sent a second time.
            Never set it for Apply
        :raises CallError: not all responses came, or the last is an error; `responses` has those that came
        """
        responses: List[bytes] = []
        try:
            self.call_each(request, responses.append, timeout_ms, resendable)
        except CallError as error:
            raise CallError(error.failure, tuple(responses)) from None
        return responses

    def call_each(
        self,
        request: bytes,
        take: Callable[[bytes], Optional[bool]],
        timeout_ms: Optional[int] = None,
        resendable: bool = False,
    ) -> None:
        """The same for what is more than memory should hold: `take` is called with each response while the call runs,
        and must not use this client. If it returns False the call ends with the reason "stopped"; if it raises, the
        call ends and the exception goes on to the caller."""
        self._call(request, take, timeout_ms, CALL_RESENDABLE if resendable else 0)

    def watch(self, request: bytes, timeout_ms: int) -> Watch:
        """Sends the request of a watch and returns its responses as they come.

        Uses a connection of its own, so this client stays free for checks.

        :param timeout_ms: longest silence, in milliseconds. Ask for heartbeats (`heartbeat_ms` in the request) more
            often than that, so that quiet is told from a dead connection
        """
        _request_id(request)
        _number(timeout_ms, "timeout_ms", 1)
        self._open_handle()
        own = Client.__new__(Client)
        own._library, own._address, own._options = self._library, self._address, self._options
        own._handle = _Handle(self._library, self._address, self._options)
        return Watch(lambda take: own._call(request, take, timeout_ms, CALL_STREAM))

    def _call(
        self, request: bytes, take: Callable[[bytes], Optional[bool]], timeout_ms: Optional[int], flags: int
    ) -> None:
        def take_copy(_: Any, address: Any, count: int) -> bool:
            return take(ctypes.string_at(address, count)) is not False

        number = _request_id(request)
        guard = _Guard(take_copy)
        result = ResultStruct()
        handle = self._open_handle()
        done = self._library.call(
            handle.pointer, _call_options(None, timeout_ms, 0), number, request, len(request), flags,
            ResponseCallback(guard), None, byref(result))
        guard.raise_again()
        if not done:
            raise CallError(_failure(result.error))

    def _open_handle(self) -> "_Handle":
        if self._handle is None:
            raise ValueError("the client is closed")
        return self._handle


class _Handle:
    """Closes the handle when the last that uses it, `Client` or a call that runs, lets go of it."""

    def __init__(self, library: Library, address: bytes, options: OptionsStruct) -> None:
        self._close = library.close
        error = ErrorStruct()
        self.pointer: Optional[int] = library.open(address, byref(options), byref(error))
        if not self.pointer:
            raise CallError(_failure(error))

    def __del__(self) -> None:
        pointer, self.pointer = getattr(self, "pointer", None), None
        if pointer:
            self._close(pointer)


class _Guard:
    """Keeps an exception of a callback out of C: it stops the call, and is raised again when that has ended."""

    def __init__(self, body: Callable[..., bool]) -> None:
        self._body = body
        self._raised: Optional[BaseException] = None

    def __call__(self, *arguments: Any) -> bool:
        try:
            return self._body(*arguments)
        except BaseException as error:
            self._raised = error
            return False

    def raise_again(self) -> None:
        raised, self._raised = self._raised, None
        if raised is not None:
            raise raised


# ------------------------------------------------------------------------------- in and out of C


def _bad_argument(message: str) -> CallError:
    return CallError(Failure(Status.INVALID_ARGUMENT, "bad_argument", message))


def _encoded(text: str, what: str) -> bytes:
    """UTF-8 without a NUL, behind which C would not read on: "user:1\\0x" must not ask about "user:1"."""
    if not isinstance(text, str):
        raise TypeError(f"{what} must be text, not {type(text).__name__}")
    try:
        encoded = text.encode("utf-8")
    except UnicodeEncodeError:
        raise _bad_argument(f"{what} can't be written as UTF-8") from None
    if b"\0" in encoded:
        raise _bad_argument(f"{what} holds a NUL")
    return encoded


def _number(value: int, name: str, least: int = 0, most: int = _UINT32_MAX) -> int:
    """ctypes would take any number and keep its lowest bits."""
    if not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if not least <= value <= most:
        raise ValueError(f"{name} must be {least} to {most}")
    return value


def _call_options(
    company: Optional[str], timeout_ms: Optional[int], min_revision: int
) -> Optional["ctypes._CArgObject"]:
    if company is None and timeout_ms is None and min_revision == 0:
        return None
    options = CallOptionsStruct()
    options.company = None if company is None else _encoded(company, "the company")
    options.timeout_ms = 0 if timeout_ms is None else _number(timeout_ms, "timeout_ms", 1)
    options.min_revision = _number(min_revision, "min_revision", 0, _UINT64_MAX)
    return byref(options)


def _request_id(request: bytes) -> int:
    """The id, which is field 1 and comes first; 0 if it doesn't, which the library refuses."""
    if not isinstance(request, bytes):
        raise TypeError(f"a request must be bytes, not {type(request).__name__}")
    if request[:1] != b"\x08":
        return 0
    number = 0
    for index, byte in enumerate(request[1:11]):
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return number & _UINT64_MAX
    return 0


def _text(value: Optional[bytes]) -> str:
    return "" if value is None else value.decode("utf-8", "replace")


def _failure(error: ErrorStruct) -> Failure:
    try:
        status = Status(error.status)
    except ValueError:
        status = Status.UNKNOWN
    return Failure(status, _text(error.reason), _text(error.message), error.from_daemon, error.request_sent)


def _answer(answer: AnswerStruct) -> Answer:
    verdict = _VERDICTS.get(answer.verdict, Verdict.UNAVAILABLE)
    if verdict is Verdict.UNAVAILABLE:
        return Answer(verdict, error=_failure(answer.error))
    return Answer(
        verdict, _text(answer.reason_text), answer.revision, _text(answer.project), _text(answer.group))
