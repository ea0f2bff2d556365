"""Who answers at an endpoint: the embedded sink, or something that takes OTLP and does not say."""

from __future__ import annotations

import json
from http.client import HTTPConnection, HTTPException, HTTPSConnection

from loadgen.transport.http import Endpoint

ASK_TIMEOUT_S = 1.0


def identify(endpoint: Endpoint) -> dict[str, str]:
    """Facts of a target for the run file: endpoint, kind (``sink`` or ``unknown``) and version.

    A target that is down or does not know the question is ``unknown``: that is no error here.
    """
    facts = {"endpoint": endpoint.url, "kind": "unknown", "version": ""}
    kind = HTTPSConnection if endpoint.scheme == "https" else HTTPConnection
    connection = kind(endpoint.host, endpoint.port, timeout=ASK_TIMEOUT_S)
    try:
        connection.request("GET", "/honua/ready")
        response = connection.getresponse()
        answer = json.loads(response.read(4096)) if response.status == 200 else {}
    except (OSError, HTTPException, ValueError, RecursionError):
        return facts
    finally:
        connection.close()
    if isinstance(answer, dict) and answer.get("kind") == "honua-sink":
        facts |= {"kind": "sink", "version": str(answer.get("version", ""))}
    return facts
