"""The two drivers of a scheduler: a bare heap, and SimPy.

A scheduler is a state machine that only ever asks its clock to call it back at a given time. Both clocks keep the
same promise: calls come in order of time, and those for one instant in the order in which they were asked for.
An action that returns a time is called again then. So both drive a scheduler to the same trace; the tests hold them to it.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Protocol

Action = Callable[[int], int | None]


class Clock(Protocol):
    """Calls actions at their times. Time is counted in nanoseconds from 0."""

    fired: int

    def at(self, time: int, action: Action) -> None:
        """Call ``action(time)`` at `time`, which must not have passed."""

    def run(self, until: int) -> None:
        """Call everything that is due before `until`, and set the time to `until`."""


class HeapClock:
    """Virtual time on Python's heap: for sweeps, sliders and the simulated dom0.

    The heap holds instants, not events: ticks of all pCPUs fall on the same ones, and share one push and one pop.

    >>> clock = HeapClock()
    >>> clock.at(20, lambda now: print("second at", now))
    >>> clock.at(10, lambda now: print("first at", now))
    >>> clock.run(until=30)
    first at 10
    second at 20
    """

    def __init__(self) -> None:
        self.now = 0
        self.fired = 0
        self._instants: list[int] = []
        self._due: dict[int, list[Action]] = {}

    def at(self, time: int, action: Action) -> None:
        """Call ``action(time)`` at `time`, which must not have passed."""
        due = self._due.get(time)
        if due is None:
            self._due[time] = [action]
            heappush(self._instants, time)
        else:
            due.append(action)

    def run(self, until: int) -> None:
        """Call everything that is due before `until`, and set the time to `until`."""
        instants, due = self._instants, self._due
        while instants and instants[0] < until:
            self.now = now = heappop(instants)
            actions = due[now]
            for action in actions:  # also those that an action adds for this same instant
                again = action(now)
                if again is not None:
                    others = due.get(again)
                    if others is None:
                        due[again] = [action]
                        heappush(instants, again)
                    else:
                        others.append(action)
            self.fired += len(actions)
            del due[now]
        self.now = until


class SimpyClock:
    """Virtual time of a `simpy.Environment`, so that a scheduler lives with other SimPy processes.

    The environment's unit of time is the nanosecond. Each call is a `simpy.Timeout` with one callback: a process
    for every timer would cost three events where one will do.
    """

    def __init__(self, env: Any = None) -> None:
        import simpy  # here, so that the heap alone does not load it

        self.env = env if env is not None else simpy.Environment()
        self.fired = 0
        self._timeout = simpy.Timeout

    def at(self, time: int, action: Action) -> None:
        """Call ``action(time)`` at `time`, which must not have passed."""
        env, timeout = self.env, self._timeout

        def call(_: Any) -> None:
            nonlocal time
            self.fired += 1
            again = action(time)
            if again is not None:
                delay, time = again - time, again
                timeout(env, delay).callbacks.append(call)

        timeout(env, time - env.now).callbacks.append(call)

    def run(self, until: int) -> None:
        """Call everything that is due before `until`, and set the time to `until`."""
        if until > self.env.now:
            self.env.run(until)
