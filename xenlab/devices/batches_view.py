"""How large should a group of requests be? A slider over the runs of `batching`, which the page has all beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import traitlets

from xenlab.commands import XenlabError
from xenlab.devices.batching import BatchRun
from xenlab.ui.text import to_html, to_plain
from xenlab.ui.theme import dye
from xenlab.ui.widget import Widget, source

_HERE = Path(__file__).parent
WIDTH, HEIGHT, LEFT, TOP, BOTTOM, APART, ACROSS = 760, 196, 46, 30, 160, 385, 315
_STYLE = dye("""
.xl-groups{display:block;width:100%;height:auto;max-width:760px;margin:0 auto;color:inherit;font-family:inherit}
.xl-groups text{font-size:12px;fill:currentColor}.xl-groups .title{font-size:13px;font-weight:700}
.xl-groups .axis{stroke:currentColor;stroke-opacity:.45}.xl-groups .end{text-anchor:end}
.xl-groups .mid{text-anchor:middle}
.xl-groups .curve{fill:none;stroke:$green;stroke-width:2.2}
.xl-groups .dot{fill:$orange;stroke:$dark;stroke-width:1.5}
.xl-groups .cursor{stroke:currentColor;stroke-opacity:.5;stroke-dasharray:3 3}
""")


class Batches(Widget):
    """Throughput and notifications saved against the size of the groups in which requests come (simulated).

    `runs` are those of `xenlab.devices.batching.sweep`, the smallest group first; `chosen` is the place of the one
    shown. The page moves its slider by itself. Raises `XenlabError` for less than two runs.

    >>> from xenlab.devices.batching import sweep
    >>> print(Batches(sweep((1, 32), requests=64), chosen=1).describe().split(":")[0])
    Groups of 32
    """

    _esm = source("parts.js", _HERE / "batches.js")
    svg = traitlets.Unicode().tag(sync=True)
    chosen = traitlets.Int(0).tag(sync=True)
    #: For each run the size of its groups, the places of the two dots in the picture, and a line of text.
    runs: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)

    def __init__(self, runs: Sequence[BatchRun], chosen: int = 0) -> None:
        if len(runs) < 2:
            raise XenlabError(f"runs(={list(runs)!r}) must be two or more: a slider goes from one to another")
        self._told = [_told(run) for run in runs]
        most = max(run.throughput for run in runs) * 1.1
        rates = _curve([run.batch for run in runs], [run.throughput / most for run in runs], LEFT)
        saved = _curve([run.batch for run in runs], [run.saved for run in runs], LEFT + APART)
        rows = [
            {"batch": run.batch, "dots": [list(one), list(other)], "told": to_html(told)}
            for run, one, other, told in zip(runs, rates, saved, self._told, strict=True)
        ]
        axes = (f"{most / 1000:.0f}", "thousand requests/s"), ("100", "% of notifications saved")
        parts = [
            *_axes(LEFT, runs, *axes[0]),
            *_axes(LEFT + APART, runs, *axes[1]),
            *(f"<polyline class='curve' points='{_points(curve)}'/>" for curve in (rates, saved)),
            *(
                f"<g class='here' transform='translate({x} 0)'><line class='cursor' y1='{TOP}' y2='{BOTTOM}'/>"
                f"<circle class='dot' r='5' cy='{y}'/></g>"
                for x, y in (curve[chosen] for curve in (rates, saved))
            ),
        ]
        svg = (
            f"<svg class='xl-groups' viewBox='0 0 {WIDTH} {HEIGHT}' role='img' xmlns='http://www.w3.org/2000/svg'>"
            f"<title>Throughput, and notifications saved, against the size of groups</title><style>{_STYLE}</style>"
            f"{''.join(parts)}</svg>"
        )
        super().__init__(runs=rows, chosen=chosen, svg=svg)

    def describe(self) -> str:
        """Return what the slider shows, in words."""
        return to_plain(self._told[int(self.chosen)])

    def picture(self) -> str:
        """Return the curves, and every run in words."""
        told = "".join(f"<li>{row['told']}</li>" for row in self.runs)
        return f"{self.svg}<details><summary>In numbers</summary><ul>{told}</ul></details>"


def _told(run: BatchRun) -> str:
    return (
        f"Groups of **{run.batch}**: {run.throughput / 1000:.0f} thousand requests a second; {run.notifications} "
        f"events sent rather than {run.naive_notifications}, {100 * run.saved:.0f} % saved (simulated)."
    )


def _curve(batches: Sequence[int], heights: Sequence[float], left: int) -> list[tuple[float, float]]:
    first, last = batches[0], batches[-1]
    return [
        (
            round(left + ACROSS * (batch - first) / (last - first), 1),
            round(BOTTOM - (BOTTOM - TOP) * height, 1),
        )
        for batch, height in zip(batches, heights, strict=True)
    ]


def _points(curve: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in curve)


def _axes(left: int, runs: Sequence[BatchRun], top: str, title: str) -> list[str]:
    right = left + ACROSS
    return [
        f"<text class='title' x='{left}' y='16'>{title}</text>",
        f"<path class='axis' fill='none' d='M{left} {TOP}V{BOTTOM}H{right}'/>",
        f"<text class='end' x='{left - 6}' y='{TOP + 4}'>{top}</text>",
        f"<text class='end' x='{left - 6}' y='{BOTTOM}'>0</text>",
        f"<text class='mid' x='{left}' y='{BOTTOM + 16}'>{runs[0].batch}</text>",
        f"<text class='mid' x='{right}' y='{BOTTOM + 16}'>{runs[-1].batch}</text>",
        f"<text class='mid' x='{(left + right) / 2:.0f}' y='{BOTTOM + 30}'>requests in a group</text>",
    ]
