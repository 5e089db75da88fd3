"""What if the link were faster, the guest busier? Migrations that are computed anew for each position of a slider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any

import traitlets

from xenlab.migration.frames_view import svg
from xenlab.migration.pages import MigrationError
from xenlab.migration.policies import DowntimeLimit, Policy, Xen417
from xenlab.migration.precopy import migrate
from xenlab.migration.rivals import POLICIES
from xenlab.migration.rounds import Guest, Migration, Path
from xenlab.migration.timeline import Service, Site, Timeline, cold, live, warm
from xenlab.migration.workloads import hot_cold
from xenlab.ui.text import to_html, to_plain
from xenlab.ui.theme import DARK, PALE, PALETTE
from xenlab.ui.widget import Widget, source

_HERE = File(__file__).parent


@dataclass(frozen=True)
class Knob:
    """Something the reader sets: a slider over `steps` with a unit, or a choice of `options`."""

    name: str
    label: str
    steps: Sequence[float] = ()
    unit: str = ""
    options: Sequence[str] = ()

    def check(self, value: Any) -> None:
        """Raise `MigrationError` if this is not one of its positions."""
        positions = self.options or self.steps
        if value not in positions:
            raise MigrationError(f"{self.name}(={value!r}) must be one of: {', '.join(map(str, positions))}")


class WhatIf(Widget):
    """A picture with knobs: whenever one moves, Python computes `draw` anew.

    `values` holds the positions by name and may be set from a cell too: ``widget.set(mbit=1000)``.
    """

    needs_kernel = ".knobs :is(input, select)"
    _esm = source("parts.js", _HERE / "whatif.js")
    _css = source("theme.css", _HERE / "whatif.css")
    title = traitlets.Unicode().tag(sync=True)
    knobs: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    values: traitlets.Dict[str, Any] = traitlets.Dict().tag(sync=True)
    drawing = traitlets.Unicode().tag(sync=True)
    told = traitlets.Unicode().tag(sync=True)

    def __init__(self, title: str, knobs: Sequence[Knob], **start: Any) -> None:
        self._knobs = {knob.name: knob for knob in knobs}
        self._known: dict[tuple[Any, ...], tuple[str, str]] = {}
        super().__init__(title=title, knobs=[vars(knob) for knob in knobs], values=start)
        self._compute()
        self.observe(lambda _: self._compute(), "values")

    def set(self, **values: Any) -> str:
        """Move knobs to these positions and return what the picture then tells; `MigrationError` if there are none."""
        for name, value in values.items():
            if name not in self._knobs:
                raise MigrationError(f"knob(={name!r}) must be one of: {', '.join(self._knobs)}")
            self._knobs[name].check(value)
        self.values = {**self.values, **values}
        return to_plain(self._told)

    def _compute(self) -> None:
        positions = tuple(self.values.values())
        if positions not in self._known:  # a knob that is turned back and forth is computed once
            self._known[positions] = self.draw(self.values)
        drawing, self._told = self._known[positions]
        with self.hold_sync():  # one message, and one redraw
            self.drawing, self.told = drawing, to_html(self._told)

    def draw(self, values: Mapping[str, Any]) -> tuple[str, str]:
        """Return the picture for these positions, and what it tells in a sentence or two."""
        raise NotImplementedError

    def describe(self) -> str:
        """Return the positions of the knobs, and what the picture tells."""
        set_to = ", ".join(f"{self._knobs[name].label} {value:,} {self._knobs[name].unit}".rstrip()
                           if not isinstance(value, str) else f"{self._knobs[name].label} {value}"
                           for name, value in self.values.items())  # fmt: skip
        return f"{self.title}\n{set_to}\n{to_plain(self._told)}"

    def picture(self) -> str:
        """Return the drawing as it stands, with what it tells."""
        return f"<h3>{self.title}</h3>{self.drawing}<p>{self.told}</p>"


RULES: Mapping[str, Policy] = {policy.name: policy for policy in POLICIES}
MIB = 128
PATH_STATE, PATH_RESUME = 0.02, 0.04


class RoundByRound(WhatIf):
    """The rounds of a live migration: how wide a bar is says how long it took, how high how fast it was sent.

    The guest has 128 MiB. Knobs: `mbit` of the link, the guest's writing in its hot pages (`writes`, MiB/s)
    and how many of those there are (`hot`, MiB), the `policy` that decides when to stop, and for how long QEMU's
    rule `allowed` the guest to stand still (ms).

    >>> rounds = RoundByRound()
    >>> sent, stood_still = rounds.set(writes=100).split("; ")
    >>> sent
    'Simulated: 5 live rounds, 176 MiB sent in 1.5 s'
    >>> stood_still
    'the guest stood still for 94 ms. Pre-copy ended because 5 rounds were sent.'
    """

    def __init__(self) -> None:
        knobs = [
            Knob("mbit", "Link", (100, 250, 500, 1000, 2500, 5000, 10000), "Mbit/s"),
            Knob("writes", "Guest writes", (0, 5, 10, 20, 50, 100, 200, 400, 800), "MiB/s"),
            Knob("hot", "in hot pages", (1, 2, 4, 8, 16, 32, 64), "MiB"),
            Knob("policy", "Rule", options=tuple(RULES)),
            Knob("allowed", "QEMU may stop it for", (10, 30, 100, 300, 1000, 3000), "ms"),
        ]
        title = f"Live migration of a guest of {MIB} MiB, round by round (simulated)"
        super().__init__(title, knobs, mbit=1000, writes=20, hot=16, policy="Xen 4.17", allowed=300)

    def draw(self, values: Mapping[str, Any]) -> tuple[str, str]:
        """Return the rounds as bars over time, and the totals in words."""
        rule = RULES[values["policy"]]
        if isinstance(rule, DowntimeLimit):
            rule = DowntimeLimit(values["allowed"] / 1000)
        move = _move(values["mbit"], values["writes"], values["hot"], rule)
        live = len(move.rounds) - 1
        ended = f"Pre-copy ended because {move.reason}." if live else "There was no pre-copy."
        told = (
            f"Simulated: {live} live round{'' if live == 1 else 's'}, {move.mib_sent:.0f} MiB sent in "
            f"{move.seconds:.1f} s; the guest stood still for **{_time(move.downtime)}**. {ended}"
        )
        return _rounds_drawing(move, values["mbit"]), told


def _move(mbit: float, writes: float, hot: float, policy: Policy, mib: float = MIB) -> Migration:
    load = hot_cold(mib, hot, 0.95 * writes, 0.05 * writes)
    return migrate(Guest(mib), load, policy, Path(mbit=mbit, state=PATH_STATE, resume=PATH_RESUME))


def _time(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 90 else f"{seconds / 60:.1f} min"


def _rounds_drawing(move: Migration, mbit: float) -> str:
    left, right, top, bottom = 62, 760, 22, 176
    width, height = right - left, bottom - top
    top_rate = max(mbit, max(each.dirty_rate for each in move.rounds) * 1.05)
    scale = width / move.seconds
    parts = [f"<path class='line' d='M{left} {top}V{bottom}H{right}'/>"]
    for rate in (top_rate / 2, top_rate):
        y = bottom - height * rate / top_rate
        parts.append(
            f"<path class='line' stroke-dasharray='2 4' d='M{left} {y:.0f}H{right}'/>"
            f"<text x='{left - 6}' y='{y + 4:.0f}' text-anchor='end' class='small'>{rate:,.0f}</text>"
        )
    for each in move.rounds:
        x, wide = left + each.start * scale, max(1.5, each.seconds * scale)
        tall = height * each.rate / top_rate
        fill = PALE["sky"] if each.live else PALE["vermilion"]
        parts.append(
            f"<rect x='{x:.1f}' y='{bottom - tall:.1f}' width='{wide:.1f}' height='{tall:.1f}' fill='{fill}' "
            f"stroke='{DARK}' stroke-width='.7'/>"
        )
        if wide > 16:
            name = str(each.number) if each.live else "stop"
            if each.live or wide > 40:
                parts.append(
                    f"<text x='{x + wide / 2:.1f}' y='{bottom - 7}' text-anchor='middle' class='dark strong'>"
                    f"{name}</text>"
                )
        if each.live:
            y = bottom - height * each.dirty_rate / top_rate
            parts.append(
                f"<path d='M{x:.1f} {y:.1f}h{wide:.1f}' stroke='{PALETTE['vermilion']}' "
                "stroke-width='2.5' stroke-dasharray='5 3'/>"
            )
    down = move.downtime * scale
    parts.append(
        f"<rect x='{right - max(down, 2):.1f}' y='{bottom + 4}' width='{max(down, 2):.1f}' height='8' "
        f"fill='{PALE['vermilion']}'/>"
    )
    parts += [
        f"<text x='{left}' y='{bottom + 28}' class='small'>0 s</text>",
        f"<text x='{right}' y='{bottom + 28}' text-anchor='end' class='small'>"
        f"{move.seconds:.1f} s; stood still {_time(move.downtime)}</text>",
        f"<text x='{left}' y='13' class='small'>Mbit/s</text>",
        _legend(150, PALE["sky"], "sent in a live round"),
        f"<path d='M320 9h22' stroke='{PALETTE['vermilion']}' stroke-width='2.5' stroke-dasharray='5 3'/>",
        "<text x='348' y='13' class='small'>dirtied meanwhile</text>",
        _legend(490, PALE["vermilion"], "sent while the guest stands still"),
    ]
    return svg(780, 212, f"{len(move.rounds) - 1} live rounds and the stop-and-copy phase", *parts)


#: How a step is filled by what the guest's users notice, and the word for it.
FILLS = {Service.UP: PALE["green"], Service.SLOW: PALETTE["yellow"], Service.DOWN: PALE["vermilion"]}
WORDS = {Service.UP: "answers", Service.SLOW: "answers, slower", Service.DOWN: "does not answer"}


def draw_timelines(timelines: Sequence[Timeline], notes: Mapping[str, str] = {}) -> str:
    """Return timelines one under the other on one scale; `notes` stand in for kinds that have none."""
    left, right, row = 70, 770, 66
    longest = max(timeline.seconds for timeline in timelines)
    scale = (right - left) / longest
    parts, y = [], 26
    for x, service in zip((70, 200, 380), FILLS, strict=True):
        parts.append(_legend(x, FILLS[service], WORDS[service]))
    for timeline in timelines:
        parts.append(f"<text x='0' y='{y + 17}' class='strong'>{timeline.kind}</text>")
        told = []
        for step in timeline.steps:
            start, wide = left + step.start * scale, max(2.0, step.seconds * scale)
            parts.append(
                f"<rect x='{start:.1f}' y='{y}' width='{wide:.1f}' height='26' fill='{FILLS[step.service]}' "
                f"stroke='{DARK}' stroke-width='.7'><title>{step.what}: {step.seconds:.1f} s</title></rect>"
            )
            if wide > 7 * len(step.what) + 8:
                parts.append(
                    f"<text x='{start + wide / 2:.1f}' y='{y + 17}' text-anchor='middle' class='small dark'>"
                    f"{step.what}</text>"
                )
            elif not step.what.startswith("round"):
                told.append(step.what)
        small = f"; too short to label: {', '.join(told)}" if told else ""
        parts.append(
            f"<text x='{left}' y='{y + 42}' class='small'>{timeline.seconds:.1f} s in all, down for "
            f"<tspan class='strong'>{_time(timeline.downtime)}</tspan>{small}</text>"
        )
        y += row
    for kind, note in notes.items():
        parts.append(
            f"<text x='0' y='{y + 17}' class='strong'>{kind}</text>"
            f"<text x='{left}' y='{y + 17}' class='small'>{note}</text>"
        )
        y += row
    return svg(780, y - 14, "Migrations one under the other", *parts)


def _legend(x: int, fill: str, word: str) -> str:
    """One entry of the line above a picture that says what its colours mean."""
    return (
        f"<rect x='{x}' y='3' width='12' height='11' fill='{fill}' stroke='{DARK}' stroke-width='.7'/>"
        f"<text x='{x + 18}' y='13' class='small'>{word}</text>"
    )


def _downtimes(timelines: Sequence[Timeline]) -> str:
    return ", ".join(f"{each.kind} {_time(each.downtime)} of {_time(each.seconds)}" for each in timelines)


class SideBySide(WhatIf):
    """Cold, warm and live migration of one guest, one under the other.

    Knobs: the guest's `memory` (MiB) and `disk` (GiB), the `link` (Mbit/s), what the guest `writes` (MiB/s),
    and whether both hosts reach its disk (`shared`).

    >>> SideBySide().set(shared="no")
    'Simulated, time without an answer: cold 1.6 min of 1.6 min, warm 1.5 min of 1.5 min.'
    """

    def __init__(self) -> None:
        knobs = [
            Knob("memory", "Memory", (128, 256, 512, 1024), "MiB"),
            Knob("disk", "Disk", (1, 2, 4, 8, 16, 32), "GiB"),
            Knob("link", "Link", (100, 1000, 10000), "Mbit/s"),
            Knob("writes", "Guest writes", (0, 5, 20, 50, 100), "MiB/s"),
            Knob("shared", "Do both hosts reach the disk?", options=("yes", "no")),
        ]
        title = "One guest, moved in three ways (simulated)"
        super().__init__(title, knobs, memory=1024, disk=8, link=1000, writes=20, shared="yes")

    def draw(self, values: Mapping[str, Any]) -> tuple[str, str]:
        """Return the timelines, and the downtimes in words."""
        shared = values["shared"] == "yes"
        mib, mbit = values["memory"], values["link"]
        site = Site(mib, 1024.0 * values["disk"], shared, mbit / 8 * 1e6 / 2**20)
        lines, notes = [cold(site), warm(site)], {}
        if shared:
            moved = _move(mbit, values["writes"], mib / 16, Xen417(), mib)
            lines.append(live(site, moved))
        else:
            notes = {"live": "not possible: it moves memory, and the disk would stay behind"}
        return draw_timelines(lines, notes), f"Simulated, time without an answer: {_downtimes(lines)}."


class Timelines(Widget):
    """Migrations that have happened, one under the other; `simulated` says whether a real Xen did them."""

    _esm = source("parts.js", _HERE / "whatif.js")
    _css = source("theme.css", _HERE / "whatif.css")
    title = traitlets.Unicode().tag(sync=True)
    knobs: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    values: traitlets.Dict[str, Any] = traitlets.Dict().tag(sync=True)
    drawing = traitlets.Unicode().tag(sync=True)
    told = traitlets.Unicode().tag(sync=True)

    def __init__(self, *timelines: Timeline, simulated: bool) -> None:
        if not timelines:
            raise MigrationError("timelines(=none) must be at least one: move a guest first")
        how = "simulated" if simulated else "measured on a real Xen"
        told = f"Time without an answer ({how}): {_downtimes(timelines)}."
        super().__init__(title=f"What happened ({how})", drawing=draw_timelines(timelines), told=told)

    def describe(self) -> str:
        """Return the downtimes in words."""
        return str(self.told)

    def picture(self) -> str:
        """Return the drawing, with the downtimes in words."""
        return f"<h3>{self.title}</h3>{self.drawing}<p>{self.told}</p>"
