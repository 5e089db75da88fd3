"""Exercises on stack machines: what does this code print, and why does the verifier refuse that one?

>>> WhatIsPrinted.make(1).check(-1).right
False
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any, Self

from xenlab.application.compiler import compile_source
from xenlab.application.stackvm import Code, Instruction, Machine, Rejected, listing, verify
from xenlab.problems.base import Problem

_PROGRAMS = (
    "x = {a}\nprint(x * x - {b})",
    "x = {a}\ny = x + {b}\nprint(y * {c})",
    "n = {c}\nt = {a}\nwhile 0 < n:\n    t = t + {b}\n    n = n - 1\nprint(t)",
    "x = {a}\nif x < {b}:\n    x = x + {c}\nelse:\n    x = x - {c}\nprint(x)",
)


@dataclass(frozen=True, repr=False)
class WhatIsPrinted(Problem):
    """What does a short piece of bytecode print?"""

    code: Code

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Make one of four programs with small numbers, and show its bytecode only."""
        numbers = {name: random.randint(2, 9) for name in "ab"} | {"c": random.randint(2, 4)}
        code = compile_source(random.choice(_PROGRAMS).format(**numbers))
        question = "Be the machine: which number does this code print? Answer with a whole number."
        return cls(seed, question, listing(code), code)

    def solve(self) -> int:
        """Return the number."""
        return Machine(self.code).run().output[0]

    def hint(self, answer: Any) -> str:
        """Tell how many instructions there are to do."""
        return f"The machine does {Machine(self.code).run().steps} instructions. Write the stack down after each."


@dataclass(frozen=True, repr=False)
class WhereIsItRefused(Problem):
    """Which instruction makes the verifier refuse a piece of code, if any?"""

    code: Code

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Take a program, and leave an instruction out that fills the stack, or none."""
        source = random.choice(_PROGRAMS[:2]).format(a=random.randint(2, 9), b=random.randint(2, 9), c=3)
        code = list(compile_source(source))
        fillers = [at for at, each in enumerate(code) if each.name in ("push", "load")]
        if (left_out := random.choice([*fillers, None])) is not None:
            del code[left_out]
        question = (
            "The verifier goes through this code without running it. At which place does it find an instruction that "
            "would take from a stack that is too low? Answer with the place's number, or `-1` if at none."
        )
        return cls(seed, question, listing(code), tuple(code))

    def solve(self) -> int:
        """Return the place of the first instruction that takes too much, or -1."""
        for length in range(1, len(self.code) + 1):
            try:
                verify((*self.code[:length], Instruction("halt")))
            except Rejected:
                return length - 1
        return -1

    def hint(self, answer: Any) -> str:
        """Say what each kind of instruction does to the stack's height."""
        return "`push` and `load` add one, `store` and `print` take one, `add`, `sub`, `mul` take two and leave one."
