"""Post-copy: start the guest at the target with no memory at all, and fetch its pages afterwards.

The guest is suspended only while its registers are sent. At the target every page it touches for the first
time is missing: it waits until the source has sent that page (*pulled*). Meanwhile the source also sends all
other pages, one after the other (*pushed*). So each page crosses once, whatever the guest writes, and the
whole takes no longer than stop-and-copy; the price is a slow guest, and that from its start until its last
page has come neither host can run it alone. Xen has no post-copy; the method is that of M. Hines and K.
Gopalan, *Post-Copy Based Live Virtual Machine Migration*, VEE 2009 (theirs also pushes pages near the last
fault first, which is left out here).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from xenlab.migration.pages import ENTRY_BYTES, PAGE_BYTES, MigrationError, PageNumbers, bitmap, count
from xenlab.migration.rounds import Guest, Path

if TYPE_CHECKING:
    import pandas as pd

    from xenlab.migration.workloads import Workload

#: How many intervals an undisturbed post-copy is cut into.
INTERVALS = 1024


@dataclass(frozen=True, slots=True)
class Interval:
    """A short stretch of a post-copy, in simulated time: `ran` seconds of guest's work took `seconds`.

    `pulled` pages were waited for and `pushed` ones came unasked; `missing` are still to come.
    """

    start: float
    seconds: float
    ran: float
    pulled: int
    pushed: int
    missing: int


@dataclass(frozen=True)
class PostcopyResult:
    """A simulated post-copy migration that has ended."""

    pages: int
    intervals: tuple[Interval, ...]
    path: Path

    @property
    def downtime(self) -> float:
        """Seconds in which the guest ran on neither host."""
        return self.path.state + self.path.resume

    @property
    def seconds(self) -> float:
        """Seconds from the suspension until the last page has come."""
        return self.downtime + sum(each.seconds for each in self.intervals)

    @property
    def stalled(self) -> float:
        """Seconds in which the guest, already at the target, waited for pages."""
        return sum(each.seconds - each.ran for each in self.intervals)

    @property
    def pulled(self) -> int:
        """Pages that the guest had to wait for."""
        return sum(each.pulled for each in self.intervals)

    @property
    def pages_sent(self) -> int:
        """Pages sent: each page of the guest once."""
        return sum(each.pulled + each.pushed for each in self.intervals)

    def frame(self) -> pd.DataFrame:
        """Return a table with a row an interval."""
        import pandas as pd

        return pd.DataFrame([asdict(each) for each in self.intervals])

    def __str__(self) -> str:
        cost = f"{self.pages_sent} pages in {self.seconds:.1f} s, {self.downtime * 1000:.0f} ms down"
        waits = f"{self.pulled} pages waited for, {self.stalled * 1000:.0f} ms in all"
        return f"simulated, post-copy: {cost}, {waits}"


class Postcopy:
    """A post-copy under way. Iterate over it: each `Interval` comes when it has passed.

    The pages that `workload` writes are those that the guest touches: to have reads fetch pages too, give a
    workload that stands for both. `latency` is the time in seconds from a request to the first bit of the
    page. `missing` is the bitmap of pages still at the source. Equal `seed` means equal result.
    """

    def __init__(
        self,
        guest: Guest,
        workload: Workload,
        path: Path | None = None,
        *,
        latency: float = 0.0005,
        seed: int = 0,
    ) -> None:
        if latency < 0:
            raise MigrationError(f"latency(={latency}) must not be negative")
        self.guest, self.workload, self.latency = guest, workload, latency
        self.path = path or Path()
        self.missing = bitmap(guest.pages, value=True)
        self._touched = bitmap(guest.pages)
        self._page = 8 * (PAGE_BYTES + ENTRY_BYTES) / (self.path.mbit * 1e6)
        self._rng = np.random.default_rng(seed)

    def __iter__(self) -> Iterator[Interval]:
        """Yield intervals until no page is missing."""
        left, place, ran = self.guest.pages, 0, 0.0
        now = self.path.state + self.path.resume
        quantum = max(1, left // INTERVALS) * self._page
        while left:
            pulled = self._touch(ran, quantum)
            seconds = quantum + pulled * (self.latency + self._page)
            room = round(seconds / self._page) - pulled
            pushed = self._next_missing(place, room)
            self.missing[pushed] = False
            place = int(pushed[-1]) + 1 if pushed.size else place
            left -= pulled + pushed.size
            yield Interval(now, seconds, quantum, pulled, pushed.size, left)
            now, ran = now + seconds, ran + quantum

    def _touch(self, start: float, seconds: float) -> int:
        """Let the guest work and return how many pages it had to wait for."""
        touched = self._touched
        touched[:] = False
        self.workload.write(touched, start, seconds, self._rng)
        touched &= self.missing
        self.missing ^= touched
        return count(touched)

    def _next_missing(self, place: int, room: int) -> PageNumbers:
        """Return the first `room` pages from `place` on that are missing."""
        reach = room
        while True:
            found = np.flatnonzero(self.missing[place : place + reach])
            if found.size >= room or place + reach >= self.guest.pages:
                return found[:room] + place
            reach *= 2


def postcopy(
    guest: Guest, workload: Workload, path: Path | None = None, *, latency: float = 0.0005, seed: int = 0
) -> PostcopyResult:
    """Simulate a whole post-copy migration. The arguments are those of `Postcopy`.

    >>> from xenlab.migration.workloads import hot_cold
    >>> print(postcopy(Guest(64), hot_cold(mib=64, hot_mib=2, hot_rate=20, cold_rate=1), Path(state=0.01)))
    simulated, post-copy: 16384 pages in 0.5 s, 10 ms down, 350 pages waited for, 186 ms in all
    """
    run = Postcopy(guest, workload, path, latency=latency, seed=seed)
    return PostcopyResult(guest.pages, tuple(run), run.path)
