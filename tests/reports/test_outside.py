"""What comes from outside is bounded before it meets a page."""

from __future__ import annotations

from reports.outside import clean, first, name


def test_control_characters_and_lone_surrogates_are_replaced() -> None:
    """A string that could not be written as UTF-8, or would garble a terminal, becomes printable."""
    cleaned = clean("a\x1b[31m\ud800b\x00")

    assert cleaned == "a\ufffd[31m\ufffdb\ufffd"
    assert cleaned.encode().decode() == cleaned


def test_long_text_is_cut_and_says_so() -> None:
    """What was cut is counted."""
    assert clean("x" * 1209, 5) == "xxxxx… (1,204 more characters)"


def test_lists_are_cut_and_say_so() -> None:
    """The rest of a list is counted; a list that fits has no note."""
    assert first(range(1206), 2) == ((0, 1), ("and 1,204 more",))
    assert first(range(2), 2) == ((0, 1), ())


def test_any_value_is_one_line() -> None:
    """Strings stay as they are, other values are JSON."""
    assert name("plain") == "plain"
    assert name({"a": [1, None]}) == '{"a": [1, null]}'
