"""Exercises on memory: the parts of an address, what Xen lets a guest map, and what balloons leave free.

>>> Slot.make(1).check("nonsense").right
False
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any, Self

from xenlab.memory.balloon import Balloon, run
from xenlab.memory.desk import Desk
from xenlab.memory.entries import LEVELS, address_of, slots
from xenlab.memory.limits import LimitError, Limits
from xenlab.memory.machine import Machine
from xenlab.problems.base import Problem

_NAMES = ("web", "mail", "db", "cache", "build", "dns", "shop", "wiki", "backup", "proxy")


@dataclass(frozen=True, repr=False)
class Slot(Problem):
    """Which entry of a page table does an address use?"""

    address: int
    level: int

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Draw an address of a kernel or of a program, and a level."""
        level = random.choice(LEVELS)
        root = random.choice((0, 255, 273, 511))
        l3, l2, l1 = (random.choice((1, 8, random.randrange(512), random.randrange(512))) for _ in range(3))
        address = address_of(root, l3, l2, l1, random.randrange(4096))
        question = f"Which entry of the **L{level}** table does this virtual address use? Answer with a whole number."
        return cls(seed, question, f"{address:#018x}", address, level)

    def solve(self) -> int:
        """Return the number of the entry."""
        return slots(self.address)[self.level]

    def hint(self, answer: Any) -> str:
        """Show the bits."""
        low = 12 + 9 * (self.level - 1)
        bits = f"{self.solve():09b}"
        return (
            f"L{self.level} takes the nine bits {low} to {low + 8}: shift the address right by {low} and keep nine "
            f"bits. They are `{bits}`."
        )


@dataclass(frozen=True, repr=False)
class Allowed(Problem):
    """Does Xen do what a PV guest asks for last?"""

    calls: tuple[tuple[str, dict[str, int | bool]], ...]

    #: Calls, each with its fields; the last one is the question.
    _CASES: tuple[tuple[tuple[str, dict[str, int | bool]], ...], ...] = (
        (("map", {"page": 2, "slot": 10}), ("map", {"page": 2, "slot": 11})),
        (("map", {"page": 7, "slot": 10, "write": False}),),
        (("map", {"page": 5, "slot": 9}),),
        (("pin", {"page": 1, "level": 1}),),
        (("map", {"page": 3, "slot": 3, "write": False}), ("pin", {"page": 3, "level": 1})),
        (("unmap", {"slot": 2}), ("pin", {"page": 2, "level": 2})),
        (("pin", {"page": 4, "level": 4}),),
        (("unpin", {"page": 4}), ("pin", {"page": 4, "level": 4})),
        (("unpin", {"page": 5}),),
        (("pin", {"page": 5, "level": 3}),),
        (("pin", {"page": 6, "level": 1}),),
        (("map", {"page": 8, "slot": 12, "write": False}),),
        (("map", {"page": 0, "slot": 0, "write": False}), ("map", {"page": 0, "slot": 9, "write": False})),
        (
            ("unmap", {"slot": 1}),
            ("pin", {"page": 1, "level": 1}),
            ("map", {"page": 1, "slot": 1}),
        ),
        (
            ("unmap", {"slot": 1}),
            ("pin", {"page": 1, "level": 1}),
            ("unpin", {"page": 1}),
            ("map", {"page": 1}),
        ),
        (("unpin", {"page": 4}), ("map", {"page": 4, "slot": 4})),
    )

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Choose one of the cases."""
        calls = random.choice(cls._CASES)
        desk = Desk()
        asked = [desk.ask(call, **fields).asked for call, fields in calls]  # type: ignore[arg-type]
        question = (
            "A PV guest has eight pages. Pages 4 to 7 hold its tables: L4, L3, L2 and L1. The root, page 4, is pinned "
            "and in use. Entry *n* of the L1 table maps page *n*: pages 0 to 3 to be written, the tables to be read. "
            "The guest makes these calls. Does Xen do the **last** one, `yes` or `no`?"
        )
        given = "\n".join(f"{number}. {each}" for number, each in enumerate(asked, 1))
        return cls(seed, question, given, calls)

    def solve(self) -> str:
        """Return yes or no, as the model has it."""
        return "no" if self._answers()[-1].refused else "yes"

    def hint(self, answer: Any) -> str:
        """Show what Xen says."""
        last = self._answers()[-1]
        said = f" (`{last.log[0]}`)" if last.log else ""
        if last.refused:
            return f"It answers `{last.refused}`{said}. Which use of that page is in the way?"
        return (
            "No use of that page is in the way: uses of the same kind add up, and reading is always allowed."
        )

    def _answers(self) -> list[Any]:
        desk = Desk()
        return [desk.ask(call, **fields) for call, fields in self.calls]  # type: ignore[arg-type]


@dataclass(frozen=True, repr=False)
class FreeMemory(Problem):
    """What is free after some targets have been set?"""

    free: int
    guests: tuple[tuple[str, int, int], ...]  # name, memory, maxmem
    targets: tuple[tuple[str, int], ...]

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Make two guests, and set targets of theirs, perhaps too high a one."""
        names = random.sample(_NAMES, 2)
        free = random.choice((16, 32, 48, 64))
        guests = tuple(
            (name, memory := random.choice((128, 160, 192)), memory + random.choice((0, 32, 64)))
            for name in names
        )
        targets = tuple(
            (name, random.choice((96, 112, 128, 144, 176, 208, 240, 256)))
            for name in (names[0], names[1], random.choice(names))
        )
        rows = [f"{'name':8} {'memory':>7} {'maxmem':>7}"]
        rows += [f"{name:8} {memory:7} {most:7}" for name, memory, most in guests]
        commands = [f"xl mem-set {name} {target}" for name, target in targets]
        question = (
            f"A host has **{free} MiB** free and two guests with working balloon drivers. These commands are typed, a "
            "minute apart. How many MiB are free in the end? Answer with a whole number."
        )
        return cls(seed, question, "\n".join([*rows, "", *commands]), free, guests, targets)

    def solve(self) -> int:
        """Return what is free, as the model has it."""
        return self._play()[-1][1]

    def hint(self, answer: Any) -> str:
        """Tell what each command does."""
        return " ".join(told for told, _ in self._play())

    def _play(self) -> list[tuple[str, int]]:
        """After each command, what it did and what is free. A page of the model is 1 MiB."""
        machine = Machine(self.free + sum(memory for _, memory, _ in self.guests))
        drivers, limits = {}, {}
        for domid, (name, memory, most) in enumerate(self.guests, 1):
            machine.add(domid, memory, room=most)
            drivers[name] = Balloon(machine, domid)
            limits[name] = Limits(domid, most, memory, memory)
        told = []
        for name, target in self.targets:
            try:
                limits[name] = limits[name].set_target(target)
            except LimitError:
                what = f"`{name}` cannot have {target}: it was built for {limits[name].static_max_kb}."
            else:
                drivers[name].target = target
                for _ in run(list(drivers.values()), 59, 0.01):
                    pass
                what = f"`{name}` has {drivers[name].current} then, and {machine.frames.free} are free."
                if drivers[name].current < target:
                    what += " It wanted more, and has given up."
            told.append((what, machine.frames.free))
        return told
