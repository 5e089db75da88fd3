"""Shadow page tables: what the real processor walks, while the guest believes that it walks the guest's.

The guest's tables map its addresses to what it takes for physical memory. The shadows map the same addresses to where
that really is. They start empty. At a fault the monitor walks the guest's tables in software, and either the guest has
no such page, then the fault is the guest's, or the entry goes into the shadow, and the guest never hears of it.

The guest may change its tables at any time, by an ordinary store. So the pages that hold them are mapped read-only in
the shadows. A store to them faults, and the monitor does it and drops the shadow entries that were made from the old
word. The guest's kernel runs in user mode, too; so there are two shadows for each of the guest's tables, one with all
its pages for its kernel, and one for its tasks.

The method: Adams and Agesen, ASPLOS 2006, sections 2.2 and 2.4, who call the write protection *tracing*.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from xenlab.emulation.cpu import Cpu
from xenlab.emulation.mmu import PAGE, PRESENT, USER, WRITABLE, Reference, clear, map_page
from xenlab.emulation.traps import Cause, Trap
from xenlab.fullvirt.monitor import GuestMemory


@dataclass(frozen=True)
class Filled:
    """A fault was the monitor's: the shadow has the entry now, at this place."""

    place: int


@dataclass(frozen=True)
class TableWrite:
    """A fault was a store to one of the guest's page tables, at this place in its memory."""

    place: int


class Shadow:
    """The shadows of one guest's page tables, in real frames of the monitor's own.

    `virtual` is the guest's processor, whose `mmu` walks the guest's tables; `frames` are the monitor's free frames.
    """

    def __init__(self, cpu: Cpu, virtual: Cpu, memory: GuestMemory, frames: list[int]) -> None:
        self._cpu, self._virtual, self._memory = cpu, virtual, memory
        self._frames = frames
        self.drop()

    def drop(self) -> None:
        """Forget all shadows, and give their frames back."""
        self._free = list(self._frames)
        self._roots: dict[tuple[int, bool], int] = {}
        #: Frames of the guest's that hold its page tables.
        self.traced: set[int] = set()
        self._made_from: defaultdict[int, set[int]] = defaultdict(
            set
        )  # a place in the guest's tables → shadow entries
        self._writable: defaultdict[int, set[int]] = defaultdict(
            set
        )  # a frame of the guest's → shadow entries
        self._cpu.flush()

    def switch(self) -> None:
        """Let the real processor walk the shadow that fits the guest's table and mode."""
        key = self._virtual.mmu.root, self._virtual.supervisor
        if key not in self._roots:
            if len(self._free) <= self._cpu.mmu.levels:
                self.drop()
            self._roots[key] = self._free.pop()
            clear(self._cpu.memory, self._roots[key])
        self._cpu.mmu.root = self._roots[key]
        self._cpu.flush()

    def fault(self, trap: Trap) -> Filled | TableWrite:
        """Find out whose fault it is; raises `Trap` where it is the guest's."""
        mmu = self._virtual.mmu
        walk: list[Reference] = []
        mmu.log = walk
        try:
            page = mmu.page(trap.value, trap.cause, self._virtual.supervisor)
        finally:
            mmu.log = None
        frame = page >> 4
        if trap.cause == Cause.STORE and frame in self.traced:
            return TableWrite(page | trap.value & (PAGE - 1))
        for step in walk:
            self._trace(step.address >> 4)
        writable = frame not in self.traced and (not walk or bool(walk[-1].entry & WRITABLE))
        if len(self._free) < self._cpu.mmu.levels:
            self.drop()
            self.switch()
            return self.fault(trap)
        entry = self._memory.p2m[frame] << 4 | PRESENT | USER | (WRITABLE if writable else 0)
        cpu = self._cpu
        place = map_page(cpu.memory, cpu.mmu.root, trap.value, entry, cpu.mmu.levels, self._free)
        for step in walk:
            self._made_from[step.address].add(place)
        if writable:
            self._writable[frame].add(place)
        cpu.flush()
        return Filled(place)

    def entry(self, root: int, supervisor: bool, address: int) -> int:
        """The shadow's entry for an address, under the guest's table `root` and mode; 0 if there is none."""
        memory, levels = self._cpu.memory, self._cpu.mmu.levels
        entry = self._roots.get((root, supervisor), 0) << 4
        for level in range(1, levels + 1):
            if not entry:
                return 0
            entry = memory[entry & ~(PAGE - 1) | address >> 4 * (levels + 1 - level) & (PAGE - 1)]
        return entry

    def table_written(self, place: int) -> None:
        """The guest's page tables were changed at this place of its memory: drop what was made from it."""
        for entry in self._made_from.pop(place, ()):
            self._cpu.memory[entry] = 0
        self._cpu.flush()

    def _trace(self, frame: int) -> None:
        if frame in self.traced:
            return
        self.traced.add(frame)
        for entry in self._writable.pop(frame, ()):
            self._cpu.memory[entry] &= ~WRITABLE
