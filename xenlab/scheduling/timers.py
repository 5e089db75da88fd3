"""The timers of pCPUs, as late as those of a real machine (``xen/common/timer.c``).

A pCPU has one timer interrupt, set for the earliest of its timers, and it comes a little late. All timers that are due
by then go off with it. Xen sets most timers anew from the time at which they went off: so periods are longer than they
say, they drift against each other, and those that come close fall into step.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xenlab.scheduling.clock import Action, Clock


@dataclass(eq=False, slots=True)
class Interrupt:
    """The timer interrupt of a pCPU: what it is set for, when it comes, and all timers there, the earliest first."""

    pcpu: Any
    timers: list[tuple[float, int, bool, Action]] = field(default_factory=list)
    set_for: float = inf
    comes: float = inf


class Timers:
    """The timers of all pCPUs on a clock.

    `late` is by how much they are late on average (ns), at most twice that; `seed` decides how much each time. With
    `late` 0 they go off on time, and each for itself.

    >>> from types import SimpleNamespace
    >>> from xenlab.scheduling.clock import HeapClock
    >>> clock = HeapClock(late=50)
    >>> pcpu = SimpleNamespace(number=0)
    >>> for time in (1000, 1001, 2000):
    ...     clock.timers.set(time, lambda now, pcpus: print(now), [pcpu])
    >>> clock.run(until=3000)
    1009.0
    1009.0
    2027.0
    """

    def __init__(self, clock: Clock, late: float, seed: int) -> None:
        self._clock = clock
        self._late = late
        self._random = random.Random(f"{seed} timers")
        self._interrupts: dict[int, Interrupt] = {}
        self._order = count()
        self.set: Callable[..., None] = self._set if late else self._set_prompt

    def chance(self, most: float) -> float:
        """A time from 0 to `most`, by chance; 0 if timers are never late: then nothing is left to chance."""
        return float(round(self._random.uniform(0, most))) if self._late else 0.0

    def _set_prompt(self, time: float, action: Action, pcpus: list[Any], last: bool = False) -> None:
        """Set a timer of each of these pCPUs, which calls ``action(now, [pcpu])``.

        If several go off at once, those that are to come `last` wait for the others: the scheduler runs when all
        timers have been served (``SCHEDULE_SOFTIRQ``).
        """
        self._clock.at(time, action, pcpus)

    def _set(self, time: float, action: Action, pcpus: list[Any], last: bool = False) -> None:
        for pcpu in pcpus:
            interrupt = self._interrupts.setdefault(pcpu.number, Interrupt(pcpu))
            heappush(interrupt.timers, (time, next(self._order), last, action))
            if time < interrupt.set_for:
                self._program(interrupt)

    def _program(self, interrupt: Interrupt) -> None:
        interrupt.set_for = interrupt.timers[0][0]
        interrupt.comes = max(interrupt.set_for, self._clock.now) + self.chance(2 * self._late)
        self._clock.at(interrupt.comes, self._come, [interrupt])

    def _come(self, now: float, interrupts: list[Interrupt]) -> None:
        for interrupt in interrupts:
            if now != interrupt.comes:  # it has been set for another time since
                continue
            interrupt.set_for = -inf  # not to be set again before all that is due has gone off
            due = []
            while interrupt.timers and interrupt.timers[0][0] <= now:
                due.append(heappop(interrupt.timers))
            for _, _, _, action in sorted(due, key=lambda timer: timer[2]):
                action(now, [interrupt.pcpu])
            interrupt.set_for = inf
            if interrupt.timers:
                self._program(interrupt)
