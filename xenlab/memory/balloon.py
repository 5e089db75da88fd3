"""The balloon driver: how a guest that was built with fixed memory gives some of it back, and gets it again.

The driver takes pages from its own kernel, as any driver may, and holds on to them: the balloon inflates. Nobody in the
guest uses these pages now, so the frames behind them can go back to Xen. To deflate, it asks Xen for frames, puts them
behind pages of the balloon, and hands those to the kernel, the last one it took first.

Only the guest can do this; nobody forces it. What it does when it gets nowhere is policy: it tries again after 2, 4
and 8 seconds, then lets the matter rest until somebody sets another target.

Left out: a Linux with memory hotplug can plug in more than it was built for, if somebody then brings that online.

`Balloon` is a state machine without a clock: `step` does one batch and says how long to wait before the next.
Source: drivers/xen/balloon.c of Linux 6.1 (balloon_thread, increase_reservation, decrease_reservation,
update_schedule).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence

import numpy as np

from xenlab.memory.machine import Machine

#: Pages in a batch: as many frame numbers as fit on a page.
BATCH = 512
#: How often it tries again, and the longest wait between two tries, seconds.
RETRIES, LONGEST_WAIT = 4, 32


class Balloon:
    """The balloon driver of one guest.

    Args:
        machine: Where its frames come from.
        domid: The guest.
        needs: Pages that its kernel and programs use: the balloon cannot have them.
        batch: Pages that one step moves at most.

    >>> machine = Machine(64)
    >>> web = machine.add(1, pages=32)
    >>> balloon = Balloon(machine, 1, needs=8)
    >>> balloon.target = 20
    >>> balloon.step(), balloon.current, machine.frames.free
    (None, 20, 44)
    """

    def __init__(self, machine: Machine, domid: int, *, needs: int = 0, batch: int = BATCH) -> None:
        self._machine, self.domid, self.needs, self._batch = machine, domid, needs, batch
        domain = machine.domains[domid]
        self.current = len(domain.pages)
        #: Pages without a frame, the one that it would fill next at the end; those beyond the first memory come last.
        self.pages: list[int] = np.setdiff1d(np.arange(len(domain.p2m)), domain.pages)[::-1].tolist()
        self._target = self.current
        self._tries = self._wait = 1
        self.gave_up = False

    @property
    def most(self) -> int:
        """Pages that the guest was built for."""
        return self.current + len(self.pages)

    @property
    def target(self) -> int:
        """Pages that the guest shall have. One that was built for fewer makes do with those."""
        return self._target

    @target.setter
    def target(self, pages: int) -> None:
        if pages != self._target:  # the same number once more does not wake it (balloon_thread_cond)
            self._target = pages
            self.gave_up = False

    def step(self) -> float | None:
        """Do one batch. Return the seconds to wait before the next step: 0 to go on, None if there is nothing to do."""
        credit = self._target - self.current
        if credit == 0 or self.gave_up:
            return None
        if credit > 0 and not self.pages:
            self._target = self.current
            return None
        moved = self._deflate(min(credit, self._batch)) if credit > 0 else self._inflate(-credit)
        if moved:
            self._tries = self._wait = 1
            return 0.0 if self.current != self._target else None
        self._tries += 1
        if self._tries > RETRIES:
            self._tries = self._wait = 1
            self.gave_up = True
            return None
        self._wait = min(2 * self._wait, LONGEST_WAIT)
        return float(self._wait)

    def _inflate(self, wanted: int) -> int:
        """Give frames back; return how many."""
        count = max(min(wanted, self._batch, self.current - self.needs), 0)
        pages = self._machine.domains[self.domid].pages[::-1][:count].tolist()
        self._machine.release(self.domid, pages)
        self.pages += pages
        self.current -= count
        return count

    def _deflate(self, wanted: int) -> int:
        """Ask for frames; return how many came."""
        asked = self.pages[::-1][:wanted]
        count = self._machine.populate(self.domid, asked)
        del self.pages[len(self.pages) - count :]
        self.current += count
        return count


def run(balloons: Sequence[Balloon], seconds: float, batch_seconds: float) -> Iterator[tuple[float, Balloon]]:
    """Let balloon drivers work side by side, for so many seconds; yield the time and the driver after each batch.

    `batch_seconds` is what a batch takes.
    """
    due = [(0.0, number) for number in range(len(balloons))]
    heapq.heapify(due)
    while due and due[0][0] <= seconds:
        time, number = heapq.heappop(due)
        wait = balloons[number].step()
        if wait is not None:
            heapq.heappush(due, (time + batch_seconds + wait, number))
        yield time, balloons[number]
