"""What a guest writes while it is being moved.

Live migration lives or dies by the *writable working set*: the pages a guest writes again and again, so often
that copying them while it runs is wasted (NSDI'05 §4). A workload here is a process that marks pages in a
dirty bitmap as time passes. Three simple ones (`RandomWrites`, `Sweep`, `Ticks`) each keep to a region of
memory; `Together` runs several.

Rates are given in MiB/s of pages written: 1 MiB/s is 256 writes a second, each to one page. Writing the same
page twice dirties it once, so the pages found dirty after a while are fewer than the writes:

>>> hot = RandomWrites(Region(0, 8), mib_per_second=40)
>>> [round(dirtied(hot, pages=4096, seconds=t) / 256, 1) for t in (0.1, 1.0, 10.0)]
[3.2, 7.9, 8.0]
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from xenlab.migration.pages import PAGES_PER_MIB, Bitmap, MigrationError, bitmap, count, mib_of, pages_of

if TYPE_CHECKING:
    import pandas as pd


class Workload(Protocol):
    """Anything that writes to guest memory."""

    def write(self, dirty: Bitmap, start: float, seconds: float, rng: np.random.Generator) -> None:
        """Set in `dirty` the pages written in the `seconds` after time `start`."""


@dataclass(frozen=True)
class Region:
    """A stretch of guest memory: `mib` mebibytes from `first_mib` on.

    >>> Region(first_mib=1, mib=2).of(bitmap(1024)).size
    512
    """

    first_mib: float
    mib: float

    def __post_init__(self) -> None:
        if self.first_mib < 0 or self.mib <= 0:
            raise MigrationError(
                f"first_mib(={self.first_mib}) must not be negative and mib(={self.mib}) must be positive"
            )

    @cached_property
    def _span(self) -> slice:
        first = pages_of(self.first_mib)
        return slice(first, first + pages_of(self.mib))

    def of(self, flags: Bitmap) -> Bitmap:
        """Return this stretch of a bitmap, as a view; raise `MigrationError` if it reaches past the end."""
        if self._span.stop > flags.size:
            end, guest = self.first_mib + self.mib, mib_of(flags.size)
            raise MigrationError(f"region up to {end:g} MiB must lie within the guest's {guest:g} MiB")
        return flags[self._span]


@dataclass(frozen=True)
class Idle:
    """A guest that writes nothing."""

    def write(self, dirty: Bitmap, start: float, seconds: float, rng: np.random.Generator) -> None:
        """Set nothing."""


@dataclass(frozen=True)
class RandomWrites:
    """Writes to pages of a region chosen evenly at random, `mib_per_second` of them on average (a Poisson process).

    After `t` seconds a region of `n` pages has about ``n * (1 - exp(-writes / n))`` dirty ones: a *hot*
    region, small and fast, is soon all dirty; a *cold* one, large and slow, grows in proportion to time.
    """

    region: Region
    mib_per_second: float

    def __post_init__(self) -> None:
        if self.mib_per_second < 0:
            raise MigrationError(f"mib_per_second(={self.mib_per_second}) must not be negative")

    def write(self, dirty: Bitmap, start: float, seconds: float, rng: np.random.Generator) -> None:
        """Set in `dirty` the pages written in the `seconds` after time `start`."""
        part = self.region.of(dirty)
        expected = self.mib_per_second * PAGES_PER_MIB * seconds
        if expected < part.size:
            place = rng.random(int(rng.poisson(expected)))
            place *= part.size
            part[place.astype(np.intp)] = True
        elif not part.all():  # many writes a page: cheaper to ask of each page whether it was hit
            part |= rng.random(part.size, dtype=np.float32) < -math.expm1(-expected / part.size)


@dataclass(frozen=True)
class Sweep:
    """Writes a region from its first page to its last and starts again, once every `period` seconds."""

    region: Region
    period: float

    def __post_init__(self) -> None:
        if self.period <= 0:
            raise MigrationError(f"period(={self.period}) must be positive")

    def write(self, dirty: Bitmap, start: float, seconds: float, rng: np.random.Generator) -> None:
        """Set in `dirty` the pages written in the `seconds` after time `start`."""
        part = self.region.of(dirty)
        first, last = (int(time / self.period * part.size) for time in (start, start + seconds))
        if last - first >= part.size:
            part[:] = True
            return
        first, last = first % part.size, last % part.size
        if first <= last:
            part[first:last] = True
        else:
            part[first:] = True
            part[:last] = True


@dataclass(frozen=True)
class Ticks:
    """Writes all of a region at once, every `interval` seconds: the frames of a game server, a periodic flush."""

    region: Region
    interval: float

    def __post_init__(self) -> None:
        if self.interval <= 0:
            raise MigrationError(f"interval(={self.interval}) must be positive")

    def write(self, dirty: Bitmap, start: float, seconds: float, rng: np.random.Generator) -> None:
        """Set in `dirty` the pages written in the `seconds` after time `start`."""
        if math.floor((start + seconds) / self.interval) > math.floor(start / self.interval):
            self.region.of(dirty)[:] = True


@dataclass(frozen=True)
class Together:
    """Several workloads in one guest."""

    parts: tuple[Workload, ...]

    def write(self, dirty: Bitmap, start: float, seconds: float, rng: np.random.Generator) -> None:
        """Set in `dirty` the pages that any of the parts writes in the `seconds` after time `start`."""
        for part in self.parts:
            part.write(dirty, start, seconds, rng)


def uniform(mib: float, mib_per_second: float) -> RandomWrites:
    """Return a workload that writes anywhere in a guest of `mib` mebibytes."""
    return RandomWrites(Region(0, mib), mib_per_second)


def hot_cold(mib: float, hot_mib: float, hot_rate: float, cold_rate: float) -> Together:
    """Return a workload with a *hot* set of `hot_mib` mebibytes, written fast, in a guest otherwise written slowly.

    Rates are in MiB/s. The hot set lies in the middle of memory. Most guests look like this (NSDI'05 §4):
    their hot set is best left for the stop-and-copy phase.

    >>> web = hot_cold(mib=64, hot_mib=4, hot_rate=40, cold_rate=2)
    >>> [(part.region.first_mib, part.region.mib) for part in web.parts]
    [(0, 64), (30.0, 4)]
    """
    hot = Region((mib - hot_mib) / 2, hot_mib)
    return Together((uniform(mib, cold_rate), RandomWrites(hot, hot_rate)))


def dirtied(workload: Workload, pages: int, seconds: float, *, seed: int = 0) -> int:
    """Return how many of a guest's `pages` pages the workload dirties in its first `seconds`."""
    dirty = bitmap(pages)
    workload.write(dirty, 0.0, seconds, np.random.default_rng(seed))
    return count(dirty)


def trace(
    workload: Workload, pages: int, seconds: float, *, every: float = 0.05, clean: float = 8.0, seed: int = 0
) -> pd.DataFrame:
    """Watch the dirty bitmap as NSDI'05 §4 did: look every 50 ms, clean it every 8 s.

    Returns a table with a row a look: `time` (s), and `dirty` (pages since the last cleaning). The height at
    which the curve bends is the writable working set; its slope after the bend is what each further round
    must resend.
    """
    import pandas as pd

    rng = np.random.default_rng(seed)
    dirty, looks = bitmap(pages), []
    per_clean = max(1, round(clean / every))
    for look in range(round(seconds / every)):
        if look % per_clean == 0:
            dirty[:] = False
        workload.write(dirty, look * every, every, rng)
        looks.append(((look + 1) * every, count(dirty)))
    return pd.DataFrame(looks, columns=["time", "dirty"])
