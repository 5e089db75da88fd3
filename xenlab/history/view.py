"""The milestones on the page, and a server room that empties: a timeline, sliders, a picture that plays."""

from __future__ import annotations

import html
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import traitlets

from xenlab.history.consolidation import Plan, Server, alone, consolidate, fleet
from xenlab.history.pictures import PICTURES
from xenlab.history.timeline import MILESTONES, Line, select
from xenlab.ui.figure import show
from xenlab.ui.player import PLAYER_JS, Player
from xenlab.ui.text import to_html, to_plain
from xenlab.ui.theme import PALETTE, figures
from xenlab.ui.widget import Widget, source

_HERE = Path(__file__).parent
_CSS = source("theme.css", _HERE / "view.css")
#: Power of a host at full load in the widgets, in watts: an example.
PEAK_WATTS = 300


class Timeline(Widget):
    """Milestones of virtualization on seven lines: filter the lines, choose one, read what it is and who says so.

    >>> timeline = Timeline(Line.APPLICATION)
    >>> timeline
    September 1996: The Java virtual machine is specified
    June 2017: WebAssembly
    """

    _esm = source("parts.js", _HERE / "timeline.js")
    _css = _CSS
    milestones: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    lines = traitlets.List([line.value for line in Line]).tag(sync=True)
    #: The lines that are shown.
    shown = traitlets.List(traitlets.Unicode()).tag(sync=True)
    #: Number of the milestone whose story is told.
    chosen = traitlets.Int(0).tag(sync=True)

    def __init__(self, *lines: Line) -> None:
        wanted = lines or tuple(Line)
        super().__init__(
            milestones=[
                {
                    "year": each.year,
                    "when": each.when,
                    "line": each.line.value,
                    "title": each.title,
                    "why": each.why,
                    "source": each.source,
                    "link": each.link,
                    "picture": PICTURES[each.line],
                }
                for each in MILESTONES
            ],
            shown=[line.value for line in wanted],
            chosen=MILESTONES.index(select(wanted)[0]),
        )

    def _selected(self) -> list[Any]:
        return select([Line(name) for name in self.shown])

    def describe(self) -> str:
        """Return the milestones that are shown, one a line."""
        return "\n".join(f"{each.when}: {each.title}" for each in self._selected())

    def picture(self) -> str:
        """Return the milestones that are shown as a list with their sources."""
        items = "".join(
            f"<li><strong>{html.escape(f'{each.when}: {each.title}')}</strong>. {html.escape(each.why)} "
            f'<a href="{html.escape(each.link)}">{html.escape(each.source)}</a></li>'
            for each in self._selected()
        )
        return f"<ul>{items}</ul>"


class Consolidation(Widget):
    """The fleet before and after it is put together, with a slider for how full a host may be, and one for idle power.

    `limit` and `idle` are in per cent. All figures come from the model in `consolidation`, of made-up servers.

    >>> Consolidation(limit=60).describe().splitlines()[1]
    'After (simulated): 15 hosts, used 32 % on average.'
    """

    needs_kernel = "input"
    _esm = source("parts.js", _HERE / "consolidate.js")
    _css = _CSS
    limit = traitlets.Int(60, min=20, max=100).tag(sync=True)
    idle = traitlets.Int(50, min=0, max=100).tag(sync=True)
    alone: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    result = traitlets.Dict().tag(sync=True)

    def __init__(self, limit: int = 60, idle: int = 50) -> None:
        self._servers = fleet()
        super().__init__(limit=limit, idle=idle, alone=_bars(alone(self._servers)))
        self.observe(self._work_out, ["limit", "idle"])
        self._work_out()

    def _work_out(self, change: object = None) -> None:
        before, after = alone(self._servers), consolidate(self._servers, self.limit / 100)
        was, now = (plan.kwh_per_day(PEAK_WATTS, self.idle / 100) for plan in (before, after))
        self.result = {
            "before": f"Before (simulated): {_told(before)}",
            "after": f"After (simulated): {_told(after)}",
            "hosts": _bars(after),
            "energy": to_html(
                f"A day costs **{now:.0f} kWh** instead of {was:.0f} (simulated): {100 * (1 - now / was):.0f} % less, "
                f"with hosts of {PEAK_WATTS} W at full load."
            ),
        }

    def describe(self) -> str:
        """Return both plans and the energy they take."""
        return "\n".join(
            [self.result["before"], self.result["after"], to_plain(_unmarked(self.result["energy"]))]
        )

    def picture(self) -> str:
        """Return both plans and the energy they take as text."""
        return f"<p>{self.result['before']}<br>{self.result['after']}<br>{self.result['energy']}</p>"


class Sprawl(Player):
    """A server room that empties: machine by machine, servers move together, and what they leave is switched off.

    >>> Sprawl(limit=0.6).step(0)
    'Every server has a machine of its own: 48 machines, used 10 % on average (simulated).'
    """

    _esm = PLAYER_JS + source(_HERE / "sprawl.js")
    _css = _CSS
    size: traitlets.List[int] = traitlets.List().tag(sync=True)
    racks: traitlets.List[Any] = traitlets.List().tag(sync=True)
    machines: traitlets.List[list[int]] = traitlets.List().tag(sync=True)
    colours: traitlets.List[str] = traitlets.List().tag(sync=True)
    letters: traitlets.List[str] = traitlets.List().tag(sync=True)
    places: traitlets.List[list[list[int]]] = traitlets.List().tag(sync=True)
    on: traitlets.List[list[bool]] = traitlets.List().tag(sync=True)

    SLOTS, SLOT_WIDTH, SLOT_HEIGHT, MARGIN = 12, 128, 18, 26

    def __init__(self, limit: float = 0.6) -> None:
        plan = consolidate(fleet(), limit)
        firsts = [host[0] for host in plan.hosts]
        servers = [*firsts, *(server for host in plan.hosts for server in host[1:])]
        homes = [{server.name: number for number, server in enumerate(servers)}]
        for number, host in enumerate(plan.hosts):
            homes.append({**homes[-1], **{server.name: number for server in host[1:]}})
        homes = [homes[0], *(home for before, home in pairwise(homes) if home != before)]
        colours = dict(
            zip(dict.fromkeys(s.role for s in fleet()), ("blue", "orange", "green", "purple"), strict=True)
        )
        racks = -(-len(servers) // self.SLOTS)
        super().__init__(
            [_story(home, servers) for home in homes],
            size=[
                racks * (self.SLOT_WIDTH + self.MARGIN) + self.MARGIN,
                self.SLOTS * self.SLOT_HEIGHT + 2 * self.MARGIN,
            ],
            racks=[
                [
                    *self._corner(rack * self.SLOTS, -3),
                    self.SLOT_WIDTH + 6,
                    self.SLOTS * self.SLOT_HEIGHT + 4,
                    f"rack {rack + 1}",
                ]
                for rack in range(racks)
            ],
            machines=[
                [*self._corner(number), self.SLOT_WIDTH, self.SLOT_HEIGHT - 2]
                for number in range(len(servers))
            ],
            colours=[PALETTE[colours[server.role]] for server in servers],
            letters=[server.role[0].upper() for server in servers],
            places=[self._places(home, servers) for home in homes],
            on=[[number in home.values() for number in range(len(servers))] for home in homes],
        )

    def _corner(self, machine: int, by: int = 0) -> list[int]:
        rack, slot = divmod(machine, self.SLOTS)
        return [
            self.MARGIN + rack * (self.SLOT_WIDTH + self.MARGIN) + by,
            self.MARGIN + slot * self.SLOT_HEIGHT + by,
        ]

    def _places(self, home: dict[str, int], servers: Sequence[Server]) -> list[list[int]]:
        taken = dict.fromkeys(home.values(), 0)
        places = []
        for server in servers:
            x, y = self._corner(home[server.name])
            places.append([x + 3 + 14 * taken[home[server.name]], y + 2])
            taken[home[server.name]] += 1
        return places

    def picture(self) -> str:
        """Return every step in words."""
        return "<ol>" + "".join(f"<li>{caption}</li>" for caption in self.captions) + "</ol>"


def show_day(servers: Sequence[Server]) -> None:
    """Show the hours of a day: how many machines all the servers together would keep busy, by role."""
    import matplotlib.pyplot as plt

    total = [sum(hour) for hour in zip(*(server.load for server in servers), strict=True)]
    roles = dict.fromkeys(server.role for server in servers)
    below, layers = [0.0] * len(total), []
    for role in roles:
        members = [server.load for server in servers if server.role == role]
        top = [sum(hour) for hour in zip(below, *members, strict=True)]
        layers.append((role, below, top))
        below = top
    with figures():
        figure, axis = plt.subplots()
        for (role, low, high), hatch in zip(layers, ("", "//", "..", "xx"), strict=True):
            axis.fill_between(range(24), low, high, step="mid", label=role, hatch=hatch, alpha=0.75)
        axis.set(
            xlabel="hour of the day", ylabel="machines kept busy", xlim=(0, 23), ylim=(0, max(total) * 1.25)
        )
        axis.set_title(f"{len(servers)} servers keep at most {max(total):.1f} machines busy (simulated)")
        axis.legend(ncols=4, loc="upper left")
        show(
            figure,
            f"What {len(servers)} made-up servers do in a day (simulated), by role: together they keep "
            f"{min(total):.1f} to {max(total):.1f} machines busy. Nightly jobs work at 3 o'clock, when offices sleep.",
        )


def _told(plan: Plan) -> str:
    return f"{len(plan.hosts)} hosts, used {100 * plan.utilisation:.0f} % on average."


def _bars(plan: Plan) -> list[dict[str, Any]]:
    loads = [plan.load(host) for host in range(len(plan.hosts))]
    return [
        {
            "names": ", ".join(server.name for server in host),
            "count": len(host),
            "peak": round(100 * max(load), 1),
            "mean": round(100 * sum(load) / len(load), 1),
        }
        for host, load in zip(plan.hosts, loads, strict=True)
    ]


def _story(home: dict[str, int], servers: Sequence[Server]) -> str:
    on = len(set(home.values()))
    used = f"used {sum(server.mean for server in servers) / on:.0%} on average (simulated).".replace(
        "%", " %"
    )
    if on == len(servers):
        return f"Every server has a machine of its own: {on} machines, {used}"
    return f"**{on}** machines are on, {used}"


def _unmarked(text: str) -> str:
    return text.replace("<strong>", "").replace("</strong>", "")
