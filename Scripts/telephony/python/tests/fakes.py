"""Daemons that do what a test tells them, on a Unix socket."""

import os
import shutil
import socket
import tempfile
import threading
from typing import Callable, List, Optional


def varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def data(field: int, value: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(value)) + value


def frame(message: bytes) -> bytes:
    return len(message).to_bytes(4, "big") + message


def envelope(request_id: int, revision: int = 7) -> bytes:
    return number(1, request_id) + number(5, revision)


def allow(request_id: int, project: bytes = b"clinic") -> bytes:
    return envelope(request_id) + data(11, number(1, 1) + number(2, 8) + data(3, project))


def deny(request_id: int) -> bytes:
    return envelope(request_id) + data(11, number(1, 2) + number(2, 9))


def refusal(request_id: int, code: int, reason: bytes) -> bytes:
    return number(1, request_id) + number(2, code) + data(3, reason) + data(4, b"in words")


class Connection:
    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock

    def read(self, count: int) -> Optional[bytes]:
        have = b""
        while len(have) < count:
            try:
                more = self.socket.recv(count - len(have))
            except OSError:
                return None
            if not more:
                return None
            have += more
        return have

    def request(self) -> Optional[bytes]:
        head = self.read(4)
        return None if head is None else self.read(int.from_bytes(head, "big"))

    def request_id(self) -> Optional[int]:
        request = self.request()
        if request is None:
            return None
        value = 0
        for index, byte in enumerate(request[1:11]):
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                break
        return value

    def send(self, sent: bytes) -> None:
        try:
            self.socket.sendall(sent)
        except OSError:
            pass

    def await_end(self) -> None:
        while self.read(1) is not None:
            pass


class FakeDaemon:
    """`behaviour` gets each connection and its number from 0; the connection ends when it returns."""

    def __init__(self, behaviour: Callable[[Connection, int], None]) -> None:
        self._folder = tempfile.mkdtemp(prefix="scope-python-")
        self.path = os.path.join(self._folder, "s")
        self.address = "unix:" + self.path
        self._behaviour = behaviour
        self._connections: List[socket.socket] = []
        self._threads: List[threading.Thread] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(64)
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    @property
    def connection_count(self) -> int:
        return len(self._connections)

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(accepted)
            thread = threading.Thread(
                target=self._serve, args=(accepted, len(self._connections) - 1), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, accepted: socket.socket, index: int) -> None:
        self._behaviour(Connection(accepted), index)
        accepted.close()

    def __enter__(self) -> "FakeDaemon":
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(10)
        self._listener.close()
        for connection in self._connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self._threads:
            thread.join(10)
        shutil.rmtree(self._folder)


def answering(reply: Callable[[int], bytes]) -> Callable[[Connection, int], None]:
    def behaviour(connection: Connection, _: int) -> None:
        while (request_id := connection.request_id()) is not None:
            connection.send(frame(reply(request_id)))

    return behaviour


def hung(connection: Connection, _: int) -> None:
    connection.await_end()
