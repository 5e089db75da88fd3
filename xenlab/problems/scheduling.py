"""Exercises on sharing processors: what an accounting grants, what shares come of weights and caps, and who waits.

>>> Grants.make(1).check("nonsense").right
False
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any, Self

from xenlab.problems.base import Problem

_NAMES = ("web", "mail", "db", "cache", "build", "dns", "shop", "wiki", "backup", "proxy")
_HEADING = f"{'Name':<33} {'ID':>4} {'Weight':>6} {'Cap':>4}"


def _table(rows: list[tuple[str, int, int]]) -> str:
    """Name, weight and cap as ``xl sched-credit`` prints them."""
    lines = [
        f"{name:<33} {number:4d} {weight:6d} {cap:4d}" for number, (name, weight, cap) in enumerate(rows, 1)
    ]
    return "\n".join([_HEADING, *lines])


@dataclass(frozen=True, repr=False)
class Share(Problem):
    """Which share of a contended machine does a busy domain get, by its weight and its number of vCPUs?"""

    asked: str
    names: tuple[str, ...]
    weights: tuple[int, ...]
    vcpus: tuple[int, ...]

    #: Weights and vCPUs that lead to whole numbers of percent and need no more than all pCPUs.
    _CASES = (
        ((256, 256, 512), (1, 1, 1)),
        ((256, 768), (1, 1)),
        ((100, 300, 600), (1, 1, 1)),
        ((256, 256), (1, 3)),
        ((512, 256), (1, 2)),
        ((200, 300, 500), (1, 1, 1)),
        ((256, 256, 256), (1, 2, 2)),
        ((512, 512, 256), (1, 2, 2)),
        ((100, 400), (1, 1)),
        ((100, 350), (3, 2)),
    )

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Make two or three busy domains on one pCPU, and ask for the share of one of them."""
        case = list(zip(*random.choice(cls._CASES), strict=True))
        weights, vcpus = zip(*random.sample(case, len(case)), strict=True)
        names = tuple(random.sample(_NAMES, len(weights)))
        asked = random.choice(names)
        counts = ", ".join(
            f"`{name}` {count} vCPU{'s' * (count > 1)}" for name, count in zip(names, vcpus, strict=True)
        )
        question = (
            f"All these guests compute without end, on **one** pCPU under credit2: {counts}. How many percent of it "
            f"does `{asked}` get? Answer with a whole number."
        )
        given = _table([(name, weight, 0) for name, weight in zip(names, weights, strict=True)])
        return cls(seed, question, given, asked, names, weights, vcpus)

    def solve(self) -> int:
        """Return its share in percent."""
        claims = self._claims()
        return round(100 * claims[self.asked] / sum(claims.values()))

    def hint(self, answer: Any) -> str:
        """Show the claims of all."""
        sums = " + ".join(
            f"{count}×{weight}" if count > 1 else str(weight)
            for count, weight in zip(self.vcpus, self.weights, strict=True)
        )
        claims = self._claims()
        return (
            f"A weight counts for each busy vCPU: {sums} = {sum(claims.values())}, "
            f"and {claims[self.asked]} of that are of `{self.asked}`."
        )

    def _claims(self) -> dict[str, int]:
        return {n: w * v for n, w, v in zip(self.names, self.weights, self.vcpus, strict=True)}


@dataclass(frozen=True, repr=False)
class Grants(Problem):
    """How many credits does one accounting of the credit scheduler grant to a vCPU?"""

    asked: str
    pcpus: int
    rows: tuple[tuple[str, int, int], ...]

    #: Credits of one time slice of 30 ms (credit.c: CSCHED_CREDITS_PER_MSEC), and so the most one vCPU is granted.
    SLICE = 300

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Make two busy domains of one vCPU on one pCPU, the first perhaps with a cap, or on two."""
        names = random.sample(_NAMES, 2)
        pcpus = random.choice((1, 1, 1, 2))
        weights = random.choice(
            ((256, 512), (256, 256), (512, 256), (256, 128), (128, 256), (768, 256), (256, 768))
        )
        cap = random.choice((0, 0, 10, 20, 30, 40, 50)) if pcpus == 1 else 0
        rows = ((names[0], weights[0], cap), (names[1], weights[1], 0))
        asked = random.choice(names)
        machine = "one pCPU" if pcpus == 1 else "two pCPUs, each with a busy guest on it"
        question = (
            f"The credit scheduler with its slice of 30 ms, {machine}. Both guests have one vCPU and compute without "
            f"end. How many credits does an accounting grant the vCPU of `{asked}`?"
        )
        return cls(seed, question, _table(list(rows)), asked, pcpus, rows)

    def solve(self) -> int:
        """Return the credits."""
        return self._grants()[self.asked]

    def hint(self, answer: Any) -> str:
        """Show the sum."""
        total = self.SLICE * self.pcpus
        weights = " + ".join(str(weight) for _, weight, _ in self.rows)
        capped = [
            f"`{name}`'s cap of {cap} % is {self.SLICE * cap // 100} credits"
            for name, _, cap in self.rows
            if cap
        ]
        return (
            f"To share out: {total} credits, in the ratio of the weights ({weights}). No vCPU is granted more than "
            f"{self.SLICE}{', and ' + capped[0] if capped else ''}. What one may not have goes to the other."
        )

    def _grants(self) -> dict[str, int]:
        total, weights = self.SLICE * self.pcpus, sum(weight for _, weight, _ in self.rows)
        peaks = {
            name: min(self.SLICE, self.SLICE * cap // 100 if cap else self.SLICE)
            for name, _, cap in self.rows
        }
        fair = {name: -(-total * weight // weights) for name, weight, _ in self.rows}
        spare = sum(max(0, fair[name] - peaks[name]) for name in peaks)
        return {
            name: min(peaks[name], fair[name] + (spare if fair[name] < peaks[name] else 0)) for name in peaks
        }


@dataclass(frozen=True, repr=False)
class Effect(Problem):
    """What does a command at a scheduler do to a busy guest: more, less, or the same?"""

    answer: str
    why: str

    _CASES = (
        (
            "`{other}`, just as busy, shares its only pCPU",
            "xl sched-credit -d {web} -w 512",
            "more",
            "Of equals, the one of twice the weight gets two thirds.",
        ),
        (
            "`{other}` is pinned to another pCPU",
            "xl sched-credit -d {web} -w 512",
            "same",
            "A weight matters only against others: it had all there is.",
        ),
        (
            "`{other}` is pinned to another pCPU",
            "xl sched-credit -d {web} -c 40",
            "less",
            "A cap holds even if the rest of the pCPU stays idle.",
        ),
        (
            "`{other}`, just as busy, shares its only pCPU",
            "xl sched-credit -d {web} -c 80",
            "same",
            "It got 50 %: a cap above that never bites.",
        ),
        (
            "`{other}`, just as busy, shares its only pCPU",
            "xl sched-credit -d {other} -c 20",
            "more",
            "What `{other}` may not use any more goes to whoever can.",
        ),
        (
            "`{other}`, just as busy, is pinned to another pCPU",
            "xl sched-credit -d {other} -w 1024",
            "same",
            "They never want the same pCPU.",
        ),
        (
            "`{other}`, just as busy, shares its only pCPU",
            "xl sched-credit -d {web} -w 128",
            "less",
            "Against 256 it now gets one third.",
        ),
        (
            "`{other}` shares its only pCPU, and sleeps",
            "xl sched-credit -d {other} -w 1024",
            "same",
            "A sleeping vCPU claims nothing, whatever its weight.",
        ),
    )

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Choose one of the situations."""
        situation, command, answer, why = random.choice(cls._CASES)
        web, other = random.sample(_NAMES, 2)
        names = {"web": web, "other": other}
        question = (
            f"The guest `{web}` has one vCPU and computes without end; {situation.format(**names)}. Both have "
            "weight 256 and no cap. You type the command below. "
            f"Does `{web}` get `more` processor time, `less`, or the `same`?"
        )
        return cls(seed, question, command.format(**names), answer, why.format(**names))

    def solve(self) -> str:
        """Return more, less or same."""
        return self.answer

    def hint(self, answer: Any) -> str:
        """Say why."""
        return self.why
