"""How long the same work takes, interpreted, translated, emulated by others, and done by the processor itself.

The work is the longest way to 1 by Collatz's rule, for all starts below a limit: arithmetic and jumps that no one can
foresee. Every way must come to the same result.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from xenlab.commands import XenlabError
from xenlab.emulation import programs, x86
from xenlab.emulation.machine import Machine
from xenlab.emulation.native import collatz
from xenlab.emulation.translator import Translator

STARTS = 2000


@dataclass(frozen=True)
class Speed:
    """A way to do the work: seconds it took, Nib's instructions a second where it runs those, and the result.

    `missing` says why it could not be done here.
    """

    name: str
    seconds: float = 0.0
    rate: float | None = None
    result: int = 0
    missing: str = ""


def nib(name: str, engine: Callable[[], Translator] | None, starts: int = STARTS) -> Speed:
    """Do the work on the book's processor, interpreted or with the engine that is made for each run."""
    machine = Machine(256)
    machine.load(programs.COLLATZ)
    machine.cpu.memory[0] = machine.cpu.memory[0] & ~0xFFFF | starts
    if engine is not None:
        machine.cpu.engine = engine()
    begin = time.perf_counter()
    machine.run(10**9)
    took = time.perf_counter() - begin
    return Speed(name, took, machine.cpu.retired / took, machine.cpu.r[6])


def python(starts: int = STARTS) -> int:
    """The same in plain Python, the language that the translator writes."""
    longest = 0
    for start in range(2, starts):
        n, steps = start, 0
        while n != 1:
            steps += 1
            n = 3 * n + 1 if n & 1 else n >> 1
        longest = max(longest, steps)
    return longest


def ways(starts: int = STARTS) -> Iterator[Speed]:
    """Do the work in every way, the slowest first; what cannot be had here says why.

    >>> [each.result for each in ways(100) if not each.missing].count(118) >= 4
    True
    """
    yield nib("Nib, interpreted", None, starts)
    yield nib("Nib, translated block by block", lambda: Translator(chained=False), starts)
    yield nib("Nib, translated, blocks chained", Translator, starts)
    yield _timed("the same in Python", lambda: python(starts))
    machine = x86.X86Machine(x86.COLLATZ.format(starts=starts) + "    hlt", watched=False)
    yield _timed("x86 code, translated by unicorn", lambda: _emulated(machine))
    try:
        native = collatz(starts)
    except XenlabError as error:
        yield Speed("x86 code, by the processor itself", missing=str(error))
    else:
        yield _timed("x86 code, by the processor itself", native)


def _emulated(machine: x86.X86Machine) -> int:
    machine.run(10**9)
    return machine.registers["rax"]


def _timed(name: str, work: Callable[[], int]) -> Speed:
    begin = time.perf_counter()
    result = work()
    return Speed(name, time.perf_counter() - begin, None, result)
