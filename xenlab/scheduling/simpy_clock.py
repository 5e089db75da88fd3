"""A clock on SimPy, so that a scheduler lives with other SimPy processes: networks, storage, a simulated host."""

from __future__ import annotations

import simpy

from xenlab.scheduling.clock import Clock


class SimpyClock(Clock):
    """Virtual time of a `simpy.Environment`, whose unit of time is the nanosecond.

    Each instant is a `simpy.Timeout` with a callback: a process for every timer would cost three events for one call.

    >>> clock = SimpyClock()
    >>> clock.at(20, lambda now, who: print(now, who), ["second"])
    >>> clock.at(10, lambda now, who: print(now, who), ["first"])
    >>> clock.run(until=30)
    10 ['first']
    20 ['second']
    """

    def __init__(self, env: simpy.Environment | None = None, late: float = 0.0, seed: int = 0) -> None:
        super().__init__(late, seed)
        self.env = env if env is not None else simpy.Environment()

    def _set_alarm(self, time: float) -> None:
        alarm = simpy.Timeout(self.env, time - self.env.now, value=time)
        alarm.callbacks.append(lambda event: self._ring(event.value))

    def run(self, until: float) -> None:
        """Call everything that is due before `until`, and set the time to `until`."""
        if until > self.env.now:
            self.env.run(until)
        self.now = until
