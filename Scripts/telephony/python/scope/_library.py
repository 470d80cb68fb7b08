"""libscope as ctypes sees it: where it is, its structs and its functions."""

import ctypes
import os
from ctypes import POINTER, c_bool, c_char, c_char_p, c_int, c_int32, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Optional, Sequence

NAME = "libscope.so.1"
MAJOR_VERSION = "1"

CALL_RESENDABLE = 1
CALL_STREAM = 2


class LibraryError(Exception):
    """libscope is not there, or is not the one this package was written for."""


class ErrorStruct(ctypes.Structure):
    _fields_ = [
        ("status", c_int),
        ("from_daemon", c_bool),
        ("request_sent", c_bool),
        ("reason", c_char * 64),
        ("message", c_char * 256),
    ]


class AnswerStruct(ctypes.Structure):
    _fields_ = [
        ("verdict", c_int),
        ("reason", c_int),
        ("reason_text", c_char_p),
        ("revision", c_uint64),
        ("project", c_char * 129),
        ("group", c_char * 129),
        ("error", ErrorStruct),
    ]


class ResultStruct(ctypes.Structure):
    _fields_ = [
        ("rows", c_uint64),
        ("revision", c_uint64),
        ("revision_last", c_uint64),
        ("error", ErrorStruct),
    ]


class OptionsStruct(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("company", c_char_p),
        ("timeout_ms", c_uint32),
        ("backoff_min_ms", c_uint32),
        ("backoff_max_ms", c_uint32),
        ("breaker_failures", c_uint32),
        ("breaker_open_ms", c_uint32),
        ("connections", c_uint32),
    ]


class CallOptionsStruct(ctypes.Structure):
    _fields_ = [("company", c_char_p), ("timeout_ms", c_uint32), ("min_revision", c_uint64)]


class CountersStruct(ctypes.Structure):
    _fields_ = [
        ("calls", c_uint64),
        ("allow", c_uint64),
        ("deny", c_uint64),
        ("unavailable", c_uint64),
        ("timeouts", c_uint64),
        ("breaker_skips", c_uint64),
        ("reconnects", c_uint64),
    ]


class ProjectStruct(ctypes.Structure):
    _fields_ = [
        ("id", c_char_p),
        ("name", c_char_p),
        ("description", c_char_p),
        ("contents_visible", c_bool),
    ]


class ObjectStruct(ctypes.Structure):
    _fields_ = [
        ("type", c_int32),
        ("type_name", c_char_p),
        ("id", c_char_p),
        ("name", c_char_p),
        ("system", c_bool),
    ]


ProjectCallback = ctypes.CFUNCTYPE(c_bool, c_void_p, POINTER(ProjectStruct))
ObjectCallback = ctypes.CFUNCTYPE(c_bool, c_void_p, POINTER(ObjectStruct))
ResponseCallback = ctypes.CFUNCTYPE(c_bool, c_void_p, c_void_p, c_size_t)

# By their names in scope.h.
STRUCTS = {
    "scope_error": ErrorStruct,
    "scope_answer": AnswerStruct,
    "scope_result": ResultStruct,
    "scope_options": OptionsStruct,
    "scope_call_options": CallOptionsStruct,
    "scope_counters": CountersStruct,
    "scope_project": ProjectStruct,
    "scope_object": ObjectStruct,
}


class Library:
    """The functions of scope.h that this package uses."""

    def __init__(self, path: str) -> None:
        try:
            loaded = ctypes.CDLL(path)
        except OSError as error:
            raise LibraryError(_words_for_missing(path, error)) from error
        try:
            self._declare(loaded)
        except AttributeError as error:
            raise LibraryError(f"{path} is not the libscope this package needs: {error}; {_WHAT_TO_DO}") from error
        self._check(path)

    def _declare(self, loaded: ctypes.CDLL) -> None:
        call = [c_void_p, POINTER(CallOptionsStruct)]
        result = POINTER(ResultStruct)
        self.version = _function(loaded, "scope_version", c_char_p, [])
        self.struct_bytes = _function(loaded, "scope_struct_bytes", c_size_t, [c_char_p])
        self.options_init = _function(
            loaded, "scope_options_init", None, [POINTER(OptionsStruct), c_size_t])
        self.open = _function(
            loaded, "scope_open", c_void_p, [c_char_p, POINTER(OptionsStruct), POINTER(ErrorStruct)])
        self.close = _function(loaded, "scope_close", None, [c_void_p])
        self.counters_read = _function(
            loaded, "scope_counters_read", None, [c_void_p, POINTER(CountersStruct)])
        self.check_with = _function(
            loaded, "scope_check_with", c_bool, call + [c_char_p, c_char_p, c_char_p, POINTER(AnswerStruct)])
        self.filter = _function(
            loaded, "scope_filter", c_bool,
            call + [c_char_p, c_char_p, POINTER(c_char_p), c_size_t, c_char_p, c_void_p, result])
        self.list_projects = _function(
            loaded, "scope_list_projects", c_bool, call + [c_char_p, ProjectCallback, c_void_p, result])
        self.list_objects = _function(
            loaded, "scope_list_objects", c_bool,
            call + [c_char_p, POINTER(c_char_p), c_size_t, c_char_p, ObjectCallback, c_void_p, result])
        self.next_id = _function(loaded, "scope_next_id", c_uint64, [c_void_p])
        self.call = _function(
            loaded, "scope_call", c_bool,
            call + [c_uint64, c_char_p, c_size_t, c_uint32, ResponseCallback, c_void_p, result])

    def _check(self, path: str) -> None:
        """Refuses a library whose structs would be misread."""
        version = (self.version() or b"").decode("ascii", "replace")
        if version.split(".")[0] != MAJOR_VERSION:
            raise LibraryError(f"{path} is version {version}, and version {MAJOR_VERSION} is needed; {_WHAT_TO_DO}")
        for name, struct in STRUCTS.items():
            found = self.struct_bytes(name.encode("ascii"))
            if found != ctypes.sizeof(struct):
                raise LibraryError(
                    f"{name} has {found} bytes in {path} and {ctypes.sizeof(struct)} in this package; {_WHAT_TO_DO}")


def _function(
    loaded: ctypes.CDLL, name: str, result: object, arguments: Sequence[object]
) -> "ctypes._NamedFuncPointer":
    function = getattr(loaded, name)
    function.restype = result
    function.argtypes = arguments
    return function  # type: ignore[no-any-return]


_WHAT_TO_DO = "install package and library of one version, with Scripts/build-client --prefix and pip install"


def _words_for_missing(path: str, error: OSError) -> str:
    return (
        f"cannot load {path}: {error}; build it with Scripts/build-client --prefix DIR, then set "
        f"SCOPE_LIBRARY=DIR/lib/{NAME}, or have the loader find it (DIR=/usr/local and ldconfig)"
    )


def _path() -> str:
    named = os.environ.get("SCOPE_LIBRARY")
    if named:
        return named
    beside = Path(__file__).resolve().parent / NAME
    return str(beside) if beside.exists() else NAME


_library: Optional[Library] = None


def library() -> Library:
    """The library, loaded by the first client."""
    global _library
    if _library is None:
        _library = Library(_path())  # no lock, which a fork could leave locked: twice does no harm
    return _library
