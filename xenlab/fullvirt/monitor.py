"""What every monitor has: a real machine, memory shared out to a guest, virtual devices, and a count of exits.

An *exit* is a moment at which the real processor stops running the guest and calls the monitor. Exits are what
virtualization costs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from xenlab.commands import XenlabError
from xenlab.emulation.assembler import Program
from xenlab.emulation.cpu import Cpu
from xenlab.emulation.isa import disassemble
from xenlab.emulation.machine import Board, Machine, load_words
from xenlab.emulation.mmu import PAGE
from xenlab.emulation.traps import Cause, Trap

#: Words of memory of the real machine, and the frame from which guests are given theirs.
HOST_MEMORY, GUEST_FRAMES_AT = 4096, 0x40


@dataclass(frozen=True)
class Exit:
    """One exit: its reason, when (in instructions of the guest), where, at which instruction, and what was done.

    `about` is the address that a fault is about, or the place that a write to a page table changed.
    """

    reason: str
    at: int
    pc: int
    instruction: str
    in_kernel: bool
    done: str
    about: int | None = None


class GuestMemory:
    """The memory that a guest takes for its own: pages of the real one, in whatever order.

    `p2m` says for each of the guest's frames which real one it is, as Xen's table of that name does.
    """

    def __init__(self, cpu: Cpu, p2m: Sequence[int]) -> None:
        self.p2m = p2m
        self._cpu = cpu

    def __len__(self) -> int:
        return len(self.p2m) * PAGE

    def __getitem__(self, place: int) -> int:
        return self._cpu.memory[self.real(place)]

    def __setitem__(self, place: int, word: int) -> None:
        self._cpu.poke(self.real(place), word)

    def real(self, place: int) -> int:
        """Where in real memory a place in the guest's is."""
        return self.p2m[place >> 4] << 4 | place & (PAGE - 1)


class Monitor:
    """A monitor with one guest, whose memory has `memory` words.

    The guest's frames are real ones in reverse order, so that nothing works by accident. `virtual` is the guest's
    processor: what the guest believes to be the state of the machine. `exits` counts by reason; `log` has each of them.
    """

    name: ClassVar[str]

    def __init__(self, memory: int = 1024, *, leaky: bool = False) -> None:
        frames = memory // PAGE
        if memory % PAGE or not 0 < frames <= HOST_MEMORY // PAGE - GUEST_FRAMES_AT:
            most = HOST_MEMORY - GUEST_FRAMES_AT * PAGE
            raise XenlabError(f"memory(={memory}) must be a multiple of {PAGE} words, and at most {most}")
        self.machine = Machine(HOST_MEMORY, leaky=leaky)
        self.cpu = self.machine.cpu
        self.memory = GuestMemory(self.cpu, range(GUEST_FRAMES_AT + frames - 1, GUEST_FRAMES_AT - 1, -1))
        self.board = Board()
        self.virtual = Cpu(self.memory, self.board)
        self.virtual.r = self.cpu.r  # a guest uses the real registers
        self.exits: Counter[str] = Counter()
        self.log: list[Exit] = []

    @property
    def console(self) -> str:
        """What the guest sent to its serial port."""
        return self.board.uart.text

    @property
    def retired(self) -> int:
        """Instructions that the guest has executed: its time."""
        return self.virtual.retired

    def load(self, program: Program) -> None:
        """Put a program into the guest's memory."""
        load_words(self.memory, program)

    def run(self, limit: int = 1_000_000) -> Trap:
        """Run the guest until its machine stops; raises `XenlabError` if it is still running after `limit`."""
        end = self.retired + limit
        while self.retired < end:
            stop = self.step(end - self.retired)
            if stop is not None:
                return stop
        raise XenlabError(
            f"limit(={limit:,}) must be enough: the guest did not halt within as many instructions"
        )

    def step(self, limit: int) -> Trap | None:
        """Run the guest up to its next exit, and handle that; return the trap that stopped the machine, if one did."""
        raise NotImplementedError

    def note(self, reason: str, done: str, word: int | None = None, about: int | None = None) -> None:
        """Count an exit, and keep it."""
        self.exits[reason] += 1
        instruction = disassemble(word) if word is not None else ""
        in_kernel = self.virtual.supervisor
        self.log.append(Exit(reason, self.retired, self.cpu.pc, instruction, in_kernel, done, about))


def stopped(trap: Trap) -> bool:
    """Has the machine stopped, for good?"""
    return trap.cause in (Cause.HALT, Cause.DOUBLE)
