"""A whole computer: memory, the processor, a serial port; and a way to put a program into it."""

from __future__ import annotations

from xenlab.commands import XenlabError
from xenlab.emulation.assembler import Program, assemble
from xenlab.emulation.cpu import Cpu
from xenlab.emulation.isa import MASK
from xenlab.emulation.mmu import PAGE, Words
from xenlab.emulation.traps import Trap
from xenlab.emulation.uart import COM1, Uart

#: Words of memory, where nothing else is said.
MEMORY = 4096


class Board:
    """What is wired to the ports of a computer: a serial port at COM1, as in a PC."""

    def __init__(self) -> None:
        self.uart = Uart()

    def read(self, port: int) -> int:
        """What the device at a port answers; all ones where there is none."""
        return self.uart.read(port - COM1) if COM1 <= port < COM1 + 8 else MASK

    def write(self, port: int, value: int) -> None:
        """Tell the device at a port; nobody hears it where there is none."""
        if COM1 <= port < COM1 + 8:
            self.uart.write(port - COM1, value)


class Machine:
    """A computer. `memory` is its size in words, a multiple of 16.

    >>> machine = Machine()
    >>> machine.load("li r1, 'A'\\n out 0x3f8, r1\\n halt")
    >>> machine.run().cause.words, machine.console
    ('halt', 'A')
    """

    def __init__(self, memory: int = MEMORY, *, levels: int = 2, leaky: bool = False) -> None:
        if memory < PAGE or memory % PAGE:
            raise XenlabError(f"memory(={memory}) must be a multiple of {PAGE} words")
        self.board = Board()
        self.cpu = Cpu([0] * memory, self.board, levels=levels, leaky=leaky)

    @property
    def console(self) -> str:
        """What was sent to the serial port."""
        return self.board.uart.text

    def load(self, program: Program | str) -> None:
        """Put a program into memory, as text or assembled; raises `XenlabError` where it has no room."""
        made = assemble(program) if isinstance(program, str) else program
        load_words(self.cpu.memory, made)

    def run(self, limit: int = 1_000_000) -> Trap:
        """Run until the machine stops, and say why; raises `XenlabError` if it is still running after `limit`."""
        trap = self.cpu.run(limit)
        if trap is None:
            raise XenlabError(
                f"limit(={limit:,}) must be enough: the program did not halt within as many instructions"
            )
        return trap


def load_words(memory: Words, program: Program, base: int = 0) -> None:
    """Write a program's words into memory, `base` words further up; raises `XenlabError` where it has no room."""
    for address, word in program.words.items():
        if base + address >= len(memory):
            raise XenlabError(f"program(=word at {address:#x}) must fit into memory of {len(memory):,} words")
        memory[base + address] = word
