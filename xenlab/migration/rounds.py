"""What goes into a simulated migration, a guest and a path between hosts; and what comes out: its rounds."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from xenlab.migration.pages import PAGE_BYTES, Bitmap, MigrationError, bitmap, mib_of, pages_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Guest:
    """A guest to be moved: its memory in MiB, and the share of it that is still zero, never written since boot.

    Xen's tools send a zero page like any other. QEMU's recognise one and send a few bytes in its place
    (`elide_zero`).
    """

    mib: float
    zero_share: float = 0.0

    def __post_init__(self) -> None:
        if pages_of(self.mib) < 1:
            raise MigrationError(f"mib(={self.mib}) must hold at least one page of {PAGE_BYTES} bytes")
        if not 0 <= self.zero_share <= 1:
            raise MigrationError(f"zero_share(={self.zero_share}) must lie between 0 and 1")

    @property
    def pages(self) -> int:
        """How many pages it has."""
        return pages_of(self.mib)

    def zero_pages(self) -> Bitmap:
        """Return the bitmap of its zero pages: the last ones, since kernels hand out memory from one end."""
        flags = bitmap(self.pages)
        flags[self.pages - round(self.pages * self.zero_share) :] = True
        return flags


@dataclass(frozen=True)
class Path:
    """The way from one host to the other, and what changing over costs.

    `mbit` is the most it can carry, in units of 10**6 bit/s, and `guest_mbit` what the guest's own traffic
    takes of that while it runs. `state` is the time in seconds to send registers and device state, `resume`
    the time to start the guest at the target. `credit` matters only to a policy with a rate limit: the
    seconds in which the sender, waiting for the guest to suspend, sends nothing and its limiter saves up.
    """

    mbit: float = 1000.0
    guest_mbit: float = 0.0
    state: float = 0.0
    resume: float = 0.0
    credit: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.guest_mbit < self.mbit:
            raise MigrationError(
                f"guest_mbit(={self.guest_mbit}) must not be negative and must be below mbit(={self.mbit})"
            )
        if min(self.state, self.resume, self.credit) < 0:
            raise MigrationError("state, resume and credit must not be negative")


@dataclass(frozen=True, slots=True)
class Round:
    """What one round did. The last, with `live` False, is the stop-and-copy phase.

    `start` and `seconds` are simulated time. `to_send` pages were dirty when it began: `sent` went over with
    their contents, `zero` were announced as zero, `skipped` were left out because the guest had written them
    again. `dirtied` were dirty at its end. Pages, all of them. `limit` is the most it was allowed, in Mbit/s.
    """

    number: int
    live: bool
    start: float
    seconds: float
    to_send: int
    sent: int
    zero: int
    skipped: int
    dirtied: int
    limit: float

    @property
    def rate(self) -> float:
        """Mbit/s of page contents sent."""
        return _mbit(self.sent, self.seconds)

    @property
    def dirty_rate(self) -> float:
        """Mbit/s of pages dirtied."""
        return _mbit(self.dirtied, self.seconds)


def _mbit(pages: int, seconds: float) -> float:
    return pages * PAGE_BYTES * 8 / 1e6 / seconds if seconds > 0 else 0.0


@dataclass(frozen=True)
class Migration:
    """A simulated migration that has ended: its rounds, why pre-copy stopped, and what it cost."""

    policy: str
    pages: int
    rounds: tuple[Round, ...]
    reason: str
    path: Path

    @property
    def downtime(self) -> float:
        """Seconds in which the guest ran on neither host."""
        return self.rounds[-1].seconds + self.path.state + self.path.resume

    @property
    def seconds(self) -> float:
        """Seconds from the first page until the guest runs at the target."""
        return self.rounds[-1].start + self.downtime

    @property
    def pages_sent(self) -> int:
        """Pages sent with their contents, in all rounds together."""
        return sum(each.sent for each in self.rounds)

    @property
    def mib_sent(self) -> float:
        """Mebibytes of page contents sent."""
        return mib_of(self.pages_sent)

    @property
    def factor(self) -> float:
        """Memory sent as a multiple of the guest's memory."""
        return self.pages_sent / self.pages

    def frame(self) -> pd.DataFrame:
        """Return a table with a row a round: the fields of `Round`, `mib` sent, and both rates in Mbit/s."""
        import pandas as pd

        names = [field.name for field in fields(Round)]
        rows = [
            {name: getattr(each, name) for name in names}
            | {"mib": mib_of(each.sent), "rate": each.rate, "dirty_rate": each.dirty_rate}
            for each in self.rounds
        ]
        return pd.DataFrame(rows).set_index("number")

    def __str__(self) -> str:
        cost = f"{self.mib_sent:.0f} MiB in {self.seconds:.1f} s, {self.downtime * 1000:.0f} ms down"
        return f"simulated, {self.policy}: {len(self.rounds) - 1} live rounds, {cost} ({self.reason})"
