"""Exercises on the life of domains: reading `xl list`, following commands, and sharing memory out.

>>> StateAfter.make(1).check("nonsense").right
False
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any, Self

from xenlab.domains import table
from xenlab.domains.model import COMMANDS, MEANING, Life, State
from xenlab.problems.base import Problem

_RULES = "Pauses are counted. A paused guest cannot obey; `xl shutdown` gives up after 60 s, but the request stays."
_NAMES = ("web", "mail", "db", "cache", "build", "dns", "shop", "wiki", "backup", "proxy")


@dataclass(frozen=True, repr=False)
class ReadList(Problem):
    """Which domain, in a table that `xl list` printed, is in a given state?"""

    wanted: State
    rows: tuple[table.Row, ...]

    _LETTERS = (
        (State.RUNNING, "r-----"),
        (State.BLOCKED, "-b----"),
        (State.RUNNABLE, "------"),
        (State.PAUSED, "-bp---"),
        (State.SHUTDOWN, "---s--"),
        (State.CRASHED, "---sc-"),
    )

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Make a table of five guests in five different states, and ask for one of them."""
        shown = random.sample(cls._LETTERS, 5)
        names = random.sample(_NAMES, 5)
        numbers = sorted(random.sample(range(1, 30), 5))
        rows = [table.Row("Domain-0", 0, 1024, 4, "r-----", round(random.uniform(50, 900), 1))]
        for name, number, (_, letters) in zip(names, numbers, shown, strict=True):
            memory, seconds = random.choice((64, 128, 256, 512)), round(random.uniform(0, 40), 1)
            rows.append(table.Row(name, number, memory, random.choice((1, 1, 2)), letters, seconds))
        wanted = random.choice(shown)[0]
        question = f"Which guest is **{wanted}**? {MEANING[wanted]} Answer with its name."
        return cls(seed, question, table.write(rows).expandtabs(8).rstrip(), wanted, tuple(rows))

    def solve(self) -> str:
        """Return the name of the guest in the wanted state."""
        return next(row.name for row in self.rows[1:] if row.state is self.wanted)

    def hint(self, answer: Any) -> str:
        """Say what the chosen guest's letters mean."""
        for row in self.rows:
            if row.name.lower() == answer:
                return f"`{row.letters}` of {row.name} reads *{row.state}*: {MEANING[row.state].lower()}"
        return "That name is not in the table."


@dataclass(frozen=True, repr=False)
class StateAfter(Problem):
    """Where is a domain after a sequence of commands, each given time to take effect?"""

    commands: tuple[str, ...]
    busy: bool

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Make a walk of four to six possible commands, no answer likelier than another."""
        busy = random.random() < 0.5
        ends = (State.RUNNING if busy else State.BLOCKED, State.PAUSED, State.SAVED, State.ABSENT)
        end = random.choice(ends)
        commands, state = _walk(random, busy, end)
        while state is not end or "pause" not in commands:
            commands, state = _walk(random, busy, end)
        work = "computes without end" if busy else "waits for requests that never come"
        question = (
            f"The guest `web` {work}, and no other guest wants the processor. You type these commands "
            "one after another and wait two minutes after each. In which state is `web` at the end? "
            "Answer `running`, `blocked`, `paused`, `absent`, or `saved` (no domain, but a file to restore)."
        )
        return cls(seed, question, "\n".join(map(_typed, commands)), commands, busy)

    def solve(self) -> str:
        """Return the state at the end."""
        return self._lives()[-1].state.value

    def hint(self, answer: Any) -> str:
        """Tell the states on the way."""
        steps = (f"`{_typed(c)}` {life.state}" for c, life in zip(self.commands, self._lives(), strict=True))
        return f"Step by step: {', '.join(steps)}. {_RULES}"

    def _lives(self) -> list[Life]:
        life, lives = Life(), []
        for command in self.commands:
            life = life.after(command).settled(self.busy)
            lives.append(life)
        return lives


def _walk(random: Random, busy: bool, end: State) -> tuple[tuple[str, ...], State]:
    """Take four to six steps, the last one to `end` if one can; return them and the state they lead to.

    A paused guest is never saved: it could not suspend itself, and xl would wait for that in vain.
    """
    life, commands = Life(), []
    for left in reversed(range(random.randint(4, 6))):
        paused = life.state is State.PAUSED
        possible = [name for name in COMMANDS if name in life.possible() and not (paused and "save" in name)]
        if left == 0:
            possible = [name for name in possible if life.after(name).settled(busy).state is end] or possible
        likely = [2 if name in ("pause", "unpause", "restore") else 1 for name in possible]
        command = random.choices(possible, likely)[0]
        life = life.after(command).settled(busy)
        commands.append(command)
    return tuple(commands), life.state


def _typed(command: str) -> str:
    word, *options = command.split()
    what = {"create": "web.cfg", "restore": "web.save"}.get(word, "web")
    return " ".join(["xl", word, *options, what, *(["web.save"] if word == "save" else [])])


@dataclass(frozen=True, repr=False)
class HowMany(Problem):
    """How many more guests of one size fit into a host's memory?"""

    total: int
    taken: tuple[int, ...]
    each: int

    #: Beside its memory a PV guest may take this much more: LIBXL_MAXMEM_CONSTANT (libxl_internal.h), in MiB.
    SLACK = 1

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Make a host with some memory taken by Domain-0 and two guests."""
        total = random.choice((2048, 4096, 8192))
        taken = (random.choice((512, 768, 1024)), *random.choices((128, 256, 384), k=2))
        each = random.choice((160, 192, 320, 448, 640))
        question = (
            f"A host has {total} MiB. Domain-0 and two guests hold the memory below. How many more guests of "
            f"{each} MiB can it start, if Xen needs {cls.SLACK} MiB more for each new one?"
        )
        rows = [
            table.Row(name, number, memory, 1, letters, 0.0)
            for name, number, memory, letters in zip(
                ("Domain-0", *random.sample(_NAMES, 2)),
                (0, 1, 2),
                taken,
                ("r-----", "-b----", "-b----"),
                strict=True,
            )
        ]
        return cls(seed, question, table.write(rows).expandtabs(8).rstrip(), total, taken, each)

    def solve(self) -> int:
        """Return how many fit."""
        return (self.total - sum(self.taken)) // (self.each + self.SLACK)

    def hint(self, answer: Any) -> str:
        """Show the sum."""
        free = self.total - sum(self.taken)
        return (
            f"Free: {self.total} - {' - '.join(map(str, self.taken))} = {free} MiB. "
            f"Each new guest takes {self.each} + {self.SLACK} MiB, and memory is not shared."
        )
