"""What may be asked of a load: options, consent to load another machine, headers from the environment."""

from __future__ import annotations

import subprocess
import sys
from argparse import Namespace
from typing import Any

import configargparse
import pytest

from loadgen.errors import InputError
from loadgen.user.consent import check_consent, is_loopback
from loadgen.user.headers import HEADERS_VARIABLE, otlp_headers
from loadgen.user.help import options_help
from loadgen.user.options import OPTIONS, add_options, fixed_options, read_options

BOUNDS = "must be a rate such as 200/s, 1000rps, 200 traces/s or 5000 spans/s, above 0"


def parsed(*arguments: str, environment: dict[str, str] | None = None) -> Namespace:
    """What Locust's kind of parser makes of a command line."""
    parser = configargparse.ArgumentParser()
    add_options(parser)
    found: Namespace = parser.parse_args(list(arguments), env_vars=environment or {})
    return found


def changed(**values: object) -> Namespace:
    """What Locust's web form makes of the options: it checks nothing."""
    found = parsed()
    vars(found).update(values)
    return found


def test_options_are_plain_values() -> None:
    """Locust sends them to its workers by msgpack, which takes nothing else; the web form keeps their type."""
    values = vars(parsed())
    assert {type(values[option.key]) for option in OPTIONS} == {str, int, float, bool}


def test_nothing_said_means_the_collector_of_this_machine() -> None:
    """Without options: OTLP/HTTP to localhost:4318, users decide on the rate, the seed is drawn."""
    options = read_options(parsed())
    assert (options.endpoint.url, options.endpoint.path) == ("http://localhost:4318", "/v1/traces")
    assert (options.rate, options.seed, options.gzip, options.spans_per_request) == (None, None, False, 2000)


def test_options_come_from_the_environment_too() -> None:
    """Each option has a variable; the command line wins."""
    environment = {"HONUA_RATE": "5000spans/s", "HONUA_SEED": "7", "HONUA_OBSERVE": "true", "HONUA_NOTE": "a"}
    options = read_options(parsed("--note", "b", environment=environment))
    assert options.rate is not None
    assert (options.rate.text, options.seed, options.observe, options.note) == ("5000spans/s", 7, True, "b")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rate", "banana"], f"--rate: got 'banana', {BOUNDS}"),
        (["--rate", "0/s"], f"--rate: got '0/s', {BOUNDS}"),
        (["--seed", "-1"], "--seed: got '-1', must be a whole number below 2**63"),
        (["--seed", str(2**63)], "must be a whole number below 2**63"),
        (["--seed", "٣"], "must be a whole number below 2**63"),
        (["--run-id", "../x"], "--run-id: got '../x', must be at most 64 letters, digits, - and _"),
        (["--otlp-endpoint", "ftp://x"], "--otlp-endpoint: got 'ftp://x', must be a URL such as"),
        (["--otlp-endpoint", "http://u:pw@x"], "a URL with a user in it"),
        (["--spans-per-request", "0"], "--spans-per-request: got 0, must be 1-100000"),
        (["--max-backlog", "nan"], "--max-backlog: got nan, must be 0-600"),
        (["--delivery", "pigeon"], "invalid choice: 'pigeon'"),
        (["--otlp-compression", "zip"], "invalid choice: 'zip'"),
    ],
)
def test_a_wrong_option_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Argparse ends with the words of the check itself, and never with a password."""
    with pytest.raises(SystemExit) as ended:
        parsed(*arguments)
    shown = capsys.readouterr().err
    assert ended.value.code == 2
    assert message in shown
    assert "pw" not in shown


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"rate": "banana"}, "--rate"),
        ({"seed": "x"}, "--seed"),
        ({"run_id": "a/b"}, "--run-id"),
        ({"delivery": "pigeon"}, "--delivery"),
        ({"otlp_compression": "zip"}, "--otlp-compression"),
        ({"spans_per_request": 10**9}, "--spans-per-request"),
        ({"max_backlog": "soon"}, "--max-backlog"),
        ({"otlp_endpoint": "x"}, "--otlp-endpoint"),
    ],
)
def test_what_the_web_form_lets_through_is_checked_again(values: dict[str, Any], place: str) -> None:
    """Locust's form calls no ``type=``: every rule holds at the start of a run, too."""
    with pytest.raises(InputError) as wrong:
        read_options(changed(**values))
    assert wrong.value.place == place


def test_locusts_own_host_names_the_target_where_no_endpoint_does() -> None:
    """``-H`` and the form's host field are Locust's way to name a target; an endpoint of ours wins."""
    assert read_options(parsed(), "http://a:1").endpoint.url == "http://a:1"
    assert read_options(parsed("--otlp-endpoint", "http://b:2"), "http://a:1").endpoint.url == "http://b:2"
    assert read_options(parsed(), "").endpoint.url == "http://localhost:4318"


def test_a_web_page_cannot_touch_files_or_give_consent() -> None:
    """Any page the user's browser has open can post to Locust's form: these stay as the process was started."""
    fixed = fixed_options(parsed("--runs-dir", "mine"))
    posted = changed(runs_dir="/etc", yes_load="victim", collector_config="/etc/passwd", observe=True, note="posted")
    options = read_options(posted, fixed=fixed)
    assert (options.runs_dir, options.yes_load, options.collector_config) == ("mine", "", "")
    assert (options.observe, options.note) == (False, "posted")


def test_the_web_form_shows_what_it_may_change() -> None:
    """Locust shows options with an attribute that argparse's groups do not set."""
    parser = configargparse.ArgumentParser()
    add_options(parser)
    shown = {action.dest for action in parser._actions if getattr(action, "include_in_web_ui", False)}
    assert shown == {option.key for option in OPTIONS if not option.fixed}
    assert {"rate", "otlp_endpoint", "seed"} <= shown


def test_help_lists_every_option_with_its_variable() -> None:
    """``--help-load`` prints what Locust's --help cannot know."""
    text = " ".join(options_help().split())
    assert [option.name for option in OPTIONS if f"[env var: {option.variable}]" not in text] == []


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True), ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("a.localhost", True),
        ("10.0.0.1", False), ("localhost.example", False), ("notlocalhost", False), ("", False),
    ],
)  # fmt: skip
def test_loopback_is_this_machine_only(host: str, expected: bool) -> None:
    """A name that merely looks like this machine's is not."""
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("endpoint", "yes_load", "spans_per_s", "refused"),
    [
        ("http://localhost:4318", "", 1e6, False),
        ("http://far:4318", "", 1000, False),
        ("http://far:4318", "", 1001, True),
        ("http://far:4318", "other", 1001, True),
        ("http://far:4318", "far", 1e6, False),
        ("http://FAR:4318", "Far", 1e6, False),
        ("http://[2001:db8::1]:4318", "[2001:db8::1]", 1e6, False),
    ],
)
def test_another_machine_is_loaded_only_where_it_is_named_twice(
    endpoint: str, yes_load: str, spans_per_s: float, refused: bool
) -> None:
    """Above 1,000 spans/s a target that is not loopback needs --yes-load with its host."""
    options = read_options(parsed("--otlp-endpoint", endpoint, "--yes-load", yes_load))
    if not refused:
        check_consent(options, spans_per_s)
        return
    with pytest.raises(InputError, match=f"--yes-load: got '{yes_load}', must be far to send 1,001 spans/s"):
        check_consent(options, spans_per_s)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("a=b", {"a": "b"}),
        (" a = b , c=d=e ,", {"a": "b", "c": "d=e"}),
        ("authorization=Bearer%20x%2Cy", {"authorization": "Bearer x,y"}),
        ("empty=", {"empty": ""}),
    ],
)
def test_headers_are_read_as_every_exporter_reads_them(text: str, expected: dict[str, str]) -> None:
    """OTEL_EXPORTER_OTLP_HEADERS holds key=value pairs whose values are percent-encoded."""
    assert otlp_headers({HEADERS_VARIABLE: text}) == expected


@pytest.mark.parametrize("text", ["sesame", "=sesame", "a b=sesame", "a=sesame%0d%0ax:y", "a=sésame", "a:=sesame"])
def test_a_header_that_none_can_be_is_refused_without_showing_it(text: str) -> None:
    """The message names the variable and the rule; the HTTP client's own would show the value."""
    with pytest.raises(InputError) as wrong:
        otlp_headers({HEADERS_VARIABLE: text})
    assert "same" not in str(wrong.value)


def test_what_holds_no_greenlet_is_usable_without_locust() -> None:
    """Importing locust patches the whole process: only asking for TraceUser does it."""
    names = "options consent headers help tally session report sending rates book recorder owner live announce load"
    code = (
        f"import sys\nfor name in {names.split()!r}: __import__('loadgen.user.' + name)\n"
        "print([name for name in ('locust', 'gevent') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
