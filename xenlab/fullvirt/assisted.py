"""Hardware-assisted virtualization: a processor with a guest mode and nested page tables, as VT-x and AMD-V have.

In guest mode the guest has a supervisor mode of its own. Its traps go to its own handler, its privileged instructions
act on its own special registers, and it walks its own page tables; a second, nested table turns what it takes for
physical addresses into real ones. Only what the monitor asked for makes an exit: here the devices, ``halt``, and pages
that the nested table does not have yet.
"""

from __future__ import annotations

from xenlab.emulation.isa import IN, MASK, decode
from xenlab.emulation.mmu import PRESENT, WRITABLE, map_page
from xenlab.emulation.traps import Cause, Trap
from xenlab.fullvirt.monitor import GUEST_FRAMES_AT, Monitor, stopped


class Assisted(Monitor):
    """A monitor that leaves the guest's kernel to the processor.

    >>> from xenlab.fullvirt.guestos import image
    >>> monitor = Assisted()
    >>> monitor.load(image())
    >>> monitor.run().cause.words, monitor.console == "Nib OS\\nAaBbCcDdEeFf"
    ('halt', True)
    """

    name = "hardware-assisted"

    def __init__(self, memory: int = 1024, *, leaky: bool = False) -> None:
        super().__init__(memory, leaky=leaky)
        self.virtual = self.cpu  # in guest mode the processor's state is the guest's
        self.cpu.intercepts = frozenset({Cause.HALT, Cause.IO, Cause.NESTED})
        self._free = list(range(2, GUEST_FRAMES_AT))
        self.cpu.mmu.nested_root = 1

    def step(self, limit: int) -> Trap | None:
        """Run the guest up to its next exit, and handle that."""
        trap = self.cpu.run(limit)
        if trap is None or stopped(trap):
            if trap is not None:
                self.note(trap.cause.words, "the machine stops")
            return trap
        if trap.cause == Cause.NESTED:
            return self._nested_fault(trap)
        word = self.cpu.fetch(self.cpu.pc)
        found = decode(word)
        self.note("input or output", "done to the virtual device", word)
        assert found.instruction is not None
        if found.instruction.code == IN:
            self.cpu.r[found.d] = self.board.read(found.i) & MASK
        else:
            self.board.write(found.i, self.cpu.r[found.d])
        self.cpu.pc += 1
        self.cpu.retire(1)
        return None

    def _nested_fault(self, trap: Trap) -> Trap | None:
        frame = trap.value >> 4
        if frame < len(self.memory.p2m):
            self.note("page missing in the nested table", f"filled in for frame {frame:#x}")
            entry = self.memory.p2m[frame] << 4 | PRESENT | WRITABLE
            mmu = self.cpu.mmu
            map_page(self.cpu.memory, mmu.nested_root, trap.value, entry, mmu.nested_levels, self._free)
            return None
        self.note("no such memory", "handed on to the guest's kernel")
        assert trap.access is not None
        if self.cpu.twice(trap.access):
            return Trap(Cause.DOUBLE, self.cpu.pc)
        self.cpu.enter(trap.access)
        return None
