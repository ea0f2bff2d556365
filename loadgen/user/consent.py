"""Not loading another machine by accident."""

from __future__ import annotations

import ipaddress

from loadgen.errors import InputError
from loadgen.user.options import LoadOptions

# Above this a target that is not this machine has to be named a second time.
HARMLESS_SPANS_PER_S = 1000


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def check_consent(options: LoadOptions, spans_per_s: float) -> None:
    """Refuse to load another machine by accident.

    Raises:
        InputError: The target is not loopback, the rate is not harmless, and ``--yes-load`` does not name the host.
    """
    host = options.endpoint.host
    named = options.yes_load.strip().strip("[]").lower()
    if is_loopback(host) or spans_per_s <= HARMLESS_SPANS_PER_S or named == host:
        return
    rule = f"must be {host} to send {spans_per_s:,.0f} spans/s to a machine that is not this one"
    raise InputError("--yes-load", options.yes_load, rule)
