"""A day of a data centre on the page: racks that play, and figures that compare days."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import traitlets

from xenlab.datacenter.cluster import DatacenterError
from xenlab.datacenter.day import Day, Moved
from xenlab.datacenter.orders import Power
from xenlab.datacenter.sweep import Sweep
from xenlab.ui.figure import show
from xenlab.ui.player import PLAYER_JS, Player
from xenlab.ui.theme import DARK, LIGHT, figures
from xenlab.ui.widget import source

if TYPE_CHECKING:
    import pandas as pd

_HERE = Path(__file__).parent
#: How a host that is not on is told to the page: in place of its load in per cent.
_STATES = {Power.OFF: -1, Power.BOOTING: -2, Power.FAILED: -3}


class Racks(Player):
    """A simulated day as racks of hosts: how busy each is, who is off, who is on the move.

    One moment for every `every`th step of the day. At most 120 hosts can be drawn; `DatacenterError` for more.

    >>> from xenlab.datacenter.fleet import datacenter
    >>> from xenlab.datacenter.policies import Static, place
    >>> from xenlab.datacenter.simulation import simulate
    >>> cluster = datacenter(hosts=6, domains=60)
    >>> Racks(simulate(cluster, place(cluster), Static())).step(36)
    '09:00. 3 of 6 hosts on, 49 % busy, 669 W (simulated).'
    """

    _esm = PLAYER_JS + source(_HERE / "racks.js")
    _css = source("theme.css", _HERE / "view.css")
    title = traitlets.Unicode().tag(sync=True)
    size: traitlets.List[int] = traitlets.List().tag(sync=True)
    slot: traitlets.List[int] = traitlets.List().tag(sync=True)
    racks: traitlets.List[list[object]] = traitlets.List().tag(sync=True)
    slots: traitlets.List[list[int]] = traitlets.List().tag(sync=True)
    hosts: traitlets.List[str] = traitlets.List().tag(sync=True)
    #: For each moment and host: its load in per cent, or -1 off, -2 booting, -3 failed.
    loads: traitlets.List[list[int]] = traitlets.List().tag(sync=True)
    #: For each moment the moves under way: from which host to which.
    moves: traitlets.List[list[list[int]]] = traitlets.List().tag(sync=True)

    HIGH, ACROSS, WIDE, TALL, GAP, TOP = 10, 8, 84, 18, 14, 20

    def __init__(self, day: Day, every: int = 3, title: str = "A data centre over a day (simulated)") -> None:
        count = len(day.cluster.hosts)
        if not 1 <= count <= 120:
            raise DatacenterError(f"hosts(={count}) must be at most 120 to be drawn: simulate fewer")
        if every < 1:
            raise DatacenterError(f"every(={every}) must be at least 1")
        moments = range(0, len(day.loads), every)
        racks = -(-count // self.HIGH)
        across, rows = min(racks, self.ACROSS), -(-racks // self.ACROSS)
        rack_wide, rack_tall = self.WIDE + self.GAP, min(count, self.HIGH) * self.TALL
        self._day = day
        super().__init__(
            [_caption(day, step, every) for step in moments],
            title=title,
            size=[across * rack_wide + self.GAP, rows * (rack_tall + self.TOP + 8)],
            slot=[self.WIDE, self.TALL - 2],
            racks=[
                [x - 3, y - 3, self.WIDE + 6, rack_tall + 4, f"rack {rack + 1}"]
                for rack in range(racks)
                for x, y in [self._corner(rack * self.HIGH, rack_tall)]
            ],
            slots=[list(self._corner(host, rack_tall)) for host in range(count)],
            hosts=[host.name for host in day.cluster.hosts],
            loads=[_loads(day, step) for step in moments],
            moves=[_moving(day, step, every) for step in moments],
            period=250,
        )

    def _corner(self, host: int, rack_tall: int) -> tuple[int, int]:
        rack, slot = divmod(host, self.HIGH)
        row, column = divmod(rack, self.ACROSS)
        return (
            self.GAP + column * (self.WIDE + self.GAP),
            self.TOP + row * (rack_tall + self.TOP + 8) + slot * self.TALL,
        )

    def picture(self) -> str:
        """Return the hosts as they are at this moment, as a table, and what is told of it."""
        words = {-1: "off", -2: "boots", -3: "failed"}
        cells = [
            f"<td>{html.escape(name)}: {words.get(load, f'{load} %')}</td>"
            for name, load in zip(self.hosts, self.loads[int(self.moment)], strict=True)
        ]
        rows = "".join(f"<tr>{''.join(cells[i : i + 5])}</tr>" for i in range(0, len(cells), 5))
        caption = self.captions[int(self.moment)]
        return (
            f"<h3>{self.title}</h3><p>{caption}</p><table>{rows}</table><p>{html.escape(str(self._day))}</p>"
        )


def _loads(day: Day, step: int) -> list[int]:
    return [
        round(100 * float(load)) if power == Power.ON else _STATES[Power(power)]
        for load, power in zip(day.loads[step], day.powers[step], strict=True)
    ]


def _moving(day: Day, step: int, every: int) -> list[list[int]]:
    """Who is under way at this moment or until the next: from which host to which, each way once."""
    ways = dict.fromkeys((each.source, each.target) for each in _under_way(day, step, every))
    return [list(way) for way in ways]


def _under_way(day: Day, step: int, every: int) -> list[Moved]:
    start, end = step * day.step, (step + every) * day.step
    return [each for each in day.moves if each.start < end and each.end > start]


def _caption(day: Day, step: int, every: int) -> str:
    hours, minutes = divmod(round(step * day.step / 60), 60)
    powers, cluster = day.powers[step], day.cluster
    on = np.isin(powers, (Power.ON, Power.BOOTING))
    busy = np.minimum(day.loads[step], 1.0)
    used = float((busy * cluster.pcpus)[on].sum() / max(1.0, cluster.pcpus[on].sum()))
    watts = sum(
        host.idle_watts + (host.peak_watts - host.idle_watts) * float(share)
        for host, share, draws in zip(cluster.hosts, busy, on, strict=True)
        if draws
    )
    told = [
        f"**{hours:02}:{minutes:02}.** {on.sum()} of {len(powers)} hosts on, {100 * used:.0f} % busy, {watts:,.0f} W "
        "(simulated)."
    ]
    if moving := len(_under_way(day, step, every)):
        told.append(f"{moving} {'domain is' if moving == 1 else 'domains are'} on the move.")
    if hot := int((day.loads[step] > 1).sum()):
        told.append(f"{hot} {'host is' if hot == 1 else 'hosts are'} asked for more than it has.")
    if (powers == Power.FAILED).any():
        failed = ", ".join(cluster.hosts[i].name for i in np.flatnonzero(powers == Power.FAILED))
        told.append(f"*{failed} has failed.*")
    return " ".join(told)


def show_days(days: Mapping[str, Day]) -> None:
    """Draw for each of some days how many hosts were on, hour by hour."""
    import matplotlib.pyplot as plt

    if not days:
        raise DatacenterError("days(=none) must be one at least, by name")
    with figures():
        figure, axis = plt.subplots()
        for (name, day), style in zip(days.items(), ("-", "--", "-.", ":") * len(days), strict=False):
            hours = np.arange(len(day.loads)) * day.step / 3600
            axis.step(hours, day.hosts_on, style, where="post", label=f"{name}: {day.kwh:.0f} kWh")
        top = max(len(day.cluster.hosts) for day in days.values())
        axis.set(xlabel="hour of the day", ylabel="hosts that are on", xlim=(0, 24), ylim=(0, top * 1.45))
        axis.set_xticks(range(0, 25, 4))
        axis.set_title("Hosts on over a day (simulated)")
        axis.legend(loc="upper left", ncols=2, fontsize="small")
        told = "; ".join(
            f"{name}: {day.hosts_on.min()} to {day.hosts_on.max()} on, {day.kwh:.0f} kWh"
            for name, day in days.items()
        )
        show(figure, f"How many hosts were on over a day (simulated). {told}.")


def show_heat_map(result: Sweep, figure: str, unit: str = "", digits: int = 0) -> None:
    """Draw one figure of a sweep as a table of colours over its first two axes, each cell with its number."""
    import matplotlib.pyplot as plt

    table = result.table(figure)
    values = table.to_numpy(dtype=float)
    rows, columns = list(table.index), list(table.columns)
    with figures():
        size = (1.6 + 0.85 * len(columns), 1.4 + 0.42 * len(rows))
        drawn, axis = plt.subplots(figsize=size)
        image = axis.imshow(values, aspect="auto", cmap="cividis")
        middle = (values.min() + values.max()) / 2
        for (row, column), value in np.ndenumerate(values):
            ink = DARK if value > middle else LIGHT
            axis.text(column, row, f"{value:,.{digits}f}", ha="center", va="center", color=ink)
        axis.set_xticks(
            range(len(columns)), [f"{each:g}" if isinstance(each, float) else str(each) for each in columns]
        )
        axis.set_yticks(
            range(len(rows)), [f"{each:g}" if isinstance(each, float) else str(each) for each in rows]
        )
        axis.set(xlabel=table.columns.name, ylabel=table.index.name)
        axis.grid(visible=False)
        axis.set_title(f"{figure} (simulated)")
        drawn.colorbar(image, label=unit or figure)
        told = [_cell(table, at, digits) for at in (values.argmin(), values.argmax())]
        show(
            drawn,
            f"{figure}{f' in {unit}' if unit else ''} (simulated), by {table.index.name} and {table.columns.name}: the "
            f"least is {told[0]}, the most {told[1]}.",
        )


def _cell(table: pd.DataFrame, at: np.intp, digits: int) -> str:
    """A cell of a table in words."""
    row, column = divmod(int(at), table.shape[1])
    where = (
        f"{table.index.name} {list(table.index)[row]} and {table.columns.name} {list(table.columns)[column]}"
    )
    return f"{float(table.to_numpy()[row, column]):,.{digits}f} at {where}"
