"""What if there were fewer hosts, or another rule? A small data centre, a day of it anew for each turn of a knob."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from xenlab.datacenter.day import Day
from xenlab.datacenter.fleet import datacenter
from xenlab.datacenter.orders import Policy
from xenlab.datacenter.packing import NoRoom
from xenlab.datacenter.policies import Both, Consolidate, Hotspots, Static, place, spread
from xenlab.datacenter.simulation import Simulation, Site
from xenlab.migration.frames_view import svg
from xenlab.migration.whatif_view import Knob, WhatIf
from xenlab.ui.theme import PALETTE

DOMAINS = 120
SITE = Site(step=900.0)
STILL = "nobody is moved"
#: The policies to choose from, each made from a threshold (0 to 1).
RULES: Mapping[str, Callable[[float], Policy]] = {
    STILL: lambda threshold: Static(),
    "hotspots are cooled": lambda threshold: Both(Hotspots(threshold, times=1, of=2), Static()),
    "quiet hosts are emptied": lambda threshold: Consolidate(limit=threshold),
    "both": lambda threshold: Both(Hotspots(threshold, times=1, of=2), Consolidate(limit=threshold - 0.1)),
}
FAILS = "the fullest host, at 11:00"


class RunDatacenter(WhatIf):
    """A data centre of 120 domains, and a day of it for every position of its knobs.

    Knobs: how many `hosts` there are, the `rule` by which they are run, the `threshold` (% of a host's pCPUs) that it
    works with, and what `fails`.

    >>> run = RunDatacenter()
    >>> run.set(rule="both").split(". ")[0]
    'Simulated: 24.6 kWh, 3 to 10 hosts on, 282 moves'
    """

    def __init__(self) -> None:
        knobs = [
            Knob("hosts", "Hosts", (6, 7, 8, 10, 12, 14, 16)),
            Knob("threshold", "A host may be busy", (60, 65, 70, 75, 80, 85, 90, 95), "%"),
            Knob("rule", "Rule", options=tuple(RULES)),
            Knob("fails", "What fails", options=("nothing", FAILS)),
        ]
        title = f"A data centre of {DOMAINS} domains over a day (simulated)"
        super().__init__(title, knobs, hosts=10, threshold=80, rule=STILL, fails="nothing")

    def draw(self, values: Mapping[str, Any]) -> tuple[str, str]:
        """Return the day as a picture, and what it came to in words."""
        cluster = datacenter(values["hosts"], DOMAINS)
        rule, threshold = values["rule"], values["threshold"] / 100
        try:
            start = place(cluster, limit=threshold) if rule == STILL else spread(cluster)
        except NoRoom:
            start = spread(cluster)
        simulation = Simulation(cluster, start, RULES[rule](threshold), site=SITE)
        if values["fails"] == FAILS:
            while simulation.now < 11 * 3600:
                simulation.advance()
            simulation.fail(simulation.fullest())
        day = simulation.run()
        return _drawing(day), _told(day)


def _told(day: Day) -> str:
    on, down = day.hosts_on, int(np.count_nonzero(day.down > 1.0))
    hosts = f"{on.min()}" if on.min() == on.max() else f"{on.min()} to {on.max()}"
    text = (
        f"Simulated: **{day.kwh:.1f} kWh**, {hosts} hosts on, {len(day.moves)} moves. "
        f"**{100 * day.lacked_share:.2f} %** of the CPU time that was wanted was lacking."
    )
    if down:
        text += f" {down} domains were down, the longest for {day.down.max():.0f} s."
    return text


def _drawing(day: Day) -> str:
    """Hosts on as a stair, the work of all in hosts' worth under it, moments of overload as marks above."""
    left, right, top, bottom = 44, 768, 34, 196
    hosts, steps = len(day.cluster.hosts), len(day.loads)
    x = [left + (right - left) * i / steps for i in range(steps + 1)]
    scale = (bottom - top) / hosts
    work = (day.loads * day.cluster.pcpus).sum(axis=1) / day.cluster.pcpus.mean()
    stair = "".join(
        f"{'M' if not i else 'L'}{x[i]:.1f} {bottom - scale * on:.1f}H{x[i + 1]:.1f}"
        for i, on in enumerate(day.hosts_on)
    )
    area = "".join(f"L{x[i]:.1f} {bottom - scale * each:.1f}H{x[i + 1]:.1f}" for i, each in enumerate(work))
    hot = "".join(
        f"M{x[i]:.1f} {top - 6}h{x[1] - x[0]:.1f}" for i in np.flatnonzero((day.loads > 1.0).any(axis=1))
    )
    parts = [
        f"<path d='M{left} {bottom}{area}V{bottom}z' fill='{PALETTE['sky']}' fill-opacity='.55'/>",
        f"<path d='{stair}' fill='none' stroke='currentColor' stroke-width='2.5'/>",
        f"<path class='hot' d='{hot}' fill='none' stroke='{PALETTE['orange']}' stroke-width='7'/>",
        f"<path class='line' d='M{left} {top}V{bottom}H{right}'/>",
        f"<rect x='44' y='3' width='14' height='11' fill='{PALETTE['sky']}' fill-opacity='.55' stroke='currentColor'/>",
        "<text x='64' y='13' class='small'>work, in hosts</text>",
        "<path d='M180 9h20' stroke='currentColor' stroke-width='2.5'/>",
        "<text x='206' y='13' class='small'>hosts on</text>",
        f"<path d='M300 9h20' stroke='{PALETTE['orange']}' stroke-width='7'/>",
        "<text x='326' y='13' class='small'>a host is asked for more than it has</text>",
    ]
    for count in sorted({0, hosts // 2, hosts}):
        parts.append(
            f"<text x='{left - 6}' y='{bottom - scale * count + 4:.0f}' text-anchor='end' class='small'>{count}</text>"
        )
    for hour in range(0, 25, 4):
        place_ = left + (right - left) * hour / 24
        anchor = "end" if hour == 24 else "middle"
        parts.append(
            f"<text x='{place_:.0f}' y='{bottom + 17}' text-anchor='{anchor}' class='small'>{hour}:00</text>"
        )
    return svg(780, 218, "Hosts that are on, and the work of all domains, over a day", *parts)
