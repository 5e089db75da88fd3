"""The states of a domain as a picture: boxes, arrows named after what causes them, one box lit.

The picture is plain SVG text: a page without scripts shows it as it is, and the widgets' JavaScript only
moves the light (`diagram.js`). What is drawn here is checked against `model` by a test: no arrow that
cannot happen.
"""

from __future__ import annotations

import html
import math
from dataclasses import dataclass

from xenlab.domains.model import MEANING, State
from xenlab.ui.theme import PALE, PALETTE, dye

WIDTH, HEIGHT = 780, 392


@dataclass(frozen=True)
class Box:
    """A state's place: its centre and its width."""

    x: int
    y: int
    width: int = 112
    height: int = 38


@dataclass(frozen=True)
class Arrow:
    """Events that lead from one state to another: the corners of their line, and where their name stands.

    With `curved`, the middle one of three corners is the control point of a curve.
    """

    events: tuple[str, ...]
    label: str
    corners: tuple[tuple[int, int], ...]
    at: tuple[int, int] = (0, 0)
    anchor: str = "middle"
    curved: bool = False

    @property
    def line(self) -> str:
        """The line as SVG path data."""
        first, *rest = (f"{x} {y}" for x, y in self.corners)
        return f"M{first}Q{' '.join(rest)}" if self.curved else f"M{first}L{' '.join(rest)}"

    @property
    def head(self) -> str:
        """The arrowhead at its end as SVG path data."""
        (x0, y0), (x1, y1) = self.corners[-2:]
        length = math.hypot(x1 - x0, y1 - y0)
        ux, uy = (x1 - x0) / length, (y1 - y0) / length
        tip = (x1 + 7 * ux, y1 + 7 * uy)
        left, right = (x1 - 4.5 * uy, y1 + 4.5 * ux), (x1 + 4.5 * uy, y1 - 4.5 * ux)
        return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in (tip, left, right)) + "z"


BOXES = {
    State.ABSENT: Box(70, 176),
    State.PAUSED: Box(370, 34),
    State.RUNNABLE: Box(282, 150),
    State.RUNNING: Box(458, 150),
    State.BLOCKED: Box(370, 228),
    State.SHUTDOWN: Box(700, 118),
    State.CRASHED: Box(700, 200),
    State.DYING: Box(700, 336),
    State.SAVED: Box(370, 336),
}

LABELS = {
    State.ABSENT: "no domain",
    State.SHUTDOWN: "shut down",
    State.SAVED: "saved file",
}

#: The frame around the three states of a domain that is alive: left, top, width, height.
ALIVE = (216, 100, 308, 160)

ARROWS = (
    Arrow(("create",), "create", ((126, 176), (209, 176)), (168, 169)),
    Arrow(("create -p",), "create -p", ((70, 157), (70, 34), (307, 34)), (190, 27)),
    Arrow(("pause",), "pause", ((350, 100), (350, 60)), (343, 84), "end"),
    Arrow(("unpause",), "unpause", ((390, 53), (390, 93)), (398, 84), "start"),
    Arrow(("run",), "run", ((338, 142), (395, 142)), (368, 135)),
    Arrow(("preempt",), "preempt", ((402, 160), (345, 160)), (372, 178)),
    Arrow(("block",), "block", ((472, 169), (472, 226), (433, 228)), (475, 212), "start", curved=True),
    Arrow(("wake",), "wake", ((314, 228), (268, 226), (268, 176)), (265, 212), "end", curved=True),
    Arrow(
        ("shutdown", "reboot", "obey", "power off"), "shutdown, reboot", ((524, 118), (637, 118)), (580, 111)
    ),
    Arrow(("restart",), "restart (reboot)", ((700, 99), (700, 34), (500, 34), (500, 93)), (600, 27)),
    Arrow(("crash",), "crash", ((524, 200), (637, 200)), (580, 193)),
    Arrow(("clean up",), "", ((756, 118), (770, 118), (770, 330), (763, 330))),
    Arrow(("clean up",), "xl cleans up", ((700, 219), (700, 310)), (693, 270), "end"),
    Arrow(("destroy",), "destroy", ((500, 260), (500, 336), (637, 336)), (570, 329)),
    Arrow(("free",), "Xen frees the memory", ((700, 355), (700, 380), (70, 380), (70, 202)), (190, 373)),
    Arrow(("save", "save -c", "write"), "save", ((350, 260), (350, 310)), (343, 291), "end"),
    Arrow(("restore",), "restore", ((390, 317), (390, 267)), (398, 291), "start"),
)

_STYLE = dye("""
.xl-life{display:block;width:100%;height:auto;max-width:780px;margin:0 auto;color:inherit;font-family:inherit}
.xl-life text{font-size:13px;fill:currentColor}
.xl-life .alive{fill:none;stroke:currentColor;stroke-opacity:.35;stroke-dasharray:5 4}
.xl-life .box rect{fill:none;stroke:currentColor;stroke-opacity:.45;stroke-width:1.3}
.xl-life .box text{text-anchor:middle}
.xl-life .arrow path.line{fill:none;stroke:currentColor;stroke-opacity:.45;stroke-width:1.4}
.xl-life .arrow path.head{fill:currentColor;fill-opacity:.55}
.xl-life .arrow text{font-size:12px;fill-opacity:.82}
.xl-life .box.lit rect{stroke-opacity:1;stroke-width:2.4}
.xl-life .box.lit text{font-weight:700;fill:$dark}
.xl-life .arrow.lit path.line{stroke-opacity:1;stroke-width:3}
.xl-life .arrow.lit path.head{fill-opacity:1}
.xl-life .arrow.lit text{font-weight:700;fill-opacity:1}
""")

#: What fills a lit box. Dark lettering reads on all of them.
FILLS = {
    State.ABSENT: PALE["grey"],
    State.RUNNABLE: PALETTE["yellow"],
    State.RUNNING: PALE["green"],
    State.BLOCKED: PALE["sky"],
    State.PAUSED: PALE["orange"],
    State.SHUTDOWN: PALE["slate"],
    State.CRASHED: PALE["vermilion"],
    State.DYING: PALE["purple"],
    State.SAVED: PALE["blue"],
}


def draw(state: State | None = None, event: str | None = None) -> str:
    """Return the diagram as SVG text, with this state's box and this event's arrow lit.

    >>> "class='box lit' data-state='paused'" in draw(State.PAUSED)
    True
    """
    fills = "".join(
        f".xl-life .box.lit[data-state={name.value}] rect{{fill:{fill}}}" for name, fill in FILLS.items()
    )
    left, top, width, height = ALIVE
    parts = [
        f"<svg class='xl-life' viewBox='0 0 {WIDTH} {HEIGHT}' role='img' xmlns='http://www.w3.org/2000/svg'>",
        "<title>The states of a domain and what leads from one to the next</title>",
        f"<desc>{f'Lit: {label(state)}.' if state else 'Nothing is lit.'}</desc>",
        f"<style>{_STYLE}{fills}</style>",
        f"<rect class='alive' x='{left}' y='{top}' width='{width}' height='{height}' rx='10'/>",
        f"<text x='{left + 10}' y='{top + 18}'>alive</text>",
        *(_arrow(arrow, event in arrow.events) for arrow in ARROWS),
        *(_box(name, box, name is state) for name, box in BOXES.items()),
        "</svg>",
    ]
    return "".join(parts)


def label(state: State) -> str:
    """Return what stands in a state's box."""
    return LABELS.get(state, state.value)


def _box(state: State, box: Box, lit: bool) -> str:
    left, top = box.x - box.width // 2, box.y - box.height // 2
    return (
        f"<g class='box{' lit' if lit else ''}' data-state='{state.value}'>"
        f"<title>{html.escape(MEANING[state])}</title>"
        f"<rect class='eased' x='{left}' y='{top}' width='{box.width}' height='{box.height}' rx='8'/>"
        f"<text x='{box.x}' y='{box.y + 5}'>{label(state)}</text></g>"
    )


def _arrow(arrow: Arrow, lit: bool) -> str:
    x, y = arrow.at
    return (
        f"<g class='arrow{' lit' if lit else ''}' data-events='{','.join(arrow.events)}'>"
        f"<path class='line eased' d='{arrow.line}'/><path class='head eased' d='{arrow.head}'/>"
        f"<text x='{x}' y='{y}' text-anchor='{arrow.anchor}'>{html.escape(arrow.label)}</text></g>"
    )
