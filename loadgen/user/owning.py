"""The owning half of a Locust process: begins runs, follows their rate, ends them with a verdict."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, TypeVar

import gevent

from loadgen.pace import NS_PER_S
from loadgen.run import Verdict
from loadgen.transport import identify
from loadgen.user.announce import announcement, doubts
from loadgen.user.load import Load, epoch_clock
from loadgen.user.observer import Observer, check_observer
from loadgen.user.options import LoadOptions, fixed_options, read_options
from loadgen.user.owner import Owner
from loadgen.user.rates import RateKeeper, UserRates
from loadgen.user.recorder import new_run_id, new_seed, open_book, read_config
from loadgen.user.session import Part

log = logging.getLogger("honua")
T = TypeVar("T")

# A schedule begins when its senders are ready; workers have to hear of the start first.
START_DELAY_S, WORKERS_START_DELAY_S = 0.3, 1.5


def off_loop(work: Callable[[], T]) -> T:
    """What ``work`` returns or raises, done on another thread while this one's greenlets go on."""

    def guarded() -> tuple[list[T], Exception | None]:
        try:
            return [work()], None
        except Exception as error:  # noqa: BLE001  (raised again below: gevent's pool would print it, too)
            return [], error

    done, error = gevent.get_hub().threadpool.apply(guarded)
    if error is not None:
        raise error
    result: T = done[0]
    return result


class Owning:
    """The runs that this process owns, one after the other.

    Args:
        environment: Locust's.
        load: What is sent.
        users: What users offer.

    Raises:
        InputError: What this process was started with cannot be used.
    """

    def __init__(self, environment: Any, load: Load, users: UserRates) -> None:  # noqa: ANN401
        self._environment, self._load, self._users = environment, load, users
        self._fixed = fixed_options(environment.parsed_options)
        self._observer: Observer | None = None
        self._trouble = ""
        self._keeper = self._check(self._options())
        self.owner: Owner | None = None

    def begin(self, senders: Sequence[str], *, distributed: bool) -> Owner:
        """A new run; the senders find their parts in Locust's parsed options.

        Raises:
            InputError: The run cannot begin.
        """
        parsed = self._environment.parsed_options
        self.owner, parsed.honua_parts = None, {}
        options = self._options()
        self._keeper = self._check(options)
        seed = options.seed if options.seed is not None else new_seed()
        run_id = options.run_id or new_run_id(self._load.topology.name, epoch_clock()() / NS_PER_S)
        target = identify(options.endpoint)
        book = off_loop(lambda: open_book(options, run_id, seed, self._load, target))
        start_ns = epoch_clock()() + int((WORKERS_START_DELAY_S if distributed else START_DELAY_S) * NS_PER_S)
        parts = {
            name: Part(run_id, seed, start_ns, i, len(senders), i, self._load.fingerprint)
            for i, name in enumerate(senders)
        }
        self.owner = Owner(run_id, book, parts, self._load.spans_per_trace, options.spans_per_request)
        if options.rate is not None:
            self.owner.asked(options.rate, self._keeper.total_per_s())
        self._announce(options, seed, self.owner)
        self._observer = Observer(options, self.owner.path) if options.observe else None
        # The workers see this in their own test_start: Locust sends options, as plain values, with the start.
        parsed.honua_parts = {name: list(part) for name, part in parts.items()}
        return self.owner

    def follow_rate(self, tell: Callable[[float | None], None]) -> None:
        """Take what the options say now, record it, and tell the senders of what changes."""
        if self.owner is not None:
            self._keeper.follow(self._environment.parsed_options.rate, tell)
            self.owner.asked(self._keeper.rate, self._keeper.total_per_s())

    def flush(self) -> None:
        """Write what was heard; says once what hinders it."""
        if self.owner is None:
            return
        off_loop(self.owner.book.flush)
        trouble = self.owner.book.trouble
        if trouble and trouble != self._trouble:
            log.error("the run file %s %s", self.owner.path, trouble)
        self._trouble = trouble

    def tell(self) -> None:
        """Print how it goes."""
        if self.owner is not None and self._environment.parsed_options.headless:
            log.info(self.owner.live.line(monotonic()))

    def end(self, stop_reason: str, faults: Sequence[str]) -> Verdict | None:
        """Judge the run that goes on, print its ledger; None where there is none."""
        owner = self.owner
        if owner is None or owner.verdict is not None:
            return None
        if self._observer is not None:
            self._observer.stop()
            self._observer = None
        owner.stop_hearing()
        verdict = off_loop(lambda: owner.end(stop_reason, faults))
        print("\n".join([*owner.ledger(), f"Verdict: {verdict.text}", f"Run: {owner.path}"]), flush=True)
        return verdict

    def _options(self) -> LoadOptions:
        return read_options(self._environment.parsed_options, self._environment.host, self._fixed)

    def _check(self, options: LoadOptions) -> RateKeeper:
        """What can be known to be wrong before anything starts."""
        keeper = RateKeeper(options, self._users, self._load.spans_per_trace)
        keeper.check(options.rate)
        read_config(options.collector_config)
        check_observer(options)
        return keeper

    def _announce(self, options: LoadOptions, seed: int, owner: Owner) -> None:
        planned_per_s = self._keeper.planned_per_s(options.rate)
        run_time_s = self._environment.parsed_options.run_time
        log.info(announcement(self._load, options, planned_per_s, run_time_s, seed, owner.path))
        users = int(self._environment.runner.target_user_count or 0)
        shaped = self._environment.shape_class is not None
        for doubt in doubts(self._load, options, 0 if shaped else len(owner.parts), users):
            log.warning(doubt)
