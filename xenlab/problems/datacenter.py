"""Exercises on the data centre: packing by hand, whom to move off a hot host, what a day costs.

>>> PackByHand.make(1).check("many").right
False
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any, Self

import numpy as np

from xenlab.datacenter.packing import first_fit_decreasing
from xenlab.problems.base import Problem


@dataclass(frozen=True, repr=False)
class PackByHand(Problem):
    """How many hosts does first fit decreasing take?"""

    sizes: tuple[int, ...]
    limit: int

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Make a handful of domains and a limit."""
        limit = random.choice((70, 80, 90, 100))
        sizes = tuple(random.randrange(10, min(limit, 75), 5) for _ in range(random.randint(7, 9)))
        question = (
            f"First fit decreasing places these domains on equal hosts, each of which may be {limit} % busy. In their "
            "busiest hour, the same for all, they use so many per cent of a host. How many hosts does it take?"
        )
        return cls(seed, question, "  ".join(map(str, sizes)), sizes, limit)

    def _hosts(self) -> list[list[int]]:
        rooms = np.full((len(self.sizes), 1), float(self.limit))
        hosts = first_fit_decreasing(np.array(self.sizes, dtype=float)[:, None], rooms)
        return [
            sorted(
                (size for size, host in zip(self.sizes, hosts, strict=True) if host == number), reverse=True
            )
            for number in range(int(hosts.max()) + 1)
        ]

    def solve(self) -> int:
        """Return the number of hosts."""
        return len(self._hosts())

    def hint(self, answer: Any) -> str:
        """Show what the first host gets."""
        first = " + ".join(map(str, self._hosts()[0]))
        return f"The largest come first: {', '.join(map(str, sorted(self.sizes, reverse=True)))}. Host 1 gets {first}."


@dataclass(frozen=True, repr=False)
class WhoMoves(Problem):
    """Which domain of a hot host does the rule of Sandpiper move first?"""

    cpu: tuple[int, ...]
    memory: tuple[int, ...]

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Make four domains of a host of 64 GiB, none close to another in volume by memory."""
        while True:
            cpu = tuple(random.randrange(5, 60, 5) for _ in range(4))
            memory = tuple(random.choice((2, 4, 8, 16)) for _ in range(4))
            ratios = sorted(cls._ratios(cpu, memory))
            if sum(cpu) > 90 and ratios[-1] > 1.2 * ratios[-2]:
                break
        rows = [f"{name}   {c:3d} % CPU   {m:3d} GiB" for name, c, m in zip("abcd", cpu, memory, strict=True)]
        question = (
            "A host of 64 GiB is hot. These are its domains, each with its part of the host's CPU and its memory. "
            "Which one has the largest volume for its size, and moves first? Answer with its letter."
        )
        return cls(seed, question, "\n".join(rows), cpu, memory)

    @staticmethod
    def _ratios(cpu: tuple[int, ...], memory: tuple[int, ...]) -> list[float]:
        return [1 / (1 - c / 100) / (1 - m / 64) / m for c, m in zip(cpu, memory, strict=True)]

    def solve(self) -> str:
        """Return its letter."""
        ratios = self._ratios(self.cpu, self.memory)
        return "abcd"[ratios.index(max(ratios))]

    def hint(self, answer: Any) -> str:
        """Work the given one out."""
        if answer not in tuple("abcd"):
            return "That letter is not in the table."
        i = "abcd".index(answer)
        ratio = self._ratios(self.cpu, self.memory)[i]
        return (
            f"Volume is 1/(1 - CPU) · 1/(1 - memory). Divided by {self.memory[i]} GiB, that of {answer} is "
            f"{ratio:.3f}. Another one has more."
        )


@dataclass(frozen=True, repr=False)
class DayOfPower(Problem):
    """How many kWh does a day cost?"""

    hosts: int
    idle: int
    peak: int
    busy: int
    off: int

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Make a room for which the answer is a whole number of kWh."""
        while True:
            hosts, off = random.randrange(10, 60, 5), random.choice((0, 6, 8, 12))
            idle = random.choice((100, 150, 200))
            peak, busy = idle * random.choice((2, 3)), random.choice((20, 25, 40, 50))
            watt_hours = 100 * hosts * (24 - off) * idle + hosts * (24 - off) * (peak - idle) * busy
            if watt_hours % 100_000 == 0:
                break
        when = "all day" if not off else f"for {24 - off} hours and off for the other {off}"
        question = (
            f"{hosts} hosts are on {when}. While they are on, each is {busy} % busy. A host draws {idle} W when idle, "
            f"{peak} W when fully busy, and in between in proportion. How many kWh is that in a day?"
        )
        return cls(seed, question, "", hosts, idle, peak, busy, off)

    def solve(self) -> int:
        """Return the kWh."""
        watts = self.idle + (self.peak - self.idle) * self.busy / 100
        return round(self.hosts * watts * (24 - self.off) / 1000)

    def hint(self, answer: Any) -> str:
        """Show the steps."""
        watts = self.idle + (self.peak - self.idle) * self.busy / 100
        return f"One host draws {watts:g} W. Times {self.hosts} hosts, times {24 - self.off} hours, divided by 1000."
