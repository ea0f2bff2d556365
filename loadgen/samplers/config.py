"""What a Collector configuration samples: its YAML read into a Pipeline, every doubt named, none guessed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from loadgen.errors import InputError
from loadgen.samplers.head import HeadSampler
from loadgen.samplers.pipeline import Pipeline, Stage
from loadgen.samplers.policies import read_policy
from loadgen.samplers.section import Section, read_yaml
from loadgen.samplers.tail import TailSampler

#: Processors that pass every span on, with its ids, times and status untouched.
PASSING = frozenset(
    (
        *("attributes", "batch", "geoip", "group_by_attrs", "group_by_trace", "groupbyattrs", "groupbytrace"),
        *("k8s_attributes", "k8sattributes", "memory_limiter", "queue_batch", "redaction", "remote_tap"),
        *("remotetap", "resource", "resource_detection", "resourcedetection"),
    )
)
_PRIORITY, _RUN_ID = "sampling.priority", "loadtest.run.id"
_STRATEGIES = ("trace-complete", "span-ingest")


def pipeline_from_config(text: str, place: str, chosen: str | None = None) -> Pipeline:
    """The samplers that traces pass in a Collector configuration.

    Args:
        text: The configuration, YAML.
        place: Its name in complaints, e.g. ``collector.yaml``.
        chosen: The pipeline to take, e.g. ``traces/tempo``; by default the only traces pipeline,
            or the only one with a sampler.

    Raises:
        InputError: Not a configuration, an unknown or misspelt setting, a value out of range, a
            reference (``${env:..}``) where a decision needs the value, more than one candidate,
            or a processor or policy whose effect cannot be predicted.
    """
    config = read_yaml(text, place)
    pipelines = config.section("service").section("pipelines")
    name = _choose(pipelines, chosen)
    processors = pipelines.section(name).texts("processors")
    defined = config.section("processors")
    stages = [stage for component in processors for stage in _stages(defined, component)]
    return Pipeline(name, tuple(stages), tuple(processors))


def _kind(component: str) -> str:
    return component.partition("/")[0].strip()


def _choose(pipelines: Section, chosen: str | None) -> str:
    names = [name for name in pipelines.values if _kind(name) == "traces"]
    if chosen is not None and chosen in names:
        return chosen
    if chosen is not None or not names:
        raise InputError(pipelines.place, chosen or list(pipelines.values), f"must be a traces pipeline of {names}")
    sampling = [
        name for name in names if any(_kind(p) in _SAMPLERS for p in pipelines.section(name).texts("processors"))
    ]
    if len(sampling or names) > 1:
        rule = "more than one traces pipeline could be meant; choose one"
        raise InputError(pipelines.place, ", ".join(sampling or names), rule)
    return (sampling or names)[0]


def _stages(defined: Section, component: str) -> list[Stage]:
    if component not in defined.values:
        raise InputError(defined.place, component, "is used by the pipeline but not defined here")
    kind, section = _kind(component), defined.section(component)
    if kind in _SAMPLERS:
        return [Stage(component, _SAMPLERS[kind](section))]
    if kind not in PASSING:
        rule = "may drop or change spans and is not modelled; leave it out of what is given here if it does not"
        raise InputError(section.place, component, rule)
    _check_passing(kind, section)
    return []


def _check_passing(kind: str, section: Section) -> None:
    """Passing processors may still touch the two attributes that the prediction or the audit rests on."""
    watched = {"attributes": _PRIORITY, "resource": _RUN_ID}.get(kind)
    keys = ("actions", "attributes")
    touched = [action for key in keys for action in section.sections(key)] if watched else []
    for action in touched:
        if action.values.get("key") == watched:
            raise InputError(
                action.at("key"), watched, "decides about sampling or tells runs apart; must be left alone"
            )
    if kind == "redaction" and not section.flag("allow_all_keys", default=False):
        allowed = section.texts("allowed_keys")
        if _RUN_ID not in allowed:
            raise InputError(section.at("allowed_keys"), allowed, f"must hold {_RUN_ID}")


def _head(section: Section) -> HeadSampler:
    section.only(
        *("sampling_percentage", "mode", "hash_seed", "sampling_precision", "fail_closed"),
        *("attribute_source", "from_attribute", "sampling_priority"),
    )
    precision = section.whole("sampling_precision", 4)
    if precision < 1:
        raise InputError(section.at("sampling_precision"), precision, "must be 1-14 hex digits")
    try:
        return HeadSampler(
            sampling_percentage=section.number("sampling_percentage", 0),
            mode=section.text("mode", "") or "hash_seed",
            hash_seed=section.whole("hash_seed", 0),
            sampling_precision=precision,
            fail_closed=section.flag("fail_closed", default=True),
        )
    except InputError as error:
        if error.place.startswith(section.place):
            raise
        raise InputError(section.at(error.place), error.value, error.rule) from error


def _tail(section: Section) -> TailSampler:
    section.only(
        *("decision_wait", "decision_wait_after_root_received", "num_traces", "expected_new_traces_per_sec"),
        *("block_on_overflow", "policies", "decision_cache", "tail_storage", "sample_on_first_match"),
        *("sampling_strategy", "drop_pending_traces_on_shutdown", "maximum_trace_size_bytes", "num_shards"),
    )
    section.section("decision_cache").only("sampled_cache_size", "non_sampled_cache_size")
    strategy = section.text("sampling_strategy", _STRATEGIES[0])
    if strategy not in _STRATEGIES:
        raise InputError(section.at("sampling_strategy"), strategy, f"must be one of {', '.join(_STRATEGIES)}")
    most_bytes = section.whole("maximum_trace_size_bytes", 0)
    if most_bytes:
        rule = "drops traces by their size in the Collector's memory, which cannot be predicted; must be 0"
        raise InputError(section.at("maximum_trace_size_bytes"), most_bytes, rule)
    policies = tuple(read_policy(entry) for entry in section.sections("policies"))
    names = [policy.name for policy in policies]
    if len(set(names)) < len(names):
        raise InputError(section.at("policies"), names, "must have different names")
    wait_s, num_traces = section.duration_s("decision_wait", 30.0), section.whole("num_traces", 50_000)
    return TailSampler(policies, wait_s, num_traces)


_SAMPLERS: Mapping[str, Callable[[Section], HeadSampler | TailSampler]] = MappingProxyType(
    {"probabilistic_sampler": _head, "tail_sampling": _tail}
)
