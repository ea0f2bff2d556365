"""Headers of export requests: secrets that only the environment of the sending process holds."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from urllib.parse import unquote

from loadgen.errors import InputError

HEADERS_VARIABLE = "OTEL_EXPORTER_OTLP_HEADERS"
# RFC 9110: a field name is a token.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def otlp_headers(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Headers from OTEL_EXPORTER_OTLP_HEADERS (``key=value,key=value``), as every exporter takes them.

    Values are percent-decoded (OpenTelemetry specification, "Specifying headers via environment variables").

    Raises:
        InputError: Not of that form, or nothing a header can carry; the message does not repeat the value.
    """
    pairs = [pair.partition("=") for pair in environment.get(HEADERS_VARIABLE, "").split(",") if pair.strip()]
    headers = {key.strip(): unquote(value).strip() for key, _, value in pairs}
    formed = all(equals for _, equals, _ in pairs)
    # Checked here because the client's own message would show the value, in every user's traceback.
    carried = all(_NAME.fullmatch(key) and value.isascii() and value.isprintable() for key, value in headers.items())
    if not (formed and carried):
        raise InputError(HEADERS_VARIABLE, "[not shown]", "must be key=value,key=value in printable ASCII")
    return headers
