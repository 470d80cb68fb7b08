"""The client of scoped for Python, over libscope.

    with scope.Client("unix:/run/scoped/scoped.sock", company="nordlicht") as client:
        answer = client.check("user:1001", "queue:clinic-appointments")
        if answer:                                   # true only for allow
            ...
        elif answer.verdict is scope.Verdict.DENY:   # SIP: 403
            ...
        else:                                        # SIP: 503; answer.error says why
            ...

README.md beside this package shows it at work; scope.h of libscope says the rest.
"""

from pkgutil import extend_path

# The modules that protoc generates for the wire contract lie in a package scope.v1, mostly in another folder.
__path__ = extend_path(__path__, __name__)

from ._client import Client  # noqa: E402
from ._library import LibraryError  # noqa: E402
from ._types import (  # noqa: E402
    Answer,
    CallError,
    Counters,
    Failure,
    Filtered,
    Listing,
    Object,
    Project,
    Status,
    Verdict,
)
from ._watch import Watch  # noqa: E402

__all__ = [
    "Answer",
    "CallError",
    "Client",
    "Counters",
    "Failure",
    "Filtered",
    "LibraryError",
    "Listing",
    "Object",
    "Project",
    "Status",
    "Verdict",
    "Watch",
]

# Whoever uses these finds them here, not in the files they are written in.
for _name in __all__:
    globals()[_name].__module__ = __name__
