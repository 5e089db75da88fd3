"""Nib's processor: registers, two modes, traps, a timer, and the loop that fetches, decodes and executes.

How a trap is taken. The processor notes in `epc` where to go on, in `cause` and `tval` why, and in `status` which mode
it was in and whether interrupts were let in. It goes to supervisor mode, keeps interrupts out, and jumps to `tvec`.
``rett`` undoes this. The instruction that faulted is tried again; ``syscall`` goes on behind itself.

The timer counts instructions, so that a run is the same every time: ``wrsr timer, r1`` asks for an interrupt after as
many further instructions as r1 says. It waits while interrupts are kept out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Protocol

from xenlab.emulation.isa import (
    CAUSE,
    ENABLED,
    EPC,
    FLUSH,
    HALT,
    IN,
    INSTRUCTIONS,
    MASK,
    OUT,
    PTBR,
    RDSR,
    REGISTERS,
    RETT,
    SPECIAL,
    STATUS,
    SYSCALL,
    TIMER,
    TVAL,
    TVEC,
    WAS_ENABLED,
    WAS_SUPERVISOR,
    WRSR,
    Decoded,
    Instruction,
    decode,
)
from xenlab.emulation.mmu import Mmu, Words
from xenlab.emulation.traps import Cause, Trap

#: What an instruction does when it is interpreted: registers, pc, d, a, i, load, store → the next pc.
Effect = Callable[
    [list[int], int, int, int, int, Callable[[int], int], Callable[[int, int], None]],
    int,
]


class Ports(Protocol):
    """Where ``in`` and ``out`` lead: the devices."""

    def read(self, port: int) -> int:
        """What a device's register holds."""

    def write(self, port: int, value: int) -> None:
        """Tell a device."""


class NoDevices:
    """Ports to which nothing is connected."""

    def read(self, port: int) -> int:
        """Read as all ones, as an open bus does."""
        return MASK

    def write(self, port: int, value: int) -> None:
        """Do nothing."""


class Cpu:
    """A processor with its memory (its words) and its ports.

    `run` executes; what makes it return early is in `intercepts`. On a bare machine that is ``halt``; a monitor asks
    for more. `engine` runs the instructions that have no business with the machine: `interpret`, or a `Translator`.
    A `leaky` processor has a flaw of the old x86: in user mode, reading `status` shows it and writing it is ignored,
    both without a trap.
    """

    def __init__(
        self, memory: Words, ports: Ports | None = None, *, levels: int = 2, leaky: bool = False
    ) -> None:
        self.memory = memory
        self.ports = ports or NoDevices()
        self.mmu = Mmu(memory, levels)
        self.leaky = leaky
        self.engine: Callable[[Cpu, int], None] = interpret
        self.intercepts: frozenset[Cause] = frozenset({Cause.HALT})
        self.r = [0] * REGISTERS
        self.pc = 0
        self.special = [0] * len(SPECIAL)
        self.pending = False  # the timer has run out, and nobody has been told
        self.retired = 0
        self.code: set[int] = set()  # pages whose instructions have been translated
        self.on_code_written: Callable[[int], None] = self.code.discard
        self._entered_at = -1
        self._tlbs: dict[bool, tuple[dict[int, int], ...]] = {True: ({}, {}, {}), False: ({}, {}, {})}
        self.supervisor = True

    # -- modes and memory

    @property
    def supervisor(self) -> bool:
        """Is it in supervisor mode?"""
        return self._supervisor

    @supervisor.setter
    def supervisor(self, supervisor: bool) -> None:
        self._supervisor = supervisor
        self._fetches, self._loads, self._stores = self._tlbs[supervisor]

    @property
    def flat(self) -> bool:
        """Are addresses places in memory as they stand, because no page table is in use?"""
        return not (self.mmu.root or self.mmu.nested_root)

    @property
    def fetched_pages(self) -> dict[int, int]:
        """Places of the pages from which instructions were fetched in this mode, by page number."""
        return self._fetches

    def flush(self) -> None:
        """Forget all cached translations of addresses."""
        for tlbs in self._tlbs.values():
            for tlb in tlbs:
                tlb.clear()

    def fetch(self, address: int) -> int:
        """The instruction's word at an address; raises `Trap`."""
        base = self._fetches.get(address >> 4)
        if base is None:
            base = self._miss(self._fetches, address, Cause.FETCH)
        return self.memory[base | address & 15]

    def load(self, address: int) -> int:
        """The word at an address; raises `Trap`."""
        base = self._loads.get(address >> 4)
        if base is None:
            base = self._miss(self._loads, address, Cause.LOAD)
        return self.memory[base | address & 15]

    def store(self, address: int, value: int) -> None:
        """Write a word; raises `Trap`."""
        base = self._stores.get(address >> 4)
        if base is None:
            base = self._miss(self._stores, address, Cause.STORE)
        self.poke(base | address & 15, value)

    def poke(self, place: int, value: int) -> None:
        """Write a word of memory, wherever it lies; code that was translated from there is forgotten."""
        self.memory[place] = value
        if place >> 4 in self.code:
            self.on_code_written(place >> 4)

    def _miss(self, tlb: dict[int, int], address: int, cause: Cause) -> int:
        base = tlb[address >> 4] = self.mmu.page(address, cause, self._supervisor)
        return base

    # -- running

    def run(self, limit: int) -> Trap | None:
        """Execute at most `limit` instructions; return the trap that was intercepted, or None if there was none."""
        end = self.retired + limit
        timer = self.special
        while self.retired < end:
            try:
                if self.pending and self.special[STATUS] & ENABLED:
                    self.pending = False
                    raise Trap(Cause.TIMER)
                self.engine(self, min(end - self.retired, timer[TIMER] or limit))
            except Trap as trap:
                if trap.cause in self.intercepts:
                    return trap
                if self.twice(trap):
                    return Trap(Cause.DOUBLE, self.pc)
                self.enter(trap)
        return None

    def retire(self, instructions: int) -> None:
        """Count instructions that were executed: time goes on."""
        self.retired += instructions
        if self.special[TIMER]:
            self.special[TIMER] -= instructions
            self.pending |= not self.special[TIMER]

    def twice(self, trap: Trap) -> bool:
        """Is this a trap before the handler of the last one has run a single instruction? Then nothing helps."""
        return self.retired == self._entered_at and trap.cause != Cause.TIMER

    def enter(self, trap: Trap) -> None:
        """Take a trap: call the supervisor."""
        special = self.special
        special[EPC], special[CAUSE], special[TVAL] = self.pc, int(trap.cause), trap.value
        special[STATUS] = trapped_status(special[STATUS], self.supervisor)
        self.supervisor = True
        self.pc = special[TVEC]
        self._entered_at = self.retired

    def system(self, word: int) -> None:
        """Execute an instruction that concerns the machine; raises `Trap` where it traps."""
        found = decode(word)
        if found.instruction is None or not found.instruction.system:
            raise Trap(Cause.ILLEGAL, word)
        if found.instruction.privileged and not self.supervisor:
            if not (self.leaky and leaks(found)):
                raise Trap(Cause.PRIVILEGED, word)
            if found.instruction.code == RDSR:
                self.r[found.d] = self.special[STATUS]
        else:
            self._privileged(found.instruction, found.d, found.i)
            if found.instruction.code == RETT:
                self.retire(1)
                return
        self.pc += 1
        self.retire(1)
        if found.instruction.code == SYSCALL:
            raise Trap(Cause.SYSCALL)

    def _privileged(self, instruction: Instruction, d: int, i: int) -> None:
        code = instruction.code
        if code == HALT:
            raise Trap(Cause.HALT)
        if code in (IN, OUT) and Cause.IO in self.intercepts:
            raise Trap(Cause.IO, i)
        if code == IN:
            self.r[d] = self.ports.read(i) & MASK
        elif code == OUT:
            self.ports.write(i, self.r[d])
        elif code == RDSR:
            self.r[d] = self.special[i % len(SPECIAL)]
        elif code == WRSR:
            self._write_special(i % len(SPECIAL), self.r[d])
        elif code == RETT:
            self.pc = self.special[EPC]
            self.supervisor = bool(self.special[STATUS] & WAS_SUPERVISOR)
            self.special[STATUS] = returned_status(self.special[STATUS])
        elif code == FLUSH:
            self.flush()

    def _write_special(self, number: int, value: int) -> None:
        self.special[number] = value
        if number == PTBR:
            self.mmu.root = value
            self.flush()
        elif number == TIMER:
            self.pending = False
            self.special[TIMER] = value + 1 if value else 0  # this instruction itself is still to be counted


def leaks(found: Decoded) -> bool:
    """Is it an instruction that a leaky processor does not trap?"""
    code = found.instruction.code if found.instruction else 0
    return code in (RDSR, WRSR) and found.i % len(SPECIAL) == STATUS


def trapped_status(status: int, supervisor: bool) -> int:
    """What `status` becomes when a trap is taken.

    >>> trapped_status(ENABLED, supervisor=False) == WAS_ENABLED
    True
    """
    return (WAS_ENABLED if status & ENABLED else 0) | (WAS_SUPERVISOR if supervisor else 0)


def returned_status(status: int) -> int:
    """What `status` becomes when a trap is returned from."""
    return ENABLED if status & WAS_ENABLED else 0


def interpret(cpu: Cpu, most: int) -> None:
    """Fetch, decode and execute at most `most` instructions, up to and with the first system instruction.

    Raises `Trap`; the processor then stands at the instruction that trapped, and all before it have been counted.
    """
    r, pc, done = cpu.r, cpu.pc, 0
    fetch, load, store = cpu.fetch, cpu.load, cpu.store
    word = 0
    try:
        while done < most:
            word = fetch(pc)
            effect = EFFECTS[word >> 24]
            if effect is None:
                break
            pc = effect(r, pc, word >> 20 & 15, word >> 16 & 15, word & 0xFFFF, load, store)
            done += 1
    finally:
        cpu.pc = pc
        cpu.retire(done)
    if done < most:
        cpu.system(word)


def _interpreted(instruction: Instruction) -> Effect:
    """Make a function of an instruction's effect."""
    operands = {"d": "r[d]", "a": "r[a]", "b": "r[i & 15]", "s": "((i ^ 32768) - 32768)", "M": str(MASK)}
    body = substitute(instruction.effect, operands).replace("pc = ", "return ")
    source = f"def {instruction.name}_(r, pc, d, a, i, load, store):\n {body}\n return pc + 1"
    if "; " in body:  # a call: first the place to return to, then the jump
        source = source.replace("; ", "\n ")
    scope: dict[str, Effect] = {}
    exec(compile(source, f"<{instruction.name}>", "exec"), scope)
    return scope[f"{instruction.name}_"]


def substitute(effect: str, operands: dict[str, str]) -> str:
    """Replace the operands' letters in an effect.

    >>> substitute("d = a + s & M", {"d": "r1", "a": "r2", "s": "5", "M": "0xff"})
    'r1 = r2 + 5 & 0xff'
    """
    return _LETTERS.sub(lambda found: operands.get(found[0], found[0]), effect)


_LETTERS = re.compile(r"\b[dabisM]\b")
#: What to call for an instruction's number; None for system instructions and numbers that are none.
EFFECTS: Sequence[Effect | None] = [
    _interpreted(INSTRUCTIONS[code]) if code in INSTRUCTIONS and not INSTRUCTIONS[code].system else None
    for code in range(256)
]
