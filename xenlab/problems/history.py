"""Exercises on history: putting milestones in order, and working out how many hosts are enough.

>>> WhichFirst.make(1).check("nonsense").right
False
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import Any, Self

from xenlab.history.timeline import MILESTONES, Milestone
from xenlab.problems.base import Problem


@dataclass(frozen=True, repr=False)
class WhichFirst(Problem):
    """Which of four milestones came first?"""

    choices: tuple[Milestone, ...]

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Make a list of four milestones, no two in the same year."""
        by_year = {each.date[:4]: each for each in random.sample(MILESTONES, len(MILESTONES))}
        choices = tuple(random.sample(list(by_year.values()), 4))
        given = "\n".join(f"{letter}) {each.title}" for letter, each in zip("abcd", choices, strict=True))
        return cls(
            seed, 'Which of these came **first**? Answer with its letter, such as `"a"`.', given, choices
        )

    def solve(self) -> str:
        """Return the letter of the earliest."""
        return "abcd"[self.choices.index(min(self.choices, key=lambda each: each.year))]

    def hint(self, answer: Any) -> str:
        """Say when the chosen one was."""
        if answer not in tuple("abcd"):
            return "That letter is not in the list."
        chosen = self.choices["abcd".index(answer)]
        return f"*{chosen.title}* was in {chosen.when}. The timeline above has all of them."


@dataclass(frozen=True, repr=False)
class HostsNeeded(Problem):
    """How many hosts are enough for a fleet of equal servers?"""

    servers: int
    busy: int
    limit: int

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Make a fleet whose servers are all equally busy in their busiest hour."""
        servers, busy, limit = (
            random.randrange(20, 200, 5),
            random.randint(4, 19),
            random.randrange(50, 95, 5),
        )
        question = (
            f"A room holds {servers} servers. In its busiest hour each uses {busy} % of its machine, all in the same "
            f"hour. A host may be {limit} % busy, and no server can be cut in two. How many hosts are enough?"
        )
        return cls(seed, question, "", servers, busy, limit)

    def solve(self) -> int:
        """Return the number of hosts."""
        return math.ceil(self.servers / (self.limit // self.busy))

    def hint(self, answer: Any) -> str:
        """Show the steps."""
        each = self.limit // self.busy
        takes = f"One host takes {self.limit} / {self.busy}, rounded down: {each} servers."
        return f"{takes} {self.servers} / {each} is rounded up."
