"""Trap and emulate: the guest, its kernel too, runs in user mode on the real processor; what traps, the monitor does.

The monitor keeps a *virtual* processor, which is in supervisor mode while the guest's kernel runs. A privileged
instruction traps on the real one. If the guest is in its kernel, the monitor lets the virtual processor execute it;
otherwise it hands the trap on to the guest's own handler, as the hardware would have.
"""

from __future__ import annotations

from xenlab.emulation.isa import ENABLED, STATUS, TIMER, decode
from xenlab.emulation.translator import Translator
from xenlab.emulation.traps import Cause, Trap
from xenlab.fullvirt.monitor import GUEST_FRAMES_AT, Monitor
from xenlab.fullvirt.shadow import Filled, Shadow


class TrapAndEmulate(Monitor):
    """The classical monitor, with shadow page tables.

    With `translating`, the guest's code is run by binary translation, and every privileged instruction in it calls the
    monitor. So the monitor works on a `leaky` processor, too, as VMware's did on the x86.

    >>> from xenlab.fullvirt.guestos import image
    >>> monitor = TrapAndEmulate()
    >>> monitor.load(image())
    >>> monitor.run().cause.words
    'halt'
    >>> print(monitor.console)
    Nib OS
    AaBbCcDdEeFf
    """

    name = "trap and emulate"

    def __init__(self, memory: int = 1024, *, leaky: bool = False, translating: bool = False) -> None:
        super().__init__(memory, leaky=leaky)
        if translating:
            self.cpu.engine = Translator(callouts=True)
        self.cpu.intercepts = frozenset(Cause)
        self.cpu.supervisor = False
        self.cpu.special[STATUS] = ENABLED
        self.shadow = Shadow(self.cpu, self.virtual, self.memory, list(range(1, GUEST_FRAMES_AT)))
        self.shadow.switch()

    def step(self, limit: int) -> Trap | None:
        """Run the guest up to its next exit, and handle that."""
        virtual = self.virtual
        if virtual.pending and virtual.special[STATUS] & ENABLED:
            virtual.pending = False
            return self._hand_on(Trap(Cause.TIMER))
        before = self.cpu.retired
        self.cpu.special[TIMER], self.cpu.pending = virtual.special[TIMER], False
        trap = self.cpu.run(limit)
        virtual.retire(self.cpu.retired - before)
        return self.handle(trap) if trap else None

    def handle(self, trap: Trap) -> Trap | None:
        """Do what the exit asks for; return the trap if it stopped the guest's machine."""
        if trap.cause == Cause.PRIVILEGED and self.virtual.supervisor:
            return self._emulate(trap.value)
        if trap.cause.is_fault:
            return self._fault(trap)
        if trap.cause == Cause.TIMER:
            self.note("timer", "the guest's timer is due")
            return None
        self.note(trap.cause.words, "handed on to the guest's kernel", trap.value or None)
        return self._hand_on(trap)

    def _emulate(self, word: int) -> Trap | None:
        found = decode(word).instruction
        assert found is not None
        self.note(f"privileged: {found.name}", "done to the virtual processor", word)
        virtual = self.virtual
        before = virtual.mmu.root, virtual.supervisor
        virtual.pc = self.cpu.pc
        try:
            virtual.system(word)
        except Trap as stop:
            return stop  # ``halt``: nothing else traps in supervisor mode
        self.cpu.pc = virtual.pc
        if (virtual.mmu.root, virtual.supervisor) != before:
            self.shadow.switch()
        return None

    def _fault(self, trap: Trap) -> Trap | None:
        try:
            outcome = self.shadow.fault(trap)
        except Trap as own:
            self.note("page fault of the guest's", "handed on to the guest's kernel", about=own.value)
            return self._hand_on(own)
        if isinstance(outcome, Filled):
            self.note("page missing in the shadow", f"filled in for {trap.value:#05x}", about=trap.value)
            return None
        word = self.cpu.fetch(self.cpu.pc)
        self.note("write to a page table", f"written at {outcome.place:#05x}", word, outcome.place)
        self.memory[outcome.place] = self.cpu.r[decode(word).d]
        self.shadow.table_written(outcome.place)
        self.cpu.pc += 1
        self.virtual.retire(1)
        return None

    def _hand_on(self, trap: Trap) -> Trap | None:
        """Take the trap on the virtual processor: the guest's own handler goes on."""
        virtual = self.virtual
        if virtual.twice(trap):
            return Trap(Cause.DOUBLE, self.cpu.pc)
        virtual.pc = self.cpu.pc
        was_supervisor = virtual.supervisor
        virtual.enter(trap)
        self.cpu.pc = virtual.pc
        if not was_supervisor:
            self.shadow.switch()
        return None
