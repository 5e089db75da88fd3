"""What drives a scheduler: a clock, on a bare heap here, or on SimPy (`simpy_clock`).

A scheduler is a state machine that only ever asks its clock to be called back at a given time. Both clocks keep the
same promise: calls come in order of time, and those for one instant in the order in which they were asked for.
So both drive a scheduler to the same trace; the tests hold them to it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from xenlab.scheduling.timers import Timers

#: Called with the time, and with all whom it is about: pCPUs whose tick is due, vCPUs that are to wake, ...
Action = Callable[[float, list[Any]], None]


class Clock(ABC):
    """Calls actions at their times. Time is counted in nanoseconds from 0.

    A clock is woken once for an instant, not for each call: the ticks of all pCPUs fall on the same instants, and
    share one alarm and one call.

    What is asked of `at` comes at its time; what is asked of `timers` comes as late as a machine's timers do, on
    average by `late` ns.
    """

    def __init__(self, late: float = 0.0, seed: int = 0) -> None:
        self.now = 0.0  # the last instant that has come, or for which the clock was asked to run
        self.timers = Timers(self, late, seed)
        self._due: dict[float, list[tuple[Action, list[Any]]]] = {}

    def at(self, time: float, action: Action, subjects: list[Any]) -> None:
        """Call ``action(time, subjects)`` at `time`, which must not have passed; the list is the clock's from now on.

        Subjects that are asked for one after the other, for the same time and action, come in one list.
        """
        calls = self._due.get(time)
        if calls is None:
            self._due[time] = [(action, subjects)]
            self._set_alarm(time)
        elif time > self.now and calls[-1][0] == action:
            calls[-1][1].extend(subjects)
        else:
            calls.append((action, subjects))

    def _ring(self, now: float) -> None:
        """The instant `now` has come: make its calls."""
        self.now = now
        for action, subjects in self._due[now]:  # also those that an action adds for this same instant
            action(now, subjects)
        del self._due[now]

    @abstractmethod
    def _set_alarm(self, time: float) -> None:
        """Have `_ring` called at `time`."""

    @abstractmethod
    def run(self, until: float) -> None:
        """Call everything that is due before `until`, and set the time to `until`."""


class HeapClock(Clock):
    """Virtual time on Python's heap: for sweeps, sliders and the simulated dom0.

    >>> clock = HeapClock()
    >>> clock.at(20, lambda now, who: print(now, who), ["second"])
    >>> clock.at(10, lambda now, who: print(now, who), ["first"])
    >>> clock.run(until=30)
    10 ['first']
    20 ['second']
    """

    def __init__(self, late: float = 0.0, seed: int = 0) -> None:
        super().__init__(late, seed)
        self._alarms: list[float] = []

    def _set_alarm(self, time: float) -> None:
        heappush(self._alarms, time)

    def run(self, until: float) -> None:
        """Call everything that is due before `until`, and set the time to `until`."""
        alarms = self._alarms
        while alarms and alarms[0] < until:
            self._ring(heappop(alarms))
        self.now = until
