"""Exercises on concepts: sorting instructions, and telling the forms of virtualization apart.

>>> CanItBeVirtualized.make(1).check("perhaps").right
False
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any, Self

from xenlab.concepts.classify import decide
from xenlab.concepts.forms import FORMS, Form
from xenlab.concepts.instructions import HARMLESS, OLD, X86, InstructionSet, trapping
from xenlab.problems.base import Problem


@dataclass(frozen=True, repr=False)
class CanItBeVirtualized(Problem):
    """Which instruction stands against a monitor, in a set of six?"""

    instructions: InstructionSet

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Make a set with one offender, or with none."""
        touchy = [each for name, each in {**X86, **OLD}.items() if name not in HARMLESS]
        chosen = random.sample([*HARMLESS.values(), *touchy], 6)
        names = [each.name for each in chosen]
        offenders = [each.name for each in chosen if each.name not in HARMLESS]
        spared = random.choice([*offenders, None])
        instructions = trapping(
            {each.name: each for each in chosen}, *(name for name in offenders if name != spared)
        )
        width = max(map(len, names))
        given = "\n".join(
            f"{each.name:<{width}}  {'traps' if each.traps else '-    '}  {each.what}"
            for each in instructions.values()
        )
        question = (
            "Here is a processor's instruction set; *traps* means that it calls the supervisor when a user tries "
            "it. Which instruction keeps Popek and Goldberg's theorem 1 from holding? Answer with its name, or `none`."
        )
        return cls(seed, question, given, instructions)

    def solve(self) -> str:
        """Return the offender's name."""
        return next(iter(decide(self.instructions).offenders), "none")

    def hint(self, answer: Any) -> str:
        """Say what the chosen instruction is."""
        classes = decide(self.instructions).classes
        if answer in classes:
            return f"`{answer}` is {classes[answer].words}."
        return "Look for one that touches the machine, or shows it, and does not trap."


@dataclass(frozen=True, repr=False)
class WhichForm(Problem):
    """Which form of virtualization has these layers?"""

    form: Form

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Take one of the forms, and tell its layers only."""
        form = random.choice(FORMS)
        layers = "\n".join("  ".join(f"[ {layer} ]" for layer in row) for row in form.rows)
        names = ", ".join(f'`"{each.name.lower()}"`' for each in FORMS)
        question = f"Which form is drawn below? In it one may run {form.guest}. Answer with one of {names}."
        return cls(seed, question, layers, form)

    def solve(self) -> str:
        """Return the form's name."""
        return self.form.name.lower()

    def hint(self, answer: Any) -> str:
        """Show the layers of the chosen form."""
        for each in FORMS:
            if each.name.lower() == answer:
                return f"{each.name} is {each.in_words}."
        return "That is not one of the names."
