"""Asks scoped from Kamailio's KEMI in Python. Loaded by python.cfg.

Calls from inside to carriers, and what follows in them. Everything else is refused: transfers, calls from outside and
emergency numbers are in kemi.lua.
"""

import hashlib
import hmac
import re

import KSR
import scope

# -------------------------------------------------------------------------------------------- settings
ADDRESS = "unix:/run/scoped/scoped.sock"
COMPANY = "nordlicht"
TIMEOUT_MS = 50

# Calls from these addresses are your agents' and phones', and their From is believed: name nothing that does not check
# who calls.
INSIDE = {"192.0.2.10"}

# Who a call is from: the whole user part of From, and what it stands for.
SUBJECTS = [
    (r"[0-9]{4}", "user"),
    (r"phone-[0-9]+", "ip_phone"),
]

# What is dialled, the carrier that it goes out by, and its address. The first that fits decides.
OUTBOUND = [
    (r"(\+|00)49[0-9]+", "trunk-main", "198.51.100.20:5060"),
    (r"8800[0-9]+", "trunk-collections-cli", "198.51.100.30:5060"),
]
# ------------------------------------------------------------------------------------- end of settings


def answer(code, reason):
    """A final answer through the transaction, or without one where there is none."""
    if KSR.tm.t_reply(code, reason) < 0:
        KSR.sl.sl_send_reply(code, reason)


def is_strange(text):
    """Whether scoped can't know an id like that. A caller must not raise the alarm that "unavailable" is."""
    return len(text.encode("utf-8", "surrogateescape")) > 128 or not re.fullmatch(r"[ -~]*", text)


class Routes:
    def __init__(self):
        # Before the workers are forked; each of them connects by itself, at its first question.
        self.client = scope.Client(ADDRESS, company=COMPANY, timeout_ms=TIMEOUT_MS)
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            self.secret = file.read().strip()

    def child_init(self, rank):
        return 0

    def ksr_request_route(self, message):
        try:
            self.route()
        except Exception as error:  # or the call would be without an answer for 32 seconds
            KSR.err(f"scoped: {error!r}\n")
            if KSR.pv.get("$rm") != "ACK":
                answer(503, "Access check unavailable")
        return 1

    # Kamailio calls both for whatever passes; without them t_relay() raises.
    def ksr_reply_route(self, message):
        return 1

    def ksr_onsend_route(self, message):
        return 1

    def route(self):
        method = KSR.pv.get("$rm")
        if KSR.maxfwd.process_maxfwd(10) < 0:
            if method != "ACK":
                KSR.sl.sl_send_reply(483, "Too Many Hops")
        elif KSR.sanity.sanity_check(4 + 32 + 64 + 128 + 1024, 2 + 4) < 0:
            pass  # answered with 400
        elif method == "CANCEL":
            if KSR.tm.t_check_trans() > 0:
                KSR.tm.t_relay()
        elif method == "ACK":
            if self.follows() or KSR.tm.t_check_trans() > 0:
                KSR.tm.t_relay()
        elif KSR.tm.t_newtran() > 0:  # absorbs what is sent again
            self.route_new(method)

    def route_new(self, method):
        if KSR.pv.get("$tt") is not None:
            if self.follows() and method != "REFER":
                KSR.tm.t_relay()
            else:
                answer(403, "Forbidden")
        elif method == "INVITE":
            KSR.tm.t_reply(100, "Trying")
            self.route_call(KSR.pv.get("$fU") or "", KSR.pv.get("$rU") or "")
        elif method == "OPTIONS":
            answer(200, "OK")
        else:
            answer(403, "Forbidden")

    def route_call(self, caller, number):
        type = next((type for pattern, type in SUBJECTS if re.fullmatch(pattern, caller)), None)
        row = next((row for row in OUTBOUND if re.fullmatch(row[0], number)), None)
        if KSR.pv.get("$si") not in INSIDE or not type or not row or is_strange(caller):
            return answer(403, "Forbidden")
        checked = self.client.check(f"{type}:{caller}", f"sip_provider:{row[1]}")
        KSR.statistics.update_stat(f"scoped_{checked.verdict.name.lower()}", 1)
        if checked:  # true only for allow
            KSR.textops.remove_hf("Route")
            KSR.pv.sets("$ru", f"sip:{number}@{row[2]}")
            KSR.rr.record_route()
            KSR.rr.add_rr_param(";scoped=" + self.mark())
            if KSR.tm.t_relay() < 0:
                answer(500, "Relaying failed")
        elif checked.verdict is scope.Verdict.DENY:
            answer(403, "Forbidden by access rules")
        else:
            KSR.warn(f"scoped: unavailable: {checked.error.reason}\n")
            answer(503, "Access check unavailable")

    def mark(self):
        """Marks the calls that were let through: a To tag and a Route written by hand have no mark."""
        return hmac.new(self.secret, KSR.pv.get("$ci").encode(), hashlib.sha256).hexdigest()

    def follows(self):
        return KSR.rr.loose_route() > 0 and KSR.rr.check_route_param("scoped=" + self.mark()) > 0


def mod_init():
    return Routes()
