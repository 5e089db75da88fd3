"""A run as a picture: who was on which pCPU when, and below it each vCPU's credit, as plain SVG text.

Every vCPU has a lane of its own on every pCPU, and its name stands at both its lane and its line: nothing depends on
telling colours apart. The widget's JavaScript only draws a veil over what has not happened yet (`view.js`).
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from xenlab.scheduling.machine import (
    BvtParameters,
    Credit2Parameters,
    CreditParameters,
    Parameters,
    SedfParameters,
)
from xenlab.scheduling.simulate import Run
from xenlab.scheduling.workload import MS
from xenlab.ui.theme import PALETTE

WIDTH, LEFT, RIGHT = 780, 112, 704
LANE, HEADING, GAP, CREDITS = 14, 18, 34, 132
COLOURS = tuple(PALETTE[name] for name in ("blue", "orange", "green", "purple", "sky", "vermilion"))
DASHES = ("none", "6 3", "2 3", "8 3 2 3")

#: What a policy's trace calls credit, and how many of its units one step on the axis is.
UNITS: dict[type[Parameters], tuple[str, float]] = {
    CreditParameters: ("credits", 1),
    Credit2Parameters: ("credit (ms)", MS),
    BvtParameters: ("− virtual time", 1),
    SedfParameters: ("left of slice (ms)", MS),
}

_STYLE = """
.xl-schedule{display:block;width:100%;height:auto;color:inherit;font-family:inherit}
.xl-schedule text{font-size:11.5px;fill:currentColor}
.xl-schedule .title{font-weight:700}
.xl-schedule .end{text-anchor:end}
.xl-schedule .middle{text-anchor:middle}
.xl-schedule .axis{stroke:currentColor;stroke-opacity:.45}
.xl-schedule .grid{stroke:currentColor;stroke-opacity:.14}
.xl-schedule .lane{stroke:currentColor;stroke-opacity:.1}
.xl-schedule .line{fill:none;stroke-width:1.8}
"""


def colour_of(number: int) -> str:
    """The colour of the domain with this place among its system's domains."""
    return COLOURS[number % len(COLOURS)]


def x_of(ms: float, span_ms: float) -> float:
    """Where a moment stands in the picture, from left to right."""
    return round(LEFT + (RIGHT - LEFT) * ms / span_ms, 1)


def draw(run: Run) -> str:
    """Return the picture of a run as SVG text, as wide as the run is long.

    >>> from xenlab.scheduling import Domain, System, simulate
    >>> picture = draw(simulate(System((Domain("web"), Domain("db")), 1), 0.12))
    >>> picture.count("class='bar'"), picture.count("class='line'")
    (3, 2)
    """
    span = run.seconds * 1000
    gantt, bottom = _gantt(run, span)
    lines = _credits(run, span, bottom + GAP)
    height = bottom + GAP + CREDITS + 34
    grid = _grid(span, height - 30)
    told = f"{len(run.system.pcpu_numbers)} pCPUs over {span:g} ms of simulated time"
    return (
        f"<svg class='xl-schedule' viewBox='0 0 {WIDTH} {height}' role='img' xmlns='http://www.w3.org/2000/svg'>"
        f"<title>Which vCPU is on which pCPU, and the vCPUs' credit, {told}</title><style>{_STYLE}</style>"
        f"{''.join(grid)}{''.join(gantt)}{''.join(lines)}</svg>"
    )


def _grid(span: float, bottom: int) -> Iterable[str]:
    step = 30 if span <= 600 else 120
    for ms in range(0, int(span) + 1, step):
        x = x_of(ms, span)
        yield f"<line class='grid' x1='{x}' x2='{x}' y1='6' y2='{bottom}'/>"
        if ms % (2 * step) == 0:
            yield f"<text class='middle' x='{x}' y='{bottom + 14}'>{ms}</text>"
    yield f"<text x='{RIGHT + 16}' y='{bottom + 14}'>ms</text>"


def _gantt(run: Run, span: float) -> tuple[list[str], int]:
    """The lanes of all pCPUs, and where they end."""
    parts: list[str] = []
    colours = {
        name: colour_of(i) for i, domain in enumerate(run.system.domains) for name in domain.vcpu_names
    }
    top, tops = 4, {}
    for pcpu in run.system.pcpu_numbers:
        parts.append(f"<text class='title' x='6' y='{top + 13}'>pCPU {pcpu}</text>")
        top += HEADING
        for domain in run.system.domains:
            for name, cpus in zip(domain.vcpu_names, domain.affinities, strict=True):
                if cpus is None or pcpu in cpus:
                    tops[pcpu, name] = top
                    middle = top + LANE / 2
                    parts.append(f"<text class='end' x='{LEFT - 8}' y='{top + 11}'>{escape(name)}</text>")
                    parts.append(f"<line class='lane' x1='{LEFT}' x2='{RIGHT}' y1='{middle}' y2='{middle}'/>")
                    top += LANE
        top += 4
    for bar in run.bars:
        x = x_of(bar.start / MS, span)
        width = max(0.6, x_of(bar.end / MS, span) - x)
        y = tops[bar.pcpu, bar.vcpu] + 1.5
        parts.append(
            f"<rect class='bar' x='{x}' y='{y}' width='{width:.1f}' height='{LANE - 3}' fill='{colours[bar.vcpu]}'/>"
        )
    return parts, top


def _credits(run: Run, span: float, top: int) -> list[str]:
    what, unit = UNITS[type(run.system.scheduler)]
    lines = run.credits
    values = [credit / unit for line in lines.values() for _, credit in line] or [0.0]
    low, high = min(0.0, *values), max(0.0, *values)
    margin = max(0.06 * (high - low), 0.5)
    low, high = low - margin, high + margin

    def y_of(value: float) -> float:
        return round(top + CREDITS * (high - value) / (high - low), 1)

    parts = [f"<text class='title' x='6' y='{top - 8}'>{what}</text>"]
    for value in {0.0, min(values), max(values)}:
        if value == 0 or abs(y_of(value) - y_of(0)) > 12:
            parts.append(f"<text class='end' x='{LEFT - 8}' y='{y_of(value) + 4}'>{value:.0f}</text>")
    parts.append(f"<line class='axis' x1='{LEFT}' x2='{RIGHT}' y1='{y_of(0)}' y2='{y_of(0)}'/>")
    ends = []
    for i, domain in enumerate(run.system.domains):
        for number, name in enumerate(domain.vcpu_names):
            line = [(time, credit / unit) for time, credit in lines.get(name, [(0.0, 0)])]
            line.append((run.seconds * 1e9, line[-1][1]))
            points = " ".join(f"{x_of(time / MS, span)},{y_of(value)}" for time, value in line)
            style = f"stroke='{colour_of(i)}' stroke-dasharray='{DASHES[number % len(DASHES)]}'"
            parts.append(f"<polyline class='line' points='{points}' {style}/>")
            ends.append((y_of(line[-1][1]), name))
    below = top - 12.0
    for y, name in sorted(ends):
        below = max(y, below + 12)  # names that would lie on each other move down
        parts.append(f"<text x='{RIGHT + 6}' y='{below + 4:.1f}'>{escape(name)}</text>")
    return parts
