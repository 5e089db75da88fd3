"""Exercises on containers: process numbers in nested namespaces, and which step a container lacks.

>>> WhichNumber.make(1).check(0).right
False
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from random import Random
from typing import Any, Self

from xenlab.oslevel.processes import Processes
from xenlab.oslevel.steps import STEPS, View, predict
from xenlab.problems.base import Problem

_PROGRAMS = ("web", "db", "mail", "cron", "shell", "logger")


@dataclass(frozen=True, repr=False)
class WhichNumber(Problem):
    """Which number does a process have, seen from a namespace of process numbers?"""

    machine: Processes
    program: str
    namespace: str

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Start a few programs on the host, in a container, and in a container within it; ask for one of them."""
        machine = Processes()
        machine.make_namespace("outer")
        machine.make_namespace("inner", "outer")
        told = ["the namespace *outer* was made on the host, and *inner* in *outer*"]
        for program in random.sample(_PROGRAMS, 5):
            namespace = random.choice(("host", "outer", "inner"))
            machine.start(program, namespace)
            told.append(f"{program} was started in {namespace}")
        program, namespace = random.choice(list(machine.processes)), random.choice(("host", "outer", "inner"))
        question = (
            f"In this order: {'; '.join(told)}. Which number has `{program}`, as seen from *{namespace}*? "
            "The first process of a namespace is number 1. If it cannot be seen from there, answer 0."
        )
        return cls(seed, question, "", machine, program, namespace)

    def solve(self) -> int:
        """Return the number, or 0."""
        return self.machine.number(self.program, self.namespace) or 0

    def hint(self, answer: Any) -> str:
        """Tell what can be seen from the namespace that was asked about."""
        seen = ", ".join(self.machine.seen_from(self.namespace)) or "nothing"
        return f"From {self.namespace} one sees, in the order of their numbers: {seen}."


@dataclass(frozen=True, repr=False)
class WhichStep(Problem):
    """Which step was left out, to judge by what a container sees?"""

    missing: str

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Build a container by the model, without one of the steps."""
        host = View(1000, "laptop", ("eth0", "lo"), 4711, 231, ("bin", "boot", "etc", "home", "usr"), 1.0)
        missing = random.choice(STEPS)
        view = predict(host, [step for step in STEPS if step is not missing])[-1]
        given = "\n".join(
            f"{each.name:<11} host: {_told(getattr(host, each.name)):<26} container: {_told(getattr(view, each.name))}"
            for each in fields(View)
        )
        names = ", ".join(f"`{step.name}`" for step in STEPS)
        question = f"One step was forgotten. Which? Answer with one of {names}."
        return cls(seed, question, given, missing.name)

    def solve(self) -> str:
        """Return the step's name."""
        return self.missing

    def hint(self, answer: Any) -> str:
        """Say what to compare."""
        return "Look for what a container should see differently, and sees as the host does."


def _told(value: Any) -> str:
    return " ".join(value) if isinstance(value, tuple) else str(value)
