"""Exercises on devices: slots of a ring, who must be notified, and which state comes next.

>>> SlotsOfARing.make(1).check(3).right
False
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any, Self

from xenlab.devices.ring import RING_OFFSET
from xenlab.devices.trace import play
from xenlab.problems.base import Problem


@dataclass(frozen=True, repr=False)
class SlotsOfARing(Problem):
    """How many slots does a ring have?"""

    pages: int
    slot: int

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Choose a number of pages and the size of a slot."""
        pages, slot = random.choice((1, 2, 4, 8, 16)), random.randrange(8, 200)
        question = "How many slots has this ring?"
        given = f"pages of 4096 bytes: {pages}\nbytes before the first slot: 64\nbytes in a slot: {slot}"
        return cls(seed, question, given, pages, slot)

    def solve(self) -> int:
        """Return the largest power of two that fits."""
        return 1 << ((self.pages * 4096 - RING_OFFSET) // self.slot).bit_length() - 1

    def hint(self, answer: Any) -> str:
        """Show what fits."""
        fit = (self.pages * 4096 - RING_OFFSET) // self.slot
        return f"{self.pages * 4096} - 64 bytes hold {fit} slots; their number must be a power of two"


@dataclass(frozen=True, repr=False)
class NotificationsSent(Problem):
    """How many notifications do these pushes send?"""

    moves: tuple[str, ...]

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Let a frontend push a few times; after some pushes the backend takes all and sleeps."""
        moves: list[str] = []
        waiting = 0
        for _ in range(random.randint(4, 8)):
            group = random.randint(1, 2)
            moves += ["put"] * group + ["push"]
            waiting += group
            if random.random() < 0.5:
                moves += ["take"] * waiting + ["backend sleeps"]
                waiting = 0
        question = "A backend sleeps, and then this happens. How many notifications does it get?"
        return cls(seed, question, "\n".join(moves), tuple(moves))

    def solve(self) -> int:
        """Return what the model of the ring sends."""
        return play(self.moves, slots=32).notifications()[0]

    def hint(self, answer: Any) -> str:
        """Say when a push notifies."""
        return "a push notifies only if it steps over `req_event`, which moves when the backend goes to sleep"
