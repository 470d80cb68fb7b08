"""A watch: responses that keep coming, as an iterator."""

import atexit
import os
from collections import deque
from threading import Condition, Thread
from time import monotonic
from typing import Callable, Deque, Iterator, Optional, Set

_WAITING_RESPONSES_LIMIT = 64
_SECONDS_TO_END = 1.0


class Watch(Iterator[bytes]):
    """The responses of a watch, each a packed scope.v1.Response.

    The iteration ends with the watch, and raises what ended it. A thread of its own receives; it takes no more than 64
    responses ahead. Use it in one thread at a time, and not on the other side of a fork. After `close` the connection
    lasts until the next response, at most as long as the silence allowed: C can't be interrupted.
    """

    def __init__(self, run: Callable[[Callable[[bytes], Optional[bool]]], None]) -> None:
        self._run = run
        self._process = os.getpid()
        self._changed = Condition()
        # What follows is used with `_changed` held.
        self._waiting: Deque[bytes] = deque()
        self._closed = False
        self._leaving = False
        self._ended = False
        self._error: Optional[BaseException] = None
        self._thread = Thread(target=self._receive, name="scope.Watch", daemon=True)
        self._thread.start()

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> "Watch":
        return self

    def __next__(self) -> bytes:
        if os.getpid() != self._process:
            raise RuntimeError("a watch can't be used in the child of a fork; start one there")
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended or self._closed)
            if self._waiting and not self._closed:
                self._changed.notify_all()
                return self._waiting.popleft()
            if self._error is not None and not self._closed:
                raise self._error
            raise StopIteration

    def close(self) -> None:
        """Ends the iteration and, at the next response, the watch. Closing again does nothing."""
        if os.getpid() != self._process:
            return
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()

    def _receive(self) -> None:
        _running.add(self)
        error: Optional[BaseException] = None
        try:
            self._run(self._take)
        except BaseException as failed:  # the thread of the iteration is to see it
            error = failed
        with self._changed:
            if not self._leaving:
                self._error, self._ended = error, True
                self._changed.notify_all()
        _running.discard(self)

    def _take(self, response: bytes) -> bool:
        with self._changed:
            self._changed.wait_for(self._is_free)
            if not self._leaving:
                self._waiting.append(response)
                self._changed.notify_all()
            return not self._closed and not self._leaving

    def _is_free(self) -> bool:
        return len(self._waiting) < _WAITING_RESPONSES_LIMIT or self._closed or self._leaving

    def _leave(self) -> None:
        """Ends the watch at the next response, of which a thread that waits for it hears nothing."""
        with self._changed:
            self._leaving = True
            self._changed.notify_all()


_running: Set[Watch] = set()
"""Those whose threads receive."""


@atexit.register
def _end_all() -> None:
    """A response that comes from C while the interpreter ends would crash the process. So the watches end before, at
    their next response; those that are silent are not waited for longer than a second, all of them together. In the
    child of a fork their threads are not there, and may have left a lock locked."""
    deadline = monotonic() + _SECONDS_TO_END
    running = [watch for watch in list(_running) if watch._process == os.getpid()]
    for watch in running:
        watch._leave()
    for watch in running:
        watch._thread.join(max(0.0, deadline - monotonic()))
