"""Exercises on the XenoServer platform and on privilege: bills, rings, and who may ask Xen for what.

>>> WhoMay.make(1).check("perhaps").right
False
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any, Self

from xenlab.paravirt.policy import DOM0, Domain, Right, allowed
from xenlab.problems.base import Problem
from xenlab.xenoserver.privilege import MODES, Mode, Runner, in_words
from xenlab.xenoserver.roles import XenoCorp, cost


@dataclass(frozen=True, repr=False)
class Rest(Problem):
    """How many cents of an order come back after a session?"""

    budget: int
    price: int
    memory: int
    hours: int

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Make a session whose order is spent before its end, one time in three."""
        price, memory, hours = (
            random.choice((80, 100, 120, 160)),
            random.choice((512, 1024, 2048)),
            random.randint(2, 6),
        )
        owed = hours * cost(price, memory, 1)
        budget = (
            owed - random.randint(1, owed // 2) if random.random() < 1 / 3 else owed + random.randint(10, 150)
        )
        question = (
            "A client buys an order, and a server runs a task at its expense. The server charges every full hour. "
            "How many cents go back to the client in the end?"
        )
        given = (
            f"order   {budget} cents\nprice   {price} cents for a GiB and hour\n"
            f"memory  {memory} MiB\nwanted  {hours} hours"
        )
        return cls(seed, question, given, budget, price, memory, hours)

    def solve(self) -> int:
        """Let the platform's parts work it out."""
        corp = XenoCorp()
        corp.register("client", self.budget)
        order = corp.sell_order("client", self.budget)
        owed = cost(self.price, self.memory, 1)
        for _ in range(self.hours):
            if corp.charge(order.number, "operator", owed) < owed:
                break
        return corp.close(order.number)

    def hint(self, answer: Any) -> str:
        """Show the sum."""
        owed = cost(self.price, self.memory, 1)
        return (
            f"An hour costs {self.price} × {self.memory} / 1024 = {owed} cents. {self.hours} hours would cost "
            f"{self.hours * owed} of {self.budget} cents. A session ends when its order is spent, and owes no more."
        )


@dataclass(frozen=True, repr=False)
class WhichRing(Problem):
    """In which ring does something run?"""

    mode: Mode
    runner: Runner

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Take a kind of guest, and something that runs in it."""
        mode = random.choice(MODES[1:])
        runner = random.choice(mode.runners)
        question = f"There is a guest of the kind *{mode.name}*. In which ring does this run? Answer with 0, 1, 2 or 3."
        return cls(seed, question, runner.name, mode, runner)

    def solve(self) -> int:
        """Return the ring."""
        return self.runner.ring

    def hint(self, answer: Any) -> str:
        """Say who runs where."""
        return f"{in_words(self.mode)}. {self.mode.why}"


_WORDS = {
    Right.EVERYBODY: "which version Xen is",
    Right.ITSELF: "how much memory {whose} has",
    Right.DEVICE_MODEL: "to switch {whose} off",
    Right.CONTROL: "to pause {whose}",
}


@dataclass(frozen=True, repr=False)
class WhoMay(Problem):
    """Does Xen allow a request, or refuse it?"""

    right: Right
    asking: Domain
    target: int

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Make a request: of dom0, of a guest, or of a guest that emulates devices for another."""
        asking = random.choice((DOM0, Domain(3), Domain(3), Domain(3, emulates_for=5)))
        right = random.choice(list(_WORDS))
        target = random.choice((3, 5, 7))
        whose = "itself" if target == asking.domid else f"domain {target}"
        who = "dom0" if asking.control else f"domain {asking.domid}"
        if asking.emulates_for is not None:
            who += f", which emulates the devices of domain {asking.emulates_for},"
        question = "Does Xen allow this request, or refuse it? Answer `allowed` or `refused`."
        return cls(seed, question, f"{who} asks {_WORDS[right].format(whose=whose)}", right, asking, target)

    def solve(self) -> str:
        """Ask Xen's own rule."""
        return "allowed" if allowed(self.right, self.asking, self.target) else "refused"

    def hint(self, answer: Any) -> str:
        """Say who may."""
        return f"This may: {self.right.value}."
