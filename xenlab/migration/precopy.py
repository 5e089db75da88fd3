"""Iterative pre-copy: send all of memory while the guest runs, then what it has written meanwhile, and so on.

Each *round* sends the pages found dirty when the round before it ended. The guest keeps writing, so every
round leaves new dirty pages behind; with luck, fewer each time. When the `policy` has had enough, the guest
is suspended, the rest is sent, and the guest goes on at the target: the *stop-and-copy* phase, the only time
it does not run (NSDI'05 §3; `xg_sr_save.c`).

The model keeps real bitmaps and follows the tools batch by batch (1024 pages: MAX_BATCH_SIZE in
`xg_save_restore.h`): look at the dirty bitmap, gather a batch, send it, and let the guest write for as long
as that takes. Nothing in it is a formula for a round.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from xenlab.migration.pages import BATCH, ENTRY_BYTES, PAGE_BYTES, PageNumbers, bitmap, count, scattered
from xenlab.migration.policies import Action, Policy
from xenlab.migration.rounds import Guest, Migration, Path, Round

if TYPE_CHECKING:
    from xenlab.migration.workloads import Workload


class Precopy:
    """A migration under way. Iterate over it: each `Round` comes when it has ended.

    `guest` runs `workload` while `policy` moves it along `path`; equal `seed` means equal result. With
    `elide_zero` pages that are still zero are announced instead of sent. Between rounds the bitmaps may be
    read: `sent`, what the last round sent; `dirty`, what the guest has written since that round began, which
    is what the next must send; `zero`. `now` is the simulated time in seconds.

    Being a generator of rounds it can be stepped by hand, drained by a loop, or driven by an event loop that
    waits `Round.seconds` for each.

    >>> from xenlab.migration.policies import Xen417
    >>> from xenlab.migration.workloads import hot_cold
    >>> web = hot_cold(mib=64, hot_mib=2, hot_rate=20, cold_rate=1)
    >>> for each in Precopy(Guest(64), web, Xen417(), Path(mbit=1000)):
    ...     print(each.number, "live" if each.live else "stop", each.sent, each.dirtied)
    1 live 16384 649
    2 live 649 97
    3 live 97 14
    4 live 14 2
    5 stop 2 0
    """

    def __init__(
        self,
        guest: Guest,
        workload: Workload,
        policy: Policy,
        path: Path | None = None,
        *,
        elide_zero: bool = False,
        seed: int = 0,
    ) -> None:
        self.guest, self.workload, self.policy = guest, workload, policy
        self.path = path or Path()
        self.rounds: list[Round] = []
        self.reason = ""
        self.now = 0.0
        self.to_send = bitmap(guest.pages, value=True)
        self.sent = bitmap(guest.pages)
        self.dirty = bitmap(guest.pages)
        self.zero = guest.zero_pages() if elide_zero else bitmap(guest.pages)
        self._rng = np.random.default_rng(seed)

    def __iter__(self) -> Iterator[Round]:
        """Yield the live rounds, then the stop-and-copy phase."""
        while True:
            action = self._ask(count(self.to_send))
            if action is Action.STOP:
                break
            yield self._keep(self._live_round())
            if action is Action.SEND_LAST or self._ask(None) is Action.STOP:
                break
            self._clean()
        yield self._keep(self._stop_and_copy())

    def _keep(self, done: Round) -> Round:
        self.rounds.append(done)
        return done

    def _ask(self, dirty: int | None) -> Action:
        decision = self.policy.decide(self.rounds, self.guest.pages, dirty)
        self.reason = decision.reason
        return decision.action

    def _run_guest(self, seconds: float) -> None:
        """Let time pass while the guest runs."""
        self.workload.write(self.dirty, self.now, seconds, self._rng)
        self.now += seconds

    def _clean(self) -> None:
        """Take the dirty bitmap as the pages of the next round and leave a clean one (XEN_DOMCTL_SHADOW_OP_CLEAN)."""
        self.zero &= ~self.dirty
        self.to_send |= self.dirty
        self.dirty[:] = False

    def _live_round(self) -> Round:
        limit, start, to_send = self.policy.limit(self.rounds), self.now, count(self.to_send)
        mbit = min(limit, self.path.mbit - self.path.guest_mbit)
        self.sent[:] = False
        contents = handled = 0
        any_zero = self.zero.any()
        for pages in self._batches():
            data = pages.size - (self._still_zero(pages) if any_zero else 0)
            self._send(pages)
            self._run_guest(_bits(data, pages.size) / (mbit * 1e6))
            contents += data
            handled += pages.size
        self.to_send[:] = False  # the pages skipped are dirty, so the next round will send them
        return Round(
            number=len(self.rounds) + 1,
            live=True,
            start=start,
            seconds=self.now - start,
            to_send=to_send,
            sent=contents,
            zero=handled - contents,
            skipped=to_send - handled,
            dirtied=count(self.dirty),
            limit=limit,
        )

    def _batches(self) -> Iterator[PageNumbers]:
        """Yield the pages of this round in batches, in the policy's order, without those it skips."""
        queue = np.flatnonzero(self.to_send)
        if self.policy.scattered:
            queue = scattered(queue)
        place = 0
        while place < queue.size:
            pages, place = self._gather(queue, place)
            yield pages

    def _gather(self, queue: PageNumbers, place: int) -> tuple[PageNumbers, int]:
        """Return the next batch of the queue and the place after it, looking further ahead the more is skipped."""
        if not self.policy.skips:
            return queue[place : place + BATCH], place + BATCH
        reach = BATCH * 5 // 4
        while True:
            end = min(place + reach, queue.size)
            pages = queue[place:end]
            (clean,) = np.logical_not(self.dirty[pages]).nonzero()
            if clean.size >= BATCH:
                return pages[clean[:BATCH]], place + int(clean[BATCH - 1]) + 1
            if end == queue.size:
                return pages[clean], end
            reach *= 2

    def _still_zero(self, pages: PageNumbers) -> int:
        """Return how many of these pages are zero and have not been written since the round began."""
        return count(self.zero[pages] & ~self.dirty[pages])

    def _send(self, pages: PageNumbers) -> None:
        """Put a batch on the wire."""
        self.sent[pages] = True

    def _stop_and_copy(self) -> Round:
        """Suspend the guest and send all that is left, at the highest rate allowed.

        The guest has stopped writing. What the rate limiter has saved up meanwhile is spent here
        (`xc_linux_save.c: xcio_ratewrite`).
        """
        self._clean()
        self.sent[:] = False
        pages = np.flatnonzero(self.to_send)
        zero = count(self.zero & self.to_send)
        self._send(pages)
        self.to_send[:] = False
        bits = _bits(pages.size - zero, pages.size)
        high = self.policy.high
        return Round(
            number=len(self.rounds) + 1,
            live=False,
            start=self.now,
            seconds=max(bits / (self.path.mbit * 1e6), bits / (high * 1e6) - self.path.credit),
            to_send=pages.size,
            sent=pages.size - zero,
            zero=zero,
            skipped=0,
            dirtied=0,
            limit=high,
        )


def _bits(contents: int, announced: int) -> int:
    return 8 * (contents * PAGE_BYTES + announced * ENTRY_BYTES)


def migrate(
    guest: Guest,
    workload: Workload,
    policy: Policy,
    path: Path | None = None,
    *,
    elide_zero: bool = False,
    seed: int = 0,
) -> Migration:
    """Simulate a whole migration. The arguments are those of `Precopy`.

    >>> from xenlab.migration.policies import StopAndCopy
    >>> from xenlab.migration.workloads import Idle
    >>> print(migrate(Guest(64), Idle(), StopAndCopy(), Path(mbit=1000)))
    simulated, stop-and-copy: 0 live rounds, 64 MiB in 0.5 s, 538 ms down (no pre-copy)
    """
    run = Precopy(guest, workload, policy, path, elide_zero=elide_zero, seed=seed)
    rounds = tuple(run)
    return Migration(policy.name, guest.pages, rounds, run.reason, run.path)
