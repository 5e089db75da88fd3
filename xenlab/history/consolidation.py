"""The arithmetic of consolidation: many servers that mostly wait, put together on few machines.

The fleet in ``servers.csv`` is made up (`made_up`, seed 2006): office servers, web servers, nightly jobs and databases,
each with the share of one machine that it uses in every hour of a day. The shapes are plain; the levels lie where
Barroso and Hölzle saw servers, between a tenth and a half of what they could do, or below.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from xenlab.commands import XenlabError

HOURS = 24
DATA = Path(__file__).with_name("servers.csv")


@dataclass(frozen=True)
class Server:
    """One server: its name, what it is for, and the share of one machine it uses in each hour of the day."""

    name: str
    role: str
    load: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Its load over the day."""
        return sum(self.load) / HOURS

    @property
    def peak(self) -> float:
        """Its load in its busiest hour."""
        return max(self.load)


@dataclass(frozen=True)
class Plan:
    """Which servers share which host: `hosts` holds a tuple of servers for each."""

    hosts: tuple[tuple[Server, ...], ...]

    def load(self, host: int) -> tuple[float, ...]:
        """What a host has to do in each hour."""
        return tuple(map(sum, zip(*(server.load for server in self.hosts[host]), strict=True)))

    @property
    def utilisation(self) -> float:
        """How much of all the hosts is used, over the day."""
        return sum(server.mean for host in self.hosts for server in host) / len(self.hosts)

    def kwh_per_day(self, peak_watts: float, idle_share: float) -> float:
        """The energy of a day, if a host's power grows in a straight line from idle to full load.

        Args:
            peak_watts: A host's power at full load.
            idle_share: The part of it that an idle host draws, 0 to 1; about a half in Barroso and Hölzle's servers.

        """
        idle = idle_share * peak_watts
        watts = len(self.hosts) * idle + (peak_watts - idle) * self.utilisation * len(self.hosts)
        return watts * HOURS / 1000


def fleet(path: Path = DATA) -> tuple[Server, ...]:
    """The servers of the data set.

    >>> servers = fleet()
    >>> len(servers), round(sum(server.mean for server in servers) / len(servers), 2)
    (48, 0.1)
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    return tuple(Server(name, role, tuple(map(float, load))) for name, role, *load in rows[1:])


def alone(servers: Sequence[Server]) -> Plan:
    """Every server on a machine of its own, as it was before."""
    return Plan(tuple((server,) for server in servers))


def consolidate(servers: Sequence[Server], limit: float) -> Plan:
    """Put the servers on as few hosts as first-fit decreasing finds, none busier than `limit` in any hour.

    The servers go in order of their busiest hour, the largest first, each on the first host where every hour
    stays within the limit. A server that is busier than the limit by itself keeps a machine of its own. The plan is
    good, not always the best: to find the best one is as hard as packing bins.

    Args:
        servers: Whom to place.
        limit: The load that a host may have in its busiest hour, more than 0 and at most 1.

    Raises:
        XenlabError: The limit is not between 0 and 1.

    >>> busy_by_day = Server("web", "web", (0.6,) * 12 + (0.1,) * 12)
    >>> busy_by_night = Server("backup", "night", (0.1,) * 12 + (0.6,) * 12)
    >>> len(consolidate([busy_by_day, busy_by_night], 0.8).hosts), len(consolidate([busy_by_day] * 2, 0.8).hosts)
    (1, 2)

    """
    if not 0 < limit <= 1:
        raise XenlabError(
            f"limit(={limit}) must be more than 0 and at most 1: the share of a host that may be used"
        )
    hosts: list[list[Server]] = []
    loads: list[list[float]] = []
    for server in sorted(servers, key=lambda each: (-each.peak, each.name)):
        for members, load in zip(hosts, loads, strict=True):
            if all(have + more <= limit + 1e-9 for have, more in zip(load, server.load, strict=True)):
                members.append(server)
                load[:] = [have + more for have, more in zip(load, server.load, strict=True)]
                break
        else:
            hosts.append([server])
            loads.append(list(server.load))
    return Plan(tuple(map(tuple, hosts)))


# -- where the data set comes from

_ROLES = {  # how many, the load at rest, how much more at the busiest hour, that hour, and how wide the hump is
    "office": (16, 0.02, 0.18, 11, 3.0),
    "web": (12, 0.05, 0.22, 20, 4.0),
    "database": (8, 0.08, 0.25, 15, 5.0),
    "nightly job": (12, 0.01, 0.45, 3, 1.2),
}


def made_up(seed: int = 2006) -> str:
    """The text of ``servers.csv``: loads of a made-up fleet, each role with its hump in the day."""
    random, text = Random(seed), io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["name", "role", *(f"{hour:02}:00" for hour in range(HOURS))])
    for role, (count, rest, more, hour, width) in _ROLES.items():
        for number in range(1, count + 1):
            height, peak = more * random.uniform(0.4, 1.3), hour + random.gauss(0, 1.2)
            loads = (
                rest + height * _hump(each - peak, width) * random.uniform(0.85, 1.15)
                for each in range(HOURS)
            )
            table.writerow(
                [f"{role.split()[0]}{number:02}", role, *(f"{min(load, 0.98):.3f}" for load in loads)]
            )
    return text.getvalue()


def _hump(hours: float, width: float) -> float:
    """A bell around 0 that knows that the day is round."""
    away = (hours + HOURS / 2) % HOURS - HOURS / 2
    return math.exp(-((away / width) ** 2) / 2)
