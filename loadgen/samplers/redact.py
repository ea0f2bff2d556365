"""A configuration fit to be kept: the same settings, no secrets."""

from __future__ import annotations

import re

import yaml

from loadgen.samplers.section import read_yaml

REDACTED = "[redacted]"
_SECRET = re.compile(
    r"authorization|token|passw|passphrase|secret|credential|api_?key|access_?key|account_?key|license_?key"
    r"|private_?key|key_pem|htpasswd|cookie|headers?$|headers_|dsn$|connection_?string|_auth$|x_.*_key"
)
# Settings whose name looks like a secret's but which say where it is, not what.
_PLACE = re.compile(r"_(file|path|url|endpoint|type|header_name)$|^header_name$|filename$")
_REFERENCE = re.compile(r"\$\{(env|file):[^}:]*\}\Z")
_LOGIN = re.compile(r"(?<=://)[^/@\s]+@")
_QUERY = re.compile(r"([?&;][^=&\s]*(?:key|token|secret|password|signature|sig)[^=&\s]*=)[^&\s]+", re.IGNORECASE)


def redact_config(text: str, place: str = "collector configuration") -> str:
    """The configuration as YAML without comments, every value that looks like a secret ``[redacted]``.

    What counts: everything under keys named like secrets or headers, PEM blocks, logins and keys
    inside URLs. A plain reference (``${env:NAME}``) holds no secret and stays.

    Raises:
        InputError: Not YAML.
    """
    settings = dict(read_yaml(text, place).values)
    return yaml.dump(_redact(settings, 0, hide=False), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


class _Dumper(yaml.SafeDumper):
    """Writes a value used twice twice: an alias in the kept copy would be harder to read than it is worth."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the base class's signature
        return True


def _redact(value: object, depth: int, *, hide: bool) -> object:
    if isinstance(value, dict):
        # The two upper levels hold kinds and names of components, such as bearertokenauth.
        named = {key: hide or (depth > 1 and _is_secret(str(key))) for key in value}
        return {key: _redact(entry, depth + 1, hide=named[key]) for key, entry in value.items()}
    if isinstance(value, list):
        return [_redact(entry, depth + 1, hide=hide) for entry in value]
    if hide and value is not None and not isinstance(value, bool):
        return value if isinstance(value, str) and _REFERENCE.match(value) else REDACTED
    return _clean(value) if isinstance(value, str) else value


def _is_secret(key: str) -> bool:
    plain = re.sub(r"[^a-z0-9]+", "_", key.lower())
    return bool(_SECRET.search(plain)) and not _PLACE.search(plain)


def _clean(text: str) -> str:
    if "-----BEGIN" in text:
        return REDACTED
    return _QUERY.sub(rf"\1{REDACTED}", _LOGIN.sub(f"{REDACTED}@", text))
