"""What a vCPU does with its processor time: a stream of bursts, each a run and then a sleep.

A scheduler sees nothing else of a guest. A burst says how long the vCPU computes before it blocks, and when the
event comes that wakes it. All times inside the models are whole nanoseconds, as in Xen (``s_time_t``), kept in floats:
they are exact up to 104 days (2**53 ns), and CPython adds and compares them twice as fast as integers of that size.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, cycle
from math import inf
from typing import Literal, NamedTuple, Protocol

US = 1e3
MS = 1e6
SECOND = 1e9
NEVER = inf


class Burst(NamedTuple):
    """Compute for `run` ns, then block for `sleep` ns and not before time `until`; with neither, do not block."""

    run: float
    sleep: float = 0.0
    until: float = 0.0


class Workload(Protocol):
    """Anything that makes bursts."""

    def bursts(self, rng: random.Random) -> Iterator[Burst]:
        """Yield this workload's bursts without end; draw chance from `rng` only, so that a seed repeats a run."""


@dataclass(frozen=True)
class Busy:
    """Computes for ever and never blocks, like ``while :; do :; done``."""

    def bursts(self, rng: random.Random) -> Iterator[Burst]:
        """One burst without an end."""
        while True:
            yield Burst(NEVER)


@dataclass(frozen=True)
class Idle:
    """Blocks at once and is never woken."""

    def bursts(self, rng: random.Random) -> Iterator[Burst]:
        """No run, and a sleep without an end."""
        while True:
            yield Burst(0.0, until=NEVER)


@dataclass(frozen=True)
class Periodic:
    """Wakes every `period_ms` and computes for `run_ms`, as a video decoder or a control loop does.

    A job that is not done when its next period begins goes on, and the next job follows it without a sleep.

    >>> jobs = Periodic(run_ms=2, period_ms=10).bursts(random.Random())
    >>> [next(jobs), next(jobs)]
    [Burst(run=2000000.0, sleep=0.0, until=10000000.0), Burst(run=2000000.0, sleep=0.0, until=20000000.0)]
    """

    run_ms: float
    period_ms: float

    def __post_init__(self) -> None:
        if not 0 < self.run_ms <= self.period_ms:
            raise ValueError(
                f"run_ms(={self.run_ms}) must be above 0 and at most period_ms(={self.period_ms})"
            )

    def bursts(self, rng: random.Random) -> Iterator[Burst]:
        """One burst a period; periods begin at time 0."""
        run, period = _ns(self.run_ms), _ns(self.period_ms)
        return (Burst(run, until=number * period) for number in count(1))


@dataclass(frozen=True)
class Blocking:
    """Computes for about `run_ms`, then waits for input or output for about `sleep_ms`, again and again.

    The distribution of both: ``exponential`` (memoryless, these are means), ``uniform`` (from 0 to twice the mean)
    or ``constant``.
    """

    run_ms: float
    sleep_ms: float
    distribution: Literal["exponential", "uniform", "constant"] = "exponential"

    def __post_init__(self) -> None:
        if self.run_ms <= 0 or self.sleep_ms <= 0:
            raise ValueError(f"run_ms(={self.run_ms}) and sleep_ms(={self.sleep_ms}) must be above 0")
        if self.distribution not in ("exponential", "uniform", "constant"):
            raise ValueError(
                f"distribution(={self.distribution!r}) must be 'exponential', 'uniform' or 'constant'"
            )

    def bursts(self, rng: random.Random) -> Iterator[Burst]:
        """Bursts of at least 1 µs drawn from the distribution."""

        def draw(mean_ms: float) -> float:
            if self.distribution == "exponential":
                ms = rng.expovariate(1 / mean_ms)
            elif self.distribution == "uniform":
                ms = rng.uniform(0, 2 * mean_ms)
            else:
                ms = mean_ms
            return max(US, _ns(ms))

        while True:
            yield Burst(draw(self.run_ms), sleep=draw(self.sleep_ms))


@dataclass(frozen=True)
class Replay:
    """Repeats a recorded trace: pairs of milliseconds, computed and then slept."""

    pairs_ms: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        if not any(run > 0 or sleep > 0 for run, sleep in self.pairs_ms):
            raise ValueError("pairs_ms needs at least one pair that runs or sleeps")
        if any(run < 0 or sleep < 0 for run, sleep in self.pairs_ms):
            raise ValueError("pairs_ms must not hold negative times")

    def bursts(self, rng: random.Random) -> Iterator[Burst]:
        """The pairs, from the first again after the last."""
        return cycle([Burst(_ns(run), _ns(sleep)) for run, sleep in self.pairs_ms])


def _ns(ms: float) -> float:
    return float(round(ms * MS))
