"""How an attribute gets its value: a constant, or a rule that is drawn for every span."""

from __future__ import annotations

import re
from math import isfinite
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Scalar = bool | int | float | str
Constant = Scalar | list[str]

# Every value of a pool is encoded once, before the run; this bounds time and memory of that.
LARGEST_POOL = 65_536
LARGEST_TEXTS = 1 << 26
HEAVIEST = 1e12  # a weight; sums of them stay exact enough
# Format specifications are a language of their own (attributes, nested fields, widths of a gigabyte): a corner of it.
_PATTERN = re.compile(r"(?:[^{}]|\{\{|\}\}|\{n(?::0?(?:[1-9][0-9]?)?[dxX]?)?\})*", re.DOTALL)


class Strict(BaseModel):
    """Frozen, and closed to unknown keys: a misspelt key is an error, not a silent default."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)


class Pattern(Strict):
    """``cardinality`` values made from ``pattern``, where ``{n}`` is the value's number."""

    cardinality: int = Field(ge=1, le=LARGEST_POOL)
    pattern: Annotated[str, Field(max_length=1024)] = "{n}"

    @model_validator(mode="after")
    def _formats(self) -> Self:
        if _PATTERN.fullmatch(self.pattern) is None:
            raise ValueError("pattern must be text in which only {n} or {n:04d} is replaced")
        if self.cardinality > 1 and self.pattern.format(n=0) == self.pattern.format(n=1):
            raise ValueError("pattern must have {n} in it to make more than one value")
        return self


class Zipf(Pattern):
    """The k-th value (k from 1, ``{n}`` from 0) has weight k ** -exponent: few values are common, most are rare."""

    exponent: float = Field(default=1.0, gt=0, le=5)


class IntegerRange(Strict):
    """Whole numbers min..max, both included, each as likely."""

    min: int = Field(default=0, ge=0)
    max: int = Field(ge=0, lt=2**32)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max < self.min:
            raise ValueError("max must not be below min")
        return self


class Text(Strict):
    """``cardinality`` texts of min..max characters: words compress well, hex and base64 do not."""

    cardinality: int = Field(ge=1, le=LARGEST_POOL)
    min: int = Field(ge=1, le=16_384)
    max: int = Field(ge=1, le=16_384)
    alphabet: Literal["words", "hex", "base64"] = "words"

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max < self.min:
            raise ValueError("max must not be below min")
        if self.cardinality * self.max > LARGEST_TEXTS:
            raise ValueError(f"cardinality x max must be at most {LARGEST_TEXTS:,} characters")
        return self


def _encodable(raw: object) -> object:
    """What OTLP can carry: no number past 64 bits, no half of a surrogate pair."""
    if isinstance(raw, list):
        if not all(isinstance(item, str) for item in raw):
            raise ValueError("must be a list of texts and nothing else")
        return [_encodable(item) for item in raw]
    if not isinstance(raw, (bool, int, float, str)):
        raise ValueError("must be text, a number or true/false (quote what YAML takes for a date)")  # noqa: TRY004
    if isinstance(raw, int) and not -(2**63) <= raw < 2**63:
        raise ValueError("must be an integer of 64 bits")
    if isinstance(raw, float) and not isfinite(raw):
        raise ValueError("must be a finite number")
    if isinstance(raw, str) and any("\ud800" <= letter <= "\udfff" for letter in raw):
        raise ValueError("must be Unicode text")
    return raw


class Weighted(Strict):
    """One value of a choice and its weight."""

    value: Annotated[Scalar, BeforeValidator(_encodable)]
    weight: float = Field(default=1.0, gt=0, le=HEAVIEST)


def _weighted(raw: object) -> object:
    if isinstance(raw, dict):
        return [{"value": value, "weight": weight} for value, weight in raw.items()]
    if isinstance(raw, list):
        return [item if isinstance(item, dict) else {"value": item} for item in raw]
    return raw


Choices = Annotated[
    list[Weighted],
    Field(min_length=1, max_length=4096),
    BeforeValidator(_weighted, json_schema_input_type=dict[str, float] | list[Scalar | Weighted]),
]


def _constant(raw: object) -> object:
    if raw is None:
        raise ValueError("must be a value or a rule for one")
    return raw if isinstance(raw, (dict, Value)) else {"constant": raw}


class Value(Strict):
    """Exactly one rule for a value; a bare scalar or list of texts is a constant."""

    constant: Annotated[Constant, BeforeValidator(_encodable)] | None = None
    choice: Choices | None = None
    zipf: Zipf | None = None
    uniform: Pattern | None = None
    integer: IntegerRange | None = None
    text: Text | None = None
    hex: Annotated[int, Field(ge=1, le=64)] | None = None
    uuid: Literal["v4"] | None = None
    derive: Literal["duration_ms", "start_time", "end_time", "children"] | None = None
    variable: str | None = None

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if len(self.model_fields_set) != 1 or any(getattr(self, rule) is None for rule in self.model_fields_set):
            raise ValueError(f"must have exactly one of {', '.join(type(self).model_fields)}")
        return self

    @property
    def is_constant(self) -> bool:
        """Whether the value is the same on every span."""
        return self.constant is not None


AnyValue = Annotated[Value, BeforeValidator(_constant, json_schema_input_type=Constant | Value)]
Attributes = dict[Annotated[str, Field(min_length=1, max_length=256)], AnyValue]
