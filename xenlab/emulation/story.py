"""What a reader sees of a run: one instruction after the other, or one translated block after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xenlab.emulation.cpu import Cpu
from xenlab.emulation.isa import IN, MASK, OUT, Decoded, decode, signed
from xenlab.emulation.machine import Machine
from xenlab.emulation.translator import Translation, Translator
from xenlab.emulation.traps import Trap

#: No story is longer.
MOST = 200


@dataclass(frozen=True)
class Step:
    """One instruction: where it stood, its word, the registers after it, what it did, what the console shows then."""

    pc: int
    word: int
    registers: tuple[int, ...]
    changed: tuple[int, ...]
    does: str
    console: str
    device: str = ""


def steps(machine: Machine, limit: int = MOST) -> Iterator[Step]:
    """Run a machine one instruction at a time, up to its ``halt``.

    >>> machine = Machine()
    >>> machine.load("li r1, 5\\n addi r1, r1, -2\\n halt")
    >>> [step.does for step in steps(machine)]
    ['r1 = 5', 'r1 = 5 − 2 = 3', 'the machine stops']
    """
    cpu = machine.cpu
    for _ in range(limit):
        pc, before = cpu.pc, tuple(cpu.r)
        try:
            word = cpu.fetch(pc)
        except Trap:
            word = 0
        stop = cpu.run(1)
        after = tuple(cpu.r)
        changed = tuple(n for n in range(len(after)) if after[n] != before[n])
        does, device = told(decode(word), before, cpu, pc)
        yield Step(pc, word, after, changed, does, machine.console, device)
        if stop is not None:
            return


def told(found: Decoded, before: tuple[int, ...], cpu: Cpu, pc: int) -> tuple[str, str]:
    """What an instruction did, in words, and what a device had to do with it; `before` are the registers before it."""
    instruction = found.instruction
    if instruction is None:
        return "there is no such instruction: a trap", ""
    d, a, b, s = found.d, before[found.a], before[found.b], signed(found.i)
    after, name = cpu.r[d], instruction.name
    if instruction.jumps:
        return _jump(found, before, cpu, pc), ""
    if name == "lw":
        return f"r{d} = memory[{a + s & MASK:#05x}] = {number(after)}", ""
    if name == "sw":
        return f"memory[{a + s & MASK:#05x}] = {number(before[d])}", ""
    if name == "li":
        return f"r{d} = {number(after)}", ""
    if instruction.code == IN:
        return f"r{d} = {number(after)}", f"read port {found.i:#x}: {after:#x}"
    if instruction.code == OUT:
        return f"port {found.i:#x} is told {number(before[d])}", f"write port {found.i:#x}: {before[d]:#x}"
    if instruction.system:
        return _SYSTEM.get(name, f"`{name}`, for the supervisor"), ""
    right = b if instruction.operands.endswith("b") else s if instruction.operands.endswith("s") else found.i
    sign = _SIGNS[name.removesuffix("i") if name != "li" else name]
    if right < 0 and sign == "+":
        sign, right = "−", -right
    return f"r{d} = {number(a)} {sign} {number(right)} = {number(after)}", ""


def _jump(found: Decoded, before: tuple[int, ...], cpu: Cpu, pc: int) -> str:
    assert found.instruction is not None
    name = found.instruction.name
    if name in _COMPARES:
        left, right = number(before[found.d]), number(before[found.a])
        holds = cpu.pc == found.i
        return f"{left} {_COMPARES[name]} {right}? {'Yes' if holds else 'No'}: go on at {cpu.pc:#05x}"
    return f"go on at {cpu.pc:#05x}"


def number(value: int) -> str:
    """A word as a reader likes it: small ones decimal, large ones hexadecimal."""
    return str(value) if -10_000 < value < 10_000 else f"{value:#x}"


_SIGNS = {
    "add": "+", "sub": "−", "mul": "×", "and": "and", "or": "or", "xor": "xor", "shl": "shifted left by",
    "shr": "shifted right by",
}  # fmt: skip
_COMPARES = {"beq": "=", "bne": "≠", "blt": "<", "bge": "≥"}
_SYSTEM = {
    "halt": "the machine stops",
    "syscall": "the supervisor is called",
    "rett": "back to where the trap came from",
}


# -- translation


@dataclass(frozen=True)
class Dispatch:
    """One turn of the translator's loop: the block that was run, whether it had been in the cache, and what came of it.

    `source` is empty where the interpreter took over, for an instruction that is not translated. `decoded` counts the
    instructions that have been decoded so far, `executed` those that have run: an interpreter decodes each of these.
    """

    pc: int
    known: bool
    source: str
    addresses: tuple[int, ...]
    ran: int
    decoded: int
    executed: int
    console: str


def dispatches(machine: Machine, *, chained: bool = False, limit: int = 100_000) -> list[Dispatch]:
    """Run a machine by translation, and tell every function that ran.

    >>> machine = Machine()
    >>> machine.load("li r2, 3\\nloop: addi r1, r1, 1\\n blt r1, r2, loop\\n halt")
    >>> [(each.pc, each.known, each.ran) for each in dispatches(machine)]
    [(0, False, 3), (1, False, 2), (1, True, 2), (3, False, 1)]
    """
    told: list[Dispatch] = []
    seen: set[int] = set()
    decoded = executed = 0
    cpu = machine.cpu
    cpu.engine = translator = Translator(chained=chained)

    def watch(block: Translation | None, ran: int) -> None:
        nonlocal decoded, executed
        executed += ran
        pc = block.start if block else cpu.pc
        known = pc in seen
        if not known or block is None:
            decoded += len(block.addresses) if block else 1
        seen.add(pc)
        source, addresses = (block.source, tuple(sorted(block.addresses))) if block else ("", (pc,))
        told.append(
            Dispatch(pc, known and bool(block), source, addresses, ran, decoded, executed, machine.console)
        )

    translator.watch = watch
    cpu.run(limit)
    return told
