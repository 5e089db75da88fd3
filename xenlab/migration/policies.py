"""How pre-copy decides: send another round, or stop the guest and send the rest; and how fast it may send.

A policy is a pure function of the rounds sent so far. `Xen417` is what runs in every Xen since 4.6; `Legacy`
what ran before; `AdaptiveRate` the method of the paper that introduced live migration; `DowntimeLimit` what
QEMU does. They differ more than the books say: Xen since 4.6 neither limits its rate nor skips pages that
were written again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from xenlab.migration.pages import PAGE_BYTES, MigrationError
from xenlab.migration.rounds import Round


class Action(Enum):
    """What to do next."""

    SEND = "send these pages while the guest runs"
    SEND_LAST = "send these pages while the guest runs, then stop it"
    STOP = "stop the guest and send what is dirty"


@dataclass(frozen=True)
class Decision:
    """An action and the reason for it, in words."""

    action: Action
    reason: str = ""


SEND = Decision(Action.SEND)


class Policy(Protocol):
    """What pre-copy asks of a policy."""

    @property
    def name(self) -> str:
        """What it is called in tables."""

    @property
    def skips(self) -> bool:
        """Does it look at the dirty bitmap again before each batch and leave out pages already written again?"""

    @property
    def scattered(self) -> bool:
        """Does it scan memory in pseudo-random order rather than by address?"""

    @property
    def high(self) -> float:
        """The most Mbit/s it ever sends, and the rate of the stop-and-copy phase; infinity if it sets no limit."""

    def limit(self, rounds: Sequence[Round]) -> float:
        """Return the most Mbit/s that the next round may send."""

    def decide(self, rounds: Sequence[Round], pages: int, dirty: int | None) -> Decision:
        """Decide before a round, and again after it.

        `rounds` are those sent, `pages` the guest's size. `dirty` is the number of pages waiting to be sent;
        it is None right after a round, when the bitmap has not been fetched yet.
        """


@dataclass(frozen=True)
class StopAndCopy:
    """No pre-copy: stop the guest, send everything, start it at the target (NSDI'05 §3.1)."""

    name: str = "stop-and-copy"
    skips: bool = False
    scattered: bool = False
    high: float = float("inf")

    def limit(self, rounds: Sequence[Round]) -> float:
        """No limit."""
        return self.high

    def decide(self, rounds: Sequence[Round], pages: int, dirty: int | None) -> Decision:
        """Stop at once."""
        return Decision(Action.STOP, "no pre-copy")


@dataclass(frozen=True)
class Xen417:
    """Xen since 4.6: five rounds, or fewer than 50 dirty pages (`xg_sr_save.c: simple_precopy_policy`).

    Asked with fewer than 50 dirty pages in hand, Xen sends those too before it suspends the guest. After
    round five it suspends the guest without fetching the bitmap first. No rate limit, no skipping, pages in
    order of address.
    """

    max_rounds: int = 5
    target_dirty: int = 50
    name: str = "Xen 4.17"
    skips: bool = False
    scattered: bool = False
    high: float = float("inf")

    def limit(self, rounds: Sequence[Round]) -> float:
        """No limit."""
        return self.high

    def decide(self, rounds: Sequence[Round], pages: int, dirty: int | None) -> Decision:
        """Stop after `max_rounds` rounds, or once fewer than `target_dirty` pages wait."""
        if dirty is not None and dirty < self.target_dirty:
            return Decision(Action.SEND_LAST, f"{dirty} dirty pages are fewer than {self.target_dirty}")
        if len(rounds) >= self.max_rounds:
            return Decision(Action.STOP, f"{self.max_rounds} rounds were sent")
        return SEND


@dataclass(frozen=True)
class Legacy:
    """Xen up to 4.5: 29 rounds, fewer than 50 pages, or three times the guest's size (`xc_domain_save.c`).

    `DEF_MAX_ITERS`, `DEF_MAX_FACTOR`. The test comes after each round, on the pages which that round sent or
    skipped. It looks at the dirty bitmap before each batch and skips pages written again. (Pages in order of
    address, as in 4.5.)
    """

    max_rounds: int = 29
    few: int = 50
    max_factor: float = 3.0
    name: str = "Xen 4.5"
    skips: bool = True
    scattered: bool = False
    high: float = float("inf")

    def limit(self, rounds: Sequence[Round]) -> float:
        """No limit: the rate code was compiled out (`#ifdef ADAPTIVE_SAVE`) and removed in 2011."""
        return self.high

    def decide(self, rounds: Sequence[Round], pages: int, dirty: int | None) -> Decision:
        """Stop after `max_rounds` rounds, a round of fewer than `few` pages, or `max_factor` times the memory sent."""
        if dirty is not None or not rounds:
            return SEND
        last, total = rounds[-1], sum(each.sent for each in rounds)
        if len(rounds) >= self.max_rounds:
            return Decision(Action.STOP, f"{self.max_rounds} rounds were sent")
        if last.sent + last.skipped < self.few:
            return Decision(Action.STOP, f"the last round held fewer than {self.few} pages")
        if total > self.max_factor * pages:
            return Decision(Action.STOP, f"more than {self.max_factor:g} times the memory was sent")
        return SEND


@dataclass(frozen=True)
class AdaptiveRate:
    """The method of NSDI'05 §5.3: send as fast as the guest dirtied memory in the round before, plus `step`.

    Rates are in Mbit/s. Round 1 runs at `low`; later limits are held between `low` and `high`. Pre-copy ends
    when fewer than `few_kib` KiB wait, or when the guest dirties memory faster than `high` can carry.

    Of the second case the paper says that pre-copy ends when the computed rate exceeds `high`. Yet its Fig.
    12 shows a round sent at `high`, so here such a round must have been tried and have failed. The sources of
    January 2005 are of that mind: they stop when the rate is at its maximum and a round has sent more than
    the one before. The bound of `max_rounds` is also theirs (`xc_linux_save.c`).
    """

    low: float = 100.0
    high: float = 500.0
    step: float = 50.0
    few_kib: float = 256.0
    max_rounds: int = 29
    name: str = "NSDI'05"
    skips: bool = True
    scattered: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.high:
            raise MigrationError(f"low(={self.low}) must be positive and at most high(={self.high})")

    def wanted(self, rounds: Sequence[Round]) -> float:
        """Return the rate computed after the last round, before it is held between `low` and `high`."""
        return rounds[-1].dirty_rate + self.step

    def limit(self, rounds: Sequence[Round]) -> float:
        """Return the limit of the next round."""
        return min(self.high, max(self.low, self.wanted(rounds))) if rounds else self.low

    def decide(self, rounds: Sequence[Round], pages: int, dirty: int | None) -> Decision:
        """Stop when little is left, when a round at full rate did not outpace the guest, or after `max_rounds`."""
        if dirty is None or not rounds:
            return SEND
        if dirty * PAGE_BYTES < self.few_kib * 1024:
            return Decision(Action.STOP, f"fewer than {self.few_kib:g} KiB are left")
        if rounds[-1].limit >= self.high and self.wanted(rounds) > self.high:
            return Decision(Action.STOP, f"{self.high:.0f} Mbit/s cannot outpace the guest")
        if len(rounds) >= self.max_rounds:
            return Decision(Action.STOP, f"{self.max_rounds} rounds were sent")
        return SEND


@dataclass(frozen=True)
class DowntimeLimit:
    """QEMU's rule: stop once the rest would go over in the time for which the guest may stand still.

    `allowed` is that time in seconds, QEMU's ``downtime-limit`` of 300 ms unless told otherwise. The speed of
    the link is what the last round measured (`migration/migration.c: migration_update_counters`,
    `migration/options.c: DEFAULT_MIGRATE_SET_DOWNTIME`). QEMU sets no limit to the rounds: a guest that
    writes too fast is never done, until somebody allows more. Here `max_rounds` ends it.
    """

    allowed: float = 0.3
    max_rounds: int = 29
    name: str = "QEMU"
    skips: bool = False
    scattered: bool = False
    high: float = float("inf")

    def __post_init__(self) -> None:
        if self.allowed <= 0:
            raise MigrationError(f"allowed(={self.allowed}) must be positive, in seconds")

    def limit(self, rounds: Sequence[Round]) -> float:
        """No limit."""
        return self.high

    def decide(self, rounds: Sequence[Round], pages: int, dirty: int | None) -> Decision:
        """Stop when `dirty` pages need no longer than `allowed` at the speed of the last round."""
        if dirty is None or not rounds:
            return SEND
        needed = dirty * PAGE_BYTES * 8 / 1e6 / rounds[-1].rate if rounds[-1].rate else 0.0
        if needed <= self.allowed:
            return Decision(Action.STOP, f"the rest goes over in {self.allowed * 1000:.0f} ms")
        if len(rounds) >= self.max_rounds:
            return Decision(
                Action.STOP, f"after {self.max_rounds} rounds the rest still needs {needed * 1000:.0f} ms"
            )
        return SEND
