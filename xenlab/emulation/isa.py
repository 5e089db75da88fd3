"""Nib, the book's processor: its instructions, how they are written as words, and what each one does.

A word has 32 bits, memory is an array of words, and there are sixteen registers. Every hexadecimal digit of an
instruction means something: two digits say which instruction, one names register *d*, one register *a*, and the last
four are a number *i*, whose lowest digit also names register *b*. So ``0x01321004`` would be instruction 01 with d = 3,
a = 2, b = 4. All arithmetic is on numbers from 0 to 2³² − 1; what does not fit is cut off.

What an instruction does is written here once, in a line of Python. The interpreter and the translator both use it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from xenlab.commands import XenlabError

MASK = 0xFFFF_FFFF
REGISTERS = 16

#: Special registers, which belong to the supervisor; their numbers are their places here.
SPECIAL = ("status", "tvec", "epc", "cause", "tval", "ptbr", "timer", "scratch")
STATUS, TVEC, EPC, CAUSE, TVAL, PTBR, TIMER, SCRATCH = range(len(SPECIAL))
#: Bits of `status`: interrupts are let in; they were before the trap; the trap came from supervisor mode.
ENABLED, WAS_ENABLED, WAS_SUPERVISOR = 1, 2, 4


@dataclass(frozen=True)
class Instruction:
    """One instruction: number, name, how its operands are written, its effect in Python, and that in words.

    In `operands` and `effect`, `d`, `a` and `b` are registers, `i` is a number from 0 to 65,535 and `s` the same digits
    read as a signed number. `target` is a number that is an address, `[a+s]` a place in memory, `port` a device's
    register and `special` one of `SPECIAL`. An effect that sets `pc` is a jump. System instructions have no effect of
    this kind: the processor itself does them.
    """

    code: int
    name: str
    operands: str
    effect: str
    what: str

    @property
    def jumps(self) -> bool:
        """Does it say which instruction comes next?"""
        return "pc =" in self.effect

    @property
    def system(self) -> bool:
        """Does it concern the machine, not only registers and memory?"""
        return not self.effect

    @property
    def privileged(self) -> bool:
        """Does it trap in user mode?"""
        return self.code >= 0xF0


def _table(*rows: tuple[int, str, str, str, str]) -> dict[int, Instruction]:
    return {row[0]: Instruction(*row) for row in rows}


INSTRUCTIONS = _table(
    (0x01, "add", "d, a, b", "d = a + b & M", "add"),
    (0x02, "sub", "d, a, b", "d = a - b & M", "subtract"),
    (0x03, "mul", "d, a, b", "d = a * b & M", "multiply"),
    (0x04, "and", "d, a, b", "d = a & b", "bits set in both"),
    (0x05, "or", "d, a, b", "d = a | b", "bits set in either"),
    (0x06, "xor", "d, a, b", "d = a ^ b", "bits set in one of them"),
    (0x07, "shl", "d, a, b", "d = a << (b & 31) & M", "shift to the left"),
    (0x08, "shr", "d, a, b", "d = a >> (b & 31)", "shift to the right"),
    (0x10, "li", "d, s", "d = s & M", "load a number"),
    (0x11, "addi", "d, a, s", "d = a + s & M", "add a number"),
    (0x13, "muli", "d, a, s", "d = a * s & M", "multiply by a number"),
    (0x14, "andi", "d, a, i", "d = a & i", "keep some bits"),
    (0x15, "ori", "d, a, i", "d = a | i", "set some bits"),
    (0x16, "xori", "d, a, i", "d = a ^ i", "flip some bits"),
    (0x17, "shli", "d, a, i", "d = a << (i & 31) & M", "shift to the left by a number"),
    (0x18, "shri", "d, a, i", "d = a >> (i & 31)", "shift to the right by a number"),
    (0x20, "lw", "d, [a+s]", "d = load(a + s & M)", "load a word from memory"),
    (0x21, "sw", "d, [a+s]", "store(a + s & M, d)", "store a word to memory"),
    (0x30, "jmp", "target", "pc = i", "jump"),
    (0x31, "jal", "d, target", "d = pc + 1; pc = i", "call: jump, and keep the place to return to"),
    (0x32, "jr", "a", "pc = a", "return: jump to where a register says"),
    (0x33, "beq", "d, a, target", "if d == a: pc = i", "jump if equal"),
    (0x34, "bne", "d, a, target", "if d != a: pc = i", "jump if not equal"),
    (0x35, "blt", "d, a, target", "if d < a: pc = i", "jump if less"),
    (0x36, "bge", "d, a, target", "if d >= a: pc = i", "jump if not less"),
    (0x40, "syscall", "", "", "call the supervisor"),
    (0xF0, "halt", "", "", "stop the machine"),
    (0xF1, "in", "d, port", "", "read a device's register"),
    (0xF2, "out", "port, d", "", "write a device's register"),
    (0xF3, "rdsr", "d, special", "", "read a special register"),
    (0xF4, "wrsr", "special, d", "", "write a special register"),
    (0xF5, "rett", "", "", "return from a trap"),
    (0xF6, "flush", "", "", "forget cached translations of addresses"),
)
BY_NAME = {each.name: each for each in INSTRUCTIONS.values()}
#: Numbers of the system instructions, for those that do them.
SYSCALL, HALT, IN, OUT, RDSR, WRSR, RETT, FLUSH = 0x40, 0xF0, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6


@dataclass(frozen=True)
class Decoded:
    """A word taken apart: the instruction, or None where no instruction has this number, and its operands."""

    instruction: Instruction | None
    d: int
    a: int
    i: int

    @property
    def b(self) -> int:
        """The register that the last digit names."""
        return self.i & 15

    @property
    def s(self) -> int:
        """The number, read as a signed one."""
        return signed(self.i)


def signed(i: int) -> int:
    """Read sixteen bits as a number from −32,768 to 32,767."""
    return (i ^ 0x8000) - 0x8000


def encode(name: str, d: int = 0, a: int = 0, i: int = 0) -> int:
    """The word of an instruction; raises `XenlabError` for an operand that has no room in it.

    >>> f"{encode('add', 3, 2, 4):08x}", f"{encode('li', 1, i=-1):08x}"
    ('01320004', '1010ffff')
    """
    if name not in BY_NAME:
        raise XenlabError(f"instruction(={name!r}) must be one of: {', '.join(BY_NAME)}")
    for field, register in (("d", d), ("a", a)):
        if not 0 <= register < REGISTERS:
            raise XenlabError(f"{field}(={register}) must be a register from 0 to {REGISTERS - 1}")
    if not -0x8000 <= i <= 0xFFFF:
        raise XenlabError(
            f"number(={i}) must be between -32768 and 65535; use lui, or memory, for larger ones"
        )
    return BY_NAME[name].code << 24 | d << 20 | a << 16 | i & 0xFFFF


def decode(word: int) -> Decoded:
    """Take a word apart.

    >>> decode(0x01320004).instruction.name, decode(0x01320004).b
    ('add', 4)
    """
    return Decoded(INSTRUCTIONS.get(word >> 24), word >> 20 & 15, word >> 16 & 15, word & 0xFFFF)


def disassemble(word: int) -> str:
    """The instruction as text, or the word itself where it is none.

    >>> disassemble(0x01320004), disassemble(0x20150003), disassemble(0xF3100003), disassemble(7)
    ('add r3, r2, r4', 'lw r1, [r5+3]', 'rdsr r1, cause', '.word 0x7')
    """
    found = decode(word)
    if found.instruction is None:
        return f".word {word:#x}"
    names = {
        "d": f"r{found.d}",
        "a": f"r{found.a}",
        "b": f"r{found.b}",
        "i": f"{found.i:#x}" if found.i > 9 else str(found.i),
        "s": str(found.s),
        "target": f"{found.i:#05x}",
        "port": f"{found.i:#x}",
        "special": SPECIAL[found.i % len(SPECIAL)],
    }
    written = re.sub(r"\b(target|port|special|[dabis])\b", lambda m: names[m[0]], found.instruction.operands)
    return f"{found.instruction.name} {written.replace('+-', '-').replace('+0]', ']')}".strip()
