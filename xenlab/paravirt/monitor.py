"""A hypervisor for Nib's ported guest: hypercalls in place of traps, and page tables used as the guest wrote them.

The guest's kernel and its tasks both run in user mode, as on x86-64. What keeps them apart are page tables: the
hypervisor lets the processor use the kernel's own while the kernel runs, and the task's while the task runs. It must
therefore know which of the two is running; this is all that is left of a virtual mode.

The tables are the guest's own (*direct paging*): the processor walks them, no shadow is made. So every change is
checked: an entry may only name frames of this guest, and nothing that can be written may be in use as a table. This
model looks at all tables anew for every change. Xen counts uses for every frame instead: `xenlab.memory` is that model.
"""

from __future__ import annotations

from collections.abc import Iterator

from xenlab.emulation.assembler import Program
from xenlab.emulation.isa import ENABLED, STATUS, TIMER
from xenlab.emulation.mmu import PAGE, PRESENT, USER, WRITABLE
from xenlab.emulation.traps import Cause, Trap
from xenlab.fullvirt.monitor import Monitor
from xenlab.paravirt.port import (
    CONSOLE,
    HYPERCALLS,
    IRET,
    KERNEL_ROOT,
    KERNEL_TABLES,
    MMU_UPDATE,
    MULTICALL,
    NEW_USER_TABLE,
    P2M,
    REFUSED,
    SET_TIMER,
    SET_TRAP,
    SHARED,
    SHUTDOWN,
)

_NUMBER, _FIRST, _SECOND = 8, 9, 10  # registers of a hypercall


class Paravirtual(Monitor):
    """A hypervisor whose guest knows that it is one.

    >>> from xenlab.paravirt.port import ported
    >>> monitor = Paravirtual()
    >>> monitor.load(ported())
    >>> monitor.run().cause.words
    'halt'
    >>> print(monitor.console)
    Nib OS
    AaBbCcDdEeFf
    """

    name = "paravirtual"

    def __init__(self, memory: int = 1024, *, leaky: bool = False) -> None:
        super().__init__(memory, leaky=leaky)
        self.cpu.intercepts = frozenset(Cause)
        self.cpu.supervisor = False
        self.cpu.special[STATUS] = ENABLED
        self.calls: list[str] = []  # every hypercall, those inside a multicall too
        self._said = ""
        self._handler = 0
        self._kernel_root = self.memory.p2m[KERNEL_ROOT // PAGE]
        self._user_root = 0
        self._roots: set[int] = set()  # in use as root tables

    @property
    def console(self) -> str:
        """What the guest said by hypercall."""
        return self._said

    def load(self, program: Program) -> None:
        """Build the guest: its program, its first page tables, and the table of its frames."""
        super().load(program)
        memory, p2m = self.memory, self.memory.p2m
        tables = {
            KERNEL_ROOT // PAGE,
            *range(KERNEL_TABLES // PAGE, KERNEL_TABLES // PAGE + len(p2m) // PAGE),
        }
        for page, frame in enumerate(p2m):
            memory[P2M + page] = frame
            writable = 0 if page in tables else WRITABLE
            memory[KERNEL_TABLES + page] = frame << 4 | PRESENT | USER | writable
        for number in range(len(p2m) // PAGE):
            memory[KERNEL_ROOT + number] = p2m[KERNEL_TABLES // PAGE + number] << 4 | PRESENT
        self._roots.add(self._kernel_root)
        self._switch(to_kernel=True)

    def step(self, limit: int) -> Trap | None:
        """Run the guest up to its next exit, and handle that."""
        virtual = self.virtual
        if virtual.pending and not virtual.supervisor:
            virtual.pending = False
            self._bounce(Trap(Cause.TIMER))
            return None
        before = self.cpu.retired
        self.cpu.special[TIMER], self.cpu.pending = virtual.special[TIMER], False
        trap = self.cpu.run(limit)
        virtual.retire(self.cpu.retired - before)
        return self._handle(trap) if trap else None

    def _handle(self, trap: Trap) -> Trap | None:
        if trap.cause == Cause.TIMER:
            self.note("timer", "the guest's timer is due")
            return None
        if trap.cause == Cause.SYSCALL and self.virtual.supervisor:
            return self._hypercall()
        if self.virtual.supervisor:
            return Trap(Cause.DOUBLE, self.cpu.pc)  # the kernel itself has faulted
        reason = "page fault of the guest's" if trap.cause.is_fault else trap.cause.words
        self.note(reason, "handed on to the guest's kernel")
        self._bounce(trap)
        return None

    def _bounce(self, trap: Trap) -> None:
        """Call the guest's kernel: tell it why in the shared page, and let it run (create_bounce_frame)."""
        for offset, word in enumerate((int(trap.cause), trap.value, self.cpu.pc)):
            self.memory[SHARED + offset] = word
        self.cpu.pc = self._handler
        self._switch(to_kernel=True)

    def _switch(self, to_kernel: bool) -> None:
        self.virtual.supervisor = to_kernel
        self.cpu.mmu.root = self._kernel_root if to_kernel else self._user_root
        self.cpu.flush()

    # -- hypercalls

    def _hypercall(self) -> Trap | None:
        r = self.cpu.r
        number, first, second = r[_NUMBER], r[_FIRST], r[_SECOND]
        name = HYPERCALLS[number] if number < len(HYPERCALLS) else f"hypercall {number}"
        self.note(f"hypercall: {name}", f"{name}({first:#x}, {second:#x})")
        if number == IRET:
            self.calls.append(name)
            self.cpu.pc = self.memory[SHARED + 2]
            self._switch(to_kernel=False)
            return None
        if number == SHUTDOWN:
            self.calls.append(name)
            return Trap(Cause.HALT)
        try:
            r[_NUMBER] = self._call(number, first, second)
        except Trap:  # an address that the guest itself could not have used
            r[_NUMBER] = REFUSED
        return None

    def _call(self, number: int, first: int, second: int) -> int:
        """Do a hypercall that comes back; return its result."""
        self.calls.append(HYPERCALLS[number] if number < len(HYPERCALLS) else str(number))
        if number == CONSOLE:
            self._said += "".join(chr(self.cpu.load(first + offset) & 0xFF) for offset in range(second))
        elif number == SET_TRAP:
            self._handler = first
        elif number == MMU_UPDATE:
            return self._update(first, second)
        elif number == NEW_USER_TABLE:
            return self._new_user_table(first)
        elif number == SET_TIMER:
            self.virtual.special[TIMER], self.virtual.pending = first, False
        elif number == MULTICALL:
            for entry in range(first, first + 4 * second, 4):
                arguments = (self.cpu.load(entry + n) for n in range(3))
                self.cpu.store(entry + 3, self._call(*arguments))
        else:
            return REFUSED
        return 0

    # -- page tables

    def _update(self, place: int, entry: int) -> int:
        """Write one entry of a table, by its place in the machine, if all rules hold afterwards (mmu_update)."""
        if place >> 4 not in self.memory.p2m:
            return REFUSED
        before = self.cpu.memory[place]
        self.cpu.poke(place, entry)
        if not self._sound():
            self.cpu.poke(place, before)
            return REFUSED
        self.cpu.flush()
        return 0

    def _new_user_table(self, frame: int) -> int:
        """Let tasks run on this root table from now on, if it is one that may be used (new_user_baseptr)."""
        known = frame in self._roots
        self._roots.add(frame)
        if frame not in self.memory.p2m or not self._sound():
            self._roots -= set() if known else {frame}
            return REFUSED
        self._user_root = frame
        return 0

    def _sound(self) -> bool:
        """Do all tables in use keep the rules: only frames of this guest, and no table writable?"""
        tables = self._roots | {entry >> 4 for root in self._roots for entry in self._entries(root)}
        pages = [entry for table in tables - self._roots for entry in self._entries(table)]
        own = set(self.memory.p2m)
        mapped = {entry >> 4 for entry in pages}
        writable = {entry >> 4 for entry in pages if entry & WRITABLE}
        return tables <= own and mapped <= own and not writable & tables

    def _entries(self, frame: int) -> Iterator[int]:
        """The entries of a table that are there; a frame that is not the guest's has none to show."""
        if frame in self.memory.p2m:
            words = (self.cpu.memory[place] for place in range(frame * PAGE, (frame + 1) * PAGE))
            yield from (word for word in words if word & PRESENT)
