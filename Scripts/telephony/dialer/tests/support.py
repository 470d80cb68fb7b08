"""A daemon of one's own, a worker whose calls are held, and what stands between them.

SCOPED names the daemon's program; SCOPE_LIBRARY, PYTHONPATH as README.md says.
"""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

FOLDER = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(FOLDER))

import scope  # noqa: E402
from google.protobuf import json_format  # noqa: E402
from scope.v1 import envelope_pb2  # noqa: E402

PATIENCE_SECONDS = float(os.environ.get("PATIENCE_SECONDS", "300"))
"""A bound against hanging, not a time that is expected."""


class Scoped:
    """The daemon as a process, in a folder that goes with it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="scope-dialer-"))
        self.socket = str(self.folder / "socket")
        self.address = f"unix:{self.socket}"
        self._process: Optional[subprocess.Popen] = None

    def start(self) -> None:
        self._log = open(self.folder / "log", "ab")
        self._process = subprocess.Popen(
            [os.environ["SCOPED"], "--data", str(self.folder / "data"), "--create", "--socket", self.socket],
            stdout=subprocess.PIPE, stderr=self._log)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if b"ready" not in line:
            raise AssertionError((self.folder / "log").read_text())

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def pause(self) -> None:
        """Stops it as it is. Returns when it has stopped: the signal alone may come after the next question."""
        self.signal(signal.SIGSTOP)
        assert self._process is not None
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
            self._log.close()
            self._process = None

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.folder)

    # ------------------------------------------------------------------------------- its rules

    def client(self) -> scope.Client:
        return scope.Client(self.address, company="c", timeout_ms=20_000)

    def ask(self, **call: Any) -> Any:
        """One call, in JSON's words. Returns when the daemon has acknowledged it."""
        with self.client() as client:
            request = json_format.ParseDict({"id": client.next_id(), "company": "c", **call}, envelope_pb2.Request())
            return envelope_pb2.Response.FromString(client.call(request.SerializeToString())[-1])

    def apply(self, *changes: Dict[str, Any]) -> None:
        self.ask(apply={"changes": list(changes)})

    def add(self, list_id: str, numbers: Iterable[int]) -> None:
        self.ask(add_numbers={"list": list_id, "numbers": [{"number": str(n), "label": f"n{n}"} for n in numbers]})

    def take_off(self, list_id: str, numbers: Iterable[int]) -> None:
        self.ask(remove_numbers={"list": list_id, "numbers": [str(n) for n in numbers]})


def placed(kind: str, id: str, project: str) -> Dict[str, Any]:
    return {"place": {"object_type": f"ENTITY_TYPE_{kind.upper()}", "object_id": id, "project": project}}


def unplaced(kind: str, id: str, project: str) -> Dict[str, Any]:
    return {"unplace": placed(kind, id, project)["place"]}


def thing(kind: str, id: str, *projects: str) -> Dict[str, Any]:
    return {"put_object": {"type": f"ENTITY_TYPE_{kind.upper()}", "id": id, "projects": list(projects)}}


def numbers(id: str, purpose: str, *projects: str) -> List[Dict[str, Any]]:
    return [thing("list", id, *projects), {"set_purpose": {"list": id, "purpose": f"LIST_PURPOSE_{purpose.upper()}"}}]


def company() -> List[Dict[str, Any]]:
    """Two projects, each with a dialer, a scenario, a queue, a provider, and lists of every purpose; and an unwanted
    list of both."""
    changes: List[Dict[str, Any]] = [{"put_company": {"mode": "SECURITY_MODE_ENHANCED"}}]
    for project in ("shop", "clinic"):
        changes += [{"put_project": {"id": project}}]
        changes += [thing(kind, project, project) for kind in ("dialer", "call_scenario", "queue", "sip_provider")]
        changes += numbers(f"{project}-a", "calling", project) + numbers(f"{project}-b", "calling", project)
        changes += numbers(f"{project}-dnc", "unwanted", project) + numbers(f"{project}-vip", "vip", project)
    return changes + [thing("queue", "shop-vip", "shop")] + numbers("all-dnc", "unwanted", "shop", "clinic")


class DaemonCase(unittest.TestCase):
    """Each test has a daemon with `company`."""

    def setUp(self) -> None:
        self.scoped = Scoped()
        self.addCleanup(self.scoped.remove)
        self.scoped.start()
        self.scoped.apply(*company())


class Worker:
    """dialer.py as a process. Each of its calls waits until it is let go; its lines are kept in order."""

    GATE = 'echo "$2" > "$1/dials" && read -r _ < "$1/go"'

    def __init__(self, folder: Path, address: str, *arguments: str, is_held: bool = True) -> None:
        self.folder = folder
        self.lines: List[Dict[str, Any]] = []
        self._changed = threading.Condition()
        self._ended = False
        self._pipes: Dict[str, int] = {}
        for name in ("dials", "go"):
            if not (folder / name).exists():
                os.mkfifo(folder / name)
            self._pipes[name] = os.open(folder / name, os.O_RDWR)
        (folder / "gate").write_text(self.GATE)
        command = ["--dial-command", f"/bin/sh {folder}/gate {folder}"] if is_held else []
        self.process = subprocess.Popen(
            [sys.executable, str(FOLDER / "dialer.py"), "--address", address, "--company", "c", "--dialer", "shop",
             "--state", str(folder / "state"), "--timeout-ms", "20000", "--heartbeat-ms", "5000", "--retry-ms", "200",
             *command, *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._stops_reading = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def stop_reading(self) -> None:
        """After the next line."""
        self._stops_reading.set()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if self._stops_reading.is_set():
                self.process.stdout.close()
                break
            with self._changed:
                self.lines.append(json.loads(line))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    # --------------------------------------------------------------------------------- its calls

    def next_call(self) -> int:
        """The number of the call that is held now."""
        if not select.select([self._pipes["dials"]], [], [], PATIENCE_SECONDS)[0]:
            raise AssertionError(f"no call: {self.lines[-5:]}")
        text = b""
        while not text.endswith(b"\n"):
            text += os.read(self._pipes["dials"], 1)
        return int(text)

    def let_go(self, calls: int = 1) -> None:
        os.write(self._pipes["go"], b"\n" * calls)

    def call_through(self, calls: int) -> List[int]:
        """Lets calls through until that many were begun; the last is held."""
        begun = [self.next_call()]
        while len(begun) < calls:
            self.let_go()
            begun.append(self.next_call())
        return begun

    # --------------------------------------------------------------------------------- its words

    def await_line(self, event: str, since: int = 0, **words: Any) -> int:
        """The place of the first such line; awaited."""

        def found() -> Optional[int]:
            for place, line in enumerate(self.lines[since:], since):
                if line["event"] == event and words.items() <= line.items():
                    return place + 1
            return None

        with self._changed:
            self._changed.wait_for(lambda: found() or self._ended, PATIENCE_SECONDS)
            place = found()
        if place is None:
            raise AssertionError(f"no line {event} {words} after {since}: {self.lines[-8:]}")
        return place - 1

    def end(self) -> Tuple[int, str]:
        """Waits for its end; its exit code, and what it said on standard error."""
        assert self.process.stderr is not None
        code = self.process.wait(PATIENCE_SECONDS)
        errors = self.process.stderr.read()
        self._reader.join(PATIENCE_SECONDS)
        self.close()
        return code, errors

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(PATIENCE_SECONDS)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        for pipe in self._pipes.values():
            os.close(pipe)
        self._pipes = {}

    def dialled(self, list_id: str = "", since: int = 0) -> List[int]:
        return [
            int(line["number"]) for line in self.lines[since:]
            if line["event"] == "dialled" and list_id in ("", line["list"])]

    def skipped(self) -> Dict[int, Tuple[str, str]]:
        return {int(at["number"]): (at["why"], at["at"]) for at in self.lines if at["event"] == "skipped"}


class WorkerCase(DaemonCase):
    def begin(self, *arguments: str, address: str = "", is_held: bool = True) -> Worker:
        worker = Worker(self.scoped.folder, address or self.scoped.address, *arguments, is_held=is_held)
        self.addCleanup(worker.close)
        return worker

    def finish(self, worker: Worker) -> None:
        """Lets all go, to the end of the round."""
        worker.let_go(2_000)
        code, errors = worker.end()
        self.assertEqual((code, errors), (0, ""))
        self.assertEqual(worker.lines[-1]["event"], "summary")


class Proxy:
    """Stands between the worker and the daemon, and can fall silent on watches alone."""

    def __init__(self, path: str, to: str) -> None:
        self.address = f"unix:{path}"
        self._to = to
        self.watches = 0
        self._silent = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def silence_watches(self, are_silent: bool) -> None:
        self._silent.set() if are_silent else self._silent.clear()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(accepted,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near, socket.socket(socket.AF_UNIX) as far:
            far.connect(self._to)
            first = near.recv(65_536)
            is_watch = bool(first) and envelope_pb2.Request.FromString(first[4:]).WhichOneof("call") == "watch_access"
            far.sendall(first)
            threading.Thread(target=_copy, args=(near, far, lambda: True), daemon=True).start()
            _copy(far, near, lambda: not (is_watch and self._silent.is_set()))


def _copy(source: socket.socket, target: socket.socket, is_open: Callable[[], bool]) -> None:
    try:
        while data := source.recv(65_536):
            if is_open():
                target.sendall(data)
        target.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
