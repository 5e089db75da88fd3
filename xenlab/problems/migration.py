"""Exercises on migration: when pre-copy stops, who has the guest after a failure, how long copying takes.

>>> WhoRuns.make(1).check("nonsense").right
False
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any, Self

from xenlab.migration.pages import PAGES_PER_MIB
from xenlab.migration.policies import Action, Xen417
from xenlab.migration.rounds import Round
from xenlab.migration.stages import ONLY_AT, Failure, Step, begin, break_at
from xenlab.problems.base import Problem

_RULE = Xen417()


@dataclass(frozen=True, repr=False)
class LiveRounds(Problem):
    """How many live rounds does Xen 4.17 send, given what the guest dirties in each?"""

    dirtied: tuple[int, ...]

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Make a guest whose dirty pages shrink by a constant factor, fast or slowly."""
        pages = random.choice((64, 128, 256)) * PAGES_PER_MIB
        shrinks = random.choice((0.5, 0.2, 0.1, 0.05, 0.02))
        count, dirtied = pages, []
        for _ in range(7):
            count = max(1, round(count * shrinks * random.uniform(0.8, 1.2)))
            dirtied.append(count)
        question = (
            f"A guest of {pages:,} pages is moved by `xl migrate` of Xen 4.17. While a round is being sent, the guest "
            "dirties as many pages as the table says. After how many *live* rounds is it suspended?"
        )
        rows = [f"round {number}   {each:>7,} pages dirtied" for number, each in enumerate(dirtied, start=1)]
        return cls(seed, question, "\n".join(rows), tuple(dirtied))

    def solve(self) -> int:
        """Return the number of live rounds."""
        rounds: list[Round] = []
        while True:
            waiting = self.dirtied[len(rounds) - 1] if rounds else 1 << 20
            action = _RULE.decide(rounds, 1 << 20, waiting).action
            if action is Action.STOP:
                return len(rounds)
            rounds.append(Round(len(rounds) + 1, True, 0.0, 1.0, waiting, waiting, 0, 0, 0, 0.0))
            if action is Action.SEND_LAST or _RULE.decide(rounds, 1 << 20, None).action is Action.STOP:
                return len(rounds)

    def hint(self, answer: Any) -> str:
        """Tell the rule."""
        few = next(
            (number for number, each in enumerate(self.dirtied, start=1) if each < _RULE.target_dirty), None
        )
        when = (
            f"Here that is so after round {few}."
            if few and few < _RULE.max_rounds
            else "Here that comes too late."
        )
        return (
            f"Xen sends at most {_RULE.max_rounds} live rounds. When fewer than {_RULE.target_dirty} pages wait, it "
            f"sends those in one more live round and stops. {when}"
        )


@dataclass(frozen=True, repr=False)
class WhoRuns(Problem):
    """Where does the guest run after a migration that broke at a given step?"""

    step: Step
    failure: Failure

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Make a failure at a step where it can happen, no answer much likelier than another."""
        cases: dict[tuple[str, ...], list[tuple[Step, Failure]]] = {}
        for failure in Failure:
            for step in ONLY_AT.get(failure, tuple(Step)):
                cases.setdefault(break_at(step, failure).running, []).append((step, failure))
        step, failure = random.choice(cases[random.choice(sorted(cases))])
        left = break_at(step, failure, begin("web"))
        question = (
            f"`xl migrate web hostb` runs, and during the step *{step.name.lower().replace('_', ' ')}* {failure}. "
            "Below are the last lines on your terminal. Nobody has touched anything yet. Where does `web` run: "
            "`source`, `target` or `nowhere`?"
        )
        return cls(seed, question, "\n".join(left.printed[-4:]), step, failure)

    def solve(self) -> str:
        """Return the host where the guest runs, or nowhere."""
        return "".join(break_at(self.step, self.failure).running) or "nowhere"

    def hint(self, answer: Any) -> str:
        """Say what each end holds."""
        left = break_at(self.step, self.failure)
        return f"The source then holds {left.source.value}; the target holds {left.target.value}."


@dataclass(frozen=True, repr=False)
class StandStill(Problem):
    """For how many seconds does a guest stand still, moved without any pre-copy?"""

    mib: int
    mbit: int

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Make a guest and a link for which the answer is a whole number."""
        mbit = random.choice((128, 256, 512, 1024))
        mib = random.choice([size for size in (256, 512, 1024, 2048, 4096) if size * 8 >= 2 * mbit])
        question = (
            f"A guest of {mib} MiB is stopped, sent over a link of {mbit} Mbit/s and started again. With 8 Mbit to "
            "the MiB, for how many seconds does it stand still?"
        )
        return cls(seed, question, "", mib, mbit)

    def solve(self) -> int:
        """Return the seconds."""
        return self.mib * 8 // self.mbit

    def hint(self, answer: Any) -> str:
        """Show the sum."""
        return f"{self.mib} MiB are {self.mib * 8} Mbit. Divide by {self.mbit} Mbit/s."
