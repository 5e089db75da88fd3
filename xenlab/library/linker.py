"""Who answers a program's call: how the dynamic linker looks a name up among the libraries it has loaded.

It makes one list for the whole program, the *global scope*: the program itself, then what was preloaded, then what
each of those needs, level by level. The first library in the list that has the name answers (System V ABI, chapter 5,
"Shared Object Dependencies"; ld.so(8), LD_PRELOAD).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from xenlab.commands import XenlabError


@dataclass(frozen=True)
class Object:
    """A program or a library: what it is called, the functions it has, and the libraries it needs, in order."""

    name: str
    has: frozenset[str] = frozenset()
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Look:
    """One look at one library while a name is sought: is it there?"""

    where: str
    found: bool


def scope(
    program: str, libraries: Mapping[str, Object] | Iterable[Object], preload: Sequence[str] = ()
) -> tuple[str, ...]:
    """List the objects in which a program's calls are looked up, the first first.

    Args:
        program: The program's name.
        libraries: The program and all libraries there are, by name or as they come.
        preload: Names in the order of LD_PRELOAD.

    Raises:
        XenlabError: One of them needs a library that is not there.

    >>> libc = Object("libc", frozenset({"time"}))
    >>> scope("date", [Object("date", needs=("libc",)), libc, Object("shim", needs=("libc",))], ["shim"])
    ('date', 'shim', 'libc')
    """
    known = libraries if isinstance(libraries, Mapping) else {each.name: each for each in libraries}
    order = [program, *preload]
    for name in order:  # grows while it is walked: level by level
        if name not in known:
            raise XenlabError(f"library(={name!r}) must be one of those there are: {', '.join(known)}")
        order += [needed for needed in dict.fromkeys(known[name].needs) if needed not in order]
    return tuple(dict.fromkeys(order))


def looks(
    symbol: str, program: str, libraries: Iterable[Object], preload: Sequence[str] = ()
) -> tuple[Look, ...]:
    """Seek a name as the linker does, and tell every look; the last one has found it, or nobody has it.

    >>> program = Object("date", frozenset({"main"}), ("libc",))
    >>> looks("time", "date", [program, Object("libc", frozenset({"time", "open"}))])
    (Look(where='date', found=False), Look(where='libc', found=True))
    """
    known = {each.name: each for each in libraries}
    taken = []
    for name in scope(program, known, preload):
        taken.append(Look(name, symbol in known[name].has))
        if taken[-1].found:
            break
    return tuple(taken)


def answers(
    symbol: str, program: str, libraries: Iterable[Object], preload: Sequence[str] = ()
) -> str | None:
    """Name the object that answers calls of `symbol`, or None if nobody does."""
    *_, last = looks(symbol, program, libraries, preload)
    return last.where if last.found else None
