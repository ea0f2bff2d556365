"""The pages' style sheet."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import reports

SHEET = (Path(reports.__file__).parent / "templates" / "style.css").read_text(encoding="utf-8")
LIGHT, DARK = (
    dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})\b", block))
    for block in re.findall(r":root \{(.*?)\}", SHEET, re.DOTALL)[:2]
)
HEAT = [f"{hue}{step}" for hue in "he" for step in range(6)]
READ_ON = {
    "ink": ["paper", "wash", "accent-wash", "doubt-wash", *HEAT],
    "quiet": ["paper", "wash", "accent-wash", "doubt-wash", "valid", "h0", "h1", "h2", "e0", "e1", "e2"],
    "accent": ["paper", "accent-wash"],
    "good": ["paper"],
    "bad": ["paper"],
    "doubt": ["paper", "accent-wash", "doubt-wash"],
}


def luminance(colour: str) -> float:
    """Relative luminance by WCAG 2.2."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast ratio by WCAG 2.2."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_text_has_enough_contrast(colours: dict[str, str]) -> None:
    """Every text colour reaches 4.5 to 1 (WCAG AA) on every ground it stands on, in light and dark."""
    found = {
        f"{text} on {ground}": contrast(colours[text], colours[ground]) for text, of in READ_ON.items() for ground in of
    }

    assert {pair: round(ratio, 2) for pair, ratio in found.items() if ratio < 4.5} == {}


def test_contrast_is_that_of_the_standard() -> None:
    """Black on white is 21 to 1; the grey #767676 is the lightest that passes on white."""
    assert contrast("#000", "#fff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


def test_both_schemes_define_the_same_colours() -> None:
    """A colour missing in the dark would be the light one."""
    assert sorted(LIGHT) == sorted(DARK)
