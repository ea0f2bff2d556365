"""The rate while a run goes on: edited, wrong, too much for a machine that is not ours, or made by users."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import configargparse
import pytest

from loadgen.errors import InputError
from loadgen.user.options import add_options, read_options
from loadgen.user.rates import RateKeeper, UserRates

SPANS = 10.0


def environment(users: int = 0, planned: int = 0, reported: int = 0) -> Any:
    """As much of Locust's environment as rates look at."""
    one, other = type("One", (), {"traces_per_s": 2.0}), type("Other", (), {})
    runner = SimpleNamespace(
        user_classes_count={"One": users, "Other": 5},
        reported_user_classes_count={"One": reported},
        target_user_count=planned,
    )
    return SimpleNamespace(runner=runner, user_classes=[one, other], parsed_options=SimpleNamespace(num_users=8))


def keeper(*arguments: str, **users: int) -> tuple[RateKeeper, Any]:
    parser = configargparse.ArgumentParser()
    add_options(parser)
    around = environment(**users)
    options = read_options(parser.parse_args(list(arguments), env_vars={}))
    return RateKeeper(options, UserRates(around, master=False), SPANS), around


def test_users_add_up_what_each_offers() -> None:
    """Users of other kinds offer nothing; a master counts the users that its workers report."""
    around = environment(users=3, planned=7, reported=4)
    assert UserRates(around, master=False).now_per_s() == 6.0
    assert UserRates(around, master=True).now_per_s() == 8.0
    assert UserRates(around, master=False).planned_per_s() == 14.0
    assert UserRates(environment(), master=False).planned_per_s() == 16.0


def test_an_edited_rate_is_told_once() -> None:
    """The senders hear of each change; None means that users decide from now on."""
    rates, _ = keeper("--rate", "5/s", users=3)
    told: list[float | None] = []
    for text in ("5/s", "50spans/s", "50spans/s", "7/s", "", ""):
        rates.follow(text, told.append)
    assert told == [5.0, 7.0, None]
    assert rates.total_per_s() == 6.0


def test_a_wrong_rate_is_complained_of_once_and_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """One line however often it is looked at, and again where another mistake follows."""
    rates, _ = keeper("--rate", "5/s")
    told: list[float | None] = []
    with caplog.at_level(logging.ERROR, "honua"):
        for text in ("banana", "banana", "apple", "5/s", "apple"):
            rates.follow(text, told.append)
    assert told == []
    assert rates.total_per_s() == 5.0
    assert [record.getMessage()[:21] for record in caplog.records] == [
        "--rate: got 'banana',", "--rate: got 'apple', ", "--rate: got 'apple', ",
    ]  # fmt: skip


def test_an_edit_needs_the_consent_of_a_start() -> None:
    """A rate that would have been refused at the start is refused while the load runs."""
    rates, _ = keeper("--rate", "50/s", "--otlp-endpoint", "http://far")
    told: list[float | None] = []
    rates.follow("101/s", told.append)
    assert (told, rates.total_per_s()) == ([], 50.0)
    rates.follow("100/s", told.append)
    assert told == [100.0]
    with pytest.raises(InputError, match="--yes-load: got '', must be far to send 1,010 spans/s"):
        rates.check(keeper("--rate", "101/s")[0].rate)


def test_users_that_nobody_agreed_to_add_nothing() -> None:
    """More users on another machine than it may have: the rate stays where it was, until there are fewer."""
    rates, around = keeper("--otlp-endpoint", "http://far", users=50, planned=50)
    told: list[float | None] = []
    rates.follow("", told.append)
    around.runner.target_user_count = 60
    rates.follow("", told.append)
    around.runner.user_classes_count["One"] = 60
    rates.follow("", told.append)
    assert (told, rates.total_per_s()) == ([100.0], 100.0)
    around.runner.target_user_count = around.runner.user_classes_count["One"] = 40
    rates.follow("", told.append)
    assert (told, rates.total_per_s()) == ([100.0, None], 80.0)
