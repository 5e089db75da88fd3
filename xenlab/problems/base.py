"""What every exercise is: a question made from a seed, its solution, and a reply to any answer."""

from __future__ import annotations

import html
from abc import ABC, abstractmethod
from dataclasses import dataclass
from random import Random
from typing import Any, Self

from xenlab.ui.text import to_html, to_plain


@dataclass(frozen=True)
class Feedback:
    """The reply to an answer: whether it is right, and what to say about it."""

    right: bool
    text: str

    def __str__(self) -> str:
        return f"{'Right.' if self.right else 'Not yet.'} {to_plain(self.text)}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<p><strong>{'Right.' if self.right else 'Not yet.'}</strong> {to_html(self.text)}</p>"


@dataclass(frozen=True)
class Problem(ABC):
    """One exercise. `Kind.make(7)` makes the seventh of its kind, always the same one.

    `question` may mark `code` and *emphasis*; `given` is what to look at, set in fixed width. `check`
    replies to an answer and `solve` gives the right one. A subclass says how to make, solve, and hint.
    """

    seed: int
    question: str
    given: str

    @classmethod
    def make(cls, seed: int) -> Self:
        """Make the problem that this seed stands for."""
        return cls.drawn(seed, Random(f"{cls.__name__} {seed}"))

    @classmethod
    @abstractmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Make a problem with the random choices that `random` takes."""

    @abstractmethod
    def solve(self) -> Any:
        """Return the right answer."""

    @abstractmethod
    def hint(self, answer: Any) -> str:
        """Return what to think about for somebody who gave this wrong answer."""

    def check(self, answer: Any) -> Feedback:
        """Reply to an answer: right, or what was expected, what came, and a hint.

        ``check(...)``, with the three dots, is the place where the answer goes; it only says so.
        """
        if answer is ...:
            return Feedback(False, "Put your answer in place of the three dots.")
        expected = self.solve()
        if (problem := _unlike(answer, expected)) is not None:
            return Feedback(False, problem)
        given = answer.strip().lower() if isinstance(answer, str) else answer
        if given == expected:
            return Feedback(True, f"The answer is `{expected}`.")
        return Feedback(False, f"You answered `{answer}`, expected was `{expected}`. {self.hint(given)}")

    def __str__(self) -> str:
        return f"{to_plain(self.question)}\n\n{self.given}".rstrip()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        block = f"<pre>{html.escape(self.given)}</pre>" if self.given else ""
        return f"<p>{to_html(self.question)}</p>{block}"


def _unlike(answer: Any, expected: Any) -> str | None:
    """Return what is wrong with the kind of an answer, None if it is of the kind that is asked for."""
    if isinstance(expected, str):
        return (
            None
            if isinstance(answer, str)
            else f'answer(={answer!r}) must be a word in quotes, such as `"web"`.'
        )
    if isinstance(answer, bool) or not isinstance(answer, int):
        return f"answer(={answer!r}) must be a whole number, such as `3`."
    return None
