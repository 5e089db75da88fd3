"""Exercises on emulation: reading words, running programs, and counting what a translator decodes.

>>> ReadTheWord.make(1).check("halt").right
False
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any, Self

from xenlab.emulation.isa import INSTRUCTIONS, disassemble, encode
from xenlab.emulation.machine import Machine
from xenlab.emulation.story import dispatches
from xenlab.problems.base import Problem


@dataclass(frozen=True, repr=False)
class ReadTheWord(Problem):
    """Which instruction is this word?"""

    word: int

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Draw an instruction without a jump, and its operands."""
        plain = [each for each in INSTRUCTIONS.values() if not each.system and not each.jumps]
        listed = random.sample(plain, 5)
        chosen = random.choice(listed)
        word = encode(chosen.name, random.randrange(16), random.randrange(16), random.randrange(1, 16))
        listed.sort(key=lambda each: each.code)
        table = "\n".join(f"{each.code:02x}  {each.name} {each.operands}" for each in listed)
        question = (
            f"A word of Nib's memory is `{word:08x}`. Here are a few instructions with their numbers. Which "
            'instruction is it? Answer as the assembler would have it, such as `"add r1, r2, r3"`.'
        )
        return cls(seed, question, table, word)

    def solve(self) -> str:
        """Return the instruction as text."""
        return disassemble(self.word)

    def hint(self, answer: Any) -> str:
        """Say how a word is read."""
        digits = f"{self.word:08x}"
        parts = f"`{digits[:2]}` `{digits[2]}` `{digits[3]}` `{digits[4:]}`"
        return f"Take it apart as {parts}: instruction, d, a, and the number."


@dataclass(frozen=True, repr=False)
class RunTheProgram(Problem):
    """What does a program leave in r1?"""

    program: str

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Draw a loop of two steps."""
        times, start, step = random.randint(3, 6), random.randint(0, 9), random.randint(2, 9)
        work = random.choice(
            [
                f"add  r1, r1, r2\n        addi r2, r2, {step}",
                f"muli r1, r1, {min(step, 3)}\n        add  r1, r1, r2",
            ]
        )
        program = (
            f"        li   r1, {start}\n        li   r2, {step}\n        li   r3, {times}\n        li   r4, 0\n"
            f"loop:   {work}\n        addi r3, r3, -1\n        bne  r3, r4, loop\n        halt"
        )
        question = "What does this program leave in r1? Do it by hand, then let `Stepper` check you."
        return cls(seed, question, program, program)

    def solve(self) -> int:
        """Run it."""
        machine = Machine()
        machine.load(self.program)
        machine.run(10_000)
        return machine.cpu.r[1]

    def hint(self, answer: Any) -> str:
        """Say how to go about it."""
        return "Write down r1, r2 and r3 after each pass through the loop."


@dataclass(frozen=True, repr=False)
class CountDecodes(Problem):
    """How many instructions does the translator decode?"""

    program: str

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Draw a loop with some instructions before it and in it."""
        before = ["li   r1, 0", "li   r2, 1", "li   r4, 0"][: random.randint(1, 3)]
        body = ["add  r1, r1, r2", "muli r1, r1, 3", "addi r2, r2, 1", "xor  r1, r1, r2"][
            : random.randint(1, 4)
        ]
        times = random.randint(5, 40)
        lines = [*before, f"li   r3, {times}"]
        lines[0] = f"start:  {lines[0]}"
        inner = [*body, "addi r3, r3, -1", "bne  r3, r5, loop"]
        inner[0] = f"loop:   {inner[0]}"
        program = "\n".join(line if ":" in line else f"        {line}" for line in [*lines, *inner, "halt"])
        question = (
            f"The loop runs {times} times. How many instructions does the translator decode, block by block, until the "
            "machine stops? Count the `halt`, too: the interpreter decodes it."
        )
        return cls(seed, question, program, program)

    def solve(self) -> int:
        """Let the translator count."""
        machine = Machine()
        machine.load(self.program)
        return dispatches(machine)[-1].decoded

    def hint(self, answer: Any) -> str:
        """Say what is decoded how often."""
        machine = Machine()
        machine.load(self.program)
        executed = dispatches(machine)[-1].executed
        if answer == executed:
            return "So many are executed. Each block is decoded once."
        return (
            "The first block goes up to the first jump, so it holds the loop's instructions as well. Then `loop` is "
            "jumped to, and that is a block of its own."
        )
