"""Matplotlib figures as inline SVG that takes its colours and fonts from the page.

A figure is drawn with marker colours; each becomes a CSS variable, so that one drawing reads
in light, dark and print. Text stays text. Ids get the figure's name in front, because several
figures share one page, and nothing of time, host or release enters: same input, same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Drawn as these, shown as the page's variables; any other colour is a mistake a test catches.
INK, QUIET, LINE, PAPER = "#010000", "#010001", "#010002", "#010003"
ACCENT, BAND, VALID, SECOND, BAD, THIRD = "#010004", "#010005", "#010006", "#010007", "#010008", "#010009"
VARIABLES = {
    INK: "ink",
    QUIET: "quiet",
    LINE: "line",
    PAPER: "paper",
    ACCENT: "accent",
    BAND: "band",
    VALID: "valid",
    SECOND: "second",
    BAD: "bad",
    THIRD: "third",
}

STYLE: Mapping[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "honua",
    "text.parse_math": False,  # a dollar sign is money, never mathematics
    "axes.formatter.use_mathtext": False,
    "axes.unicode_minus": True,
    "font.family": "DejaVu Sans",  # ships with Matplotlib: text is measured alike everywhere
    "font.size": 12,
    "axes.titlesize": 12,
    "axes.labelsize": 12,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.edgecolor": LINE,
    "axes.labelcolor": QUIET,
    "axes.titlecolor": QUIET,
    "axes.facecolor": "none",
    "axes.linewidth": 1,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": QUIET,
    "ytick.labelcolor": QUIET,
    "ytick.major.size": 0,
    "figure.facecolor": "none",
    "text.color": INK,
    "path.simplify": True,
}


def drawable(label: str, length: int = 40) -> str:
    """A label in letters that every font has; tables keep the full one."""
    return re.sub(r"[^ -~°±µ–…≤≥×]", "?", label)[:length]


@contextmanager
def house_style() -> Iterator[None]:
    """Matplotlib's settings while a figure is made and saved, back to what they were afterwards."""
    import matplotlib as mpl  # noqa: PLC0415  (half a second that only a page pays)

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


def inline(figure: Figure, name: str, title: str, description: str) -> str:
    """The figure as one ``<svg>`` element, its text alternative inside.

    Args:
        figure: A ``matplotlib.figure.Figure`` made at 72 dots per inch in the colours above.
        name: Stands in front of every id; unique on the page.
        title: Becomes ``<title>``.
        description: Becomes ``<desc>``.
    """
    drawn = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(drawn, format="svg", metadata=nothing)
    return _dressed(_stripped(drawn.getvalue()), name, title, description)


def _stripped(svg: str) -> str:
    """The drawing without prolog, metadata, comments, its page-wide style rule and its spare digits."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r">\s+<", "><", svg).strip()
    used = set(re.findall(r'href="#([^"]*)"', svg)) | set(re.findall(r"url\(#([^)]*)\)", svg))
    svg = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", svg)
    svg = re.sub(r"<[^>]+>", lambda tag: _short(tag[0]), svg)
    return re.sub(r"<defs></defs>", "", svg)


def _short(tag: str) -> str:
    """A tag with hundredths of a pixel for coordinates and the page's font family."""
    tag = re.sub(r" transform=\"rotate\(-0 [^\"]*\"| font-family: [^;\"]*;", "", tag)
    tag = re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), tag)
    return re.sub(r"\s+", " ", tag)


def _dressed(svg: str, name: str, title: str, description: str) -> str:
    view_box = re.search(r'viewBox="([^"]*)"', svg)
    if view_box is None:
        raise ValueError("Matplotlib wrote an SVG without viewBox")
    body = svg[svg.index(">") + 1 :]
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = body.replace("url(#", f"url(#{name}-").replace('xlink:href="#', f'href="#{name}-')
    for colour, variable in VARIABLES.items():
        body = body.replace(colour, f"var(--{variable})")
    head = (
        f'<svg viewBox="{view_box[1]}" role="img" aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
    )
    return head + body
