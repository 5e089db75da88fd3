"""Exercises on libraries: who answers a call, and which programs an interposing library reaches.

>>> WhoAnswers.make(1).check("nobody at all").right
False
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any, Self

from xenlab.library.linker import Object, answers, scope
from xenlab.problems.base import Problem

_NAMES = ("libalpha.so", "libbeta.so", "libgamma.so", "libdelta.so")
_CALLS = ("time", "open", "getenv", "connect", "uname")


@dataclass(frozen=True, repr=False)
class WhoAnswers(Problem):
    """Which of a few libraries answers a call, with one or two of them preloaded?"""

    symbol: str
    objects: tuple[Object, ...]
    preload: tuple[str, ...]

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Make a program, libc and three libraries, two of which have the name; preload one or two."""
        symbol = random.choice(_CALLS)
        names = random.sample(_NAMES, 3)
        have = random.sample(names, 2)
        libraries = [
            Object(name, frozenset({symbol} if name in have else ()), ("libc.so",)) for name in names
        ]
        libc = Object("libc.so", frozenset(_CALLS))
        preload = tuple(random.sample(names, random.choice((1, 2))))
        needed = [name for name in names if name not in preload]
        program = Object("prog", frozenset(), (*random.sample(needed, random.choice((0, 1))), "libc.so"))
        question = (
            f"`prog` calls `{symbol}`. The libraries are as below, and `LD_PRELOAD={':'.join(preload)}` is set. "
            "Which library answers? Answer with its name."
        )
        objects = (program, *libraries, libc)
        given = "\n".join(
            f"{each.name:<12} needs {' '.join(each.needs) or '-':<24} "
            f"{'has' if symbol in each.has else 'has no'} {symbol}"
            for each in objects
        )
        return cls(seed, question, given, symbol, objects, preload)

    def solve(self) -> str:
        """Return the library that comes first in the scope and has the name."""
        found = answers(self.symbol, "prog", self.objects, self.preload)
        assert found is not None  # libc has every name
        return found

    def hint(self, answer: Any) -> str:
        """Tell in which order the linker looks."""
        return f"The linker looks in this order: {', '.join(scope('prog', self.objects, self.preload))}."


@dataclass(frozen=True)
class _Case:
    asks: str
    reached: bool
    why: str


_CASES = (
    _Case(
        "calls `time` in libc, which the linker looked up for it",
        True,
        "The linker seeks the name, and finds yours first.",
    ),
    _Case(
        "was linked statically: libc's code is a part of it",
        False,
        "There is nothing left to look up.",
    ),
    _Case(
        "has the set-user-ID bit, and is started by another user",
        False,
        "For such programs the linker ignores libraries that are named by their path: ld.so(8).",
    ),
    _Case(
        "makes the system call itself, by the `syscall` instruction",
        False,
        "It calls no library at all.",
    ),
    _Case(
        "is a script: Python starts, and its `time.time()` calls libc's `time`",
        True,
        "Python is a program like any other.",
    ),
    _Case(
        "looks the name up while it runs, by `dlsym(RTLD_DEFAULT, …)`",
        True,
        "That asks the same list, in the same order.",
    ),
)


@dataclass(frozen=True, repr=False)
class IsItReached(Problem):
    """Does a preloaded library see what this program asks?"""

    case: _Case

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Take one of the cases."""
        case = random.choice(_CASES)
        question = (
            "You preload a library that has a function `time` of its own. A program wants to know what time it is. It "
            f"{case.asks}. Does your function answer? Answer with `yes` or `no`."
        )
        return cls(seed, question, "", case)

    def solve(self) -> str:
        """Return yes or no."""
        return "yes" if self.case.reached else "no"

    def hint(self, answer: Any) -> str:
        """Say why it is, or is not, reached."""
        return self.case.why
