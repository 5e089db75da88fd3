"""Exercises on full virtualization: counting exits, addresses through two tables, references of a walk.

>>> CountExits.make(1).check(0).right
False
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any, Self

from xenlab.emulation.assembler import assemble
from xenlab.fullvirt.assisted import Assisted
from xenlab.fullvirt.monitor import Monitor
from xenlab.fullvirt.trapping import TrapAndEmulate
from xenlab.fullvirt.walk import walk
from xenlab.problems.base import Problem

_HARMLESS = ("addi r1, r1, 1", "add r2, r1, r1", "xor r3, r1, r2", "sw r1, [r5+0x80]", "lw r2, [r5+0x80]")
_TOUCHY = ("wrsr tvec, r1", "rdsr r2, cause", "wrsr scratch, r3", "out 0x3f8, r1", "in r4, 0x3fd", "flush")


@dataclass(frozen=True, repr=False)
class CountExits(Problem):
    """How often does a piece of a kernel call the monitor?"""

    program: str
    assisted: bool

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Draw a few instructions, and a monitor."""
        lines = [random.choice(_HARMLESS) for _ in range(4)] + [random.choice(_TOUCHY) for _ in range(4)]
        random.shuffle(lines)
        assisted = random.random() < 0.5
        kind = "a monitor on a processor with a *guest mode*" if assisted else "a *trap-and-emulate* monitor"
        question = (
            f"This is part of a guest's kernel. How many exits do its instructions cause under {kind}? Count the "
            "`halt`, but no exit for a page that is missing in the shadow or in the nested table."
        )
        program = "\n".join([*lines, "halt"])
        return cls(seed, question, program, program, assisted)

    def solve(self) -> int:
        """Run it under the monitor."""
        monitor: Monitor = Assisted() if self.assisted else TrapAndEmulate()
        monitor.load(assemble(self.program))
        monitor.run(1000)
        return sum(count for reason, count in monitor.exits.items() if not reason.startswith("page missing"))

    def hint(self, answer: Any) -> str:
        """Say what exits."""
        if self.assisted:
            return "In guest mode a kernel has special registers of its own. Devices and `halt` are left."
        return "Every privileged instruction traps in user mode: `halt`, `in`, `out`, `rdsr`, `wrsr`, `rett`, `flush`."


@dataclass(frozen=True, repr=False)
class TwoTables(Problem):
    """Where is an address, through the guest's table and the monitor's?"""

    address: int
    guest: tuple[tuple[int, int], ...]
    real: tuple[tuple[int, int], ...]

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Draw three pages, their frames in the guest, and the real frames of these."""
        pages = random.sample(range(0x80, 0xA0), 3)
        frames = random.sample(range(0x20, 0x40), 3)
        real = random.sample(range(0x60, 0xFF), 3)
        guest = tuple(sorted(zip(pages, frames, strict=True)))
        table = tuple(sorted(zip(frames, real, strict=True)))
        address = random.choice(pages) << 4 | random.randrange(16)
        given = "\n".join(
            [
                "the guest's table              the monitor's table",
                *(
                    f"page {page:#04x} is in frame {frame:#04x}     the guest's frame {own:#04x} is really {found:#04x}"
                    for (page, frame), (own, found) in zip(guest, table, strict=True)
                ),
            ]
        )
        question = (
            f"A task reads address `{address:#05x}`. Pages have sixteen words. At which place of the *real* memory "
            "does the word lie? Answer with a number, such as `0x5a3`."
        )
        return cls(seed, question, given, address, guest, table)

    def solve(self) -> int:
        """Go through both."""
        return dict(self.real)[dict(self.guest)[self.address >> 4]] << 4 | self.address & 15

    def check(self, answer: Any) -> Any:
        """Reply to an answer, in hexadecimal as the tables are."""
        reply = super().check(answer)
        expected = self.solve()
        return type(reply)(reply.right, reply.text.replace(f"`{expected}`", f"`{expected:#05x}`"))

    def hint(self, answer: Any) -> str:
        """Say which step is missing."""
        frame = dict(self.guest)[self.address >> 4]
        if answer == frame << 4 | self.address & 15:
            return "That is what the guest believes. One more table."
        return "The last digit is the word within the page, and stays. The others are the page."


@dataclass(frozen=True, repr=False)
class HowManyReferences(Problem):
    """How many memory references does a walk take?"""

    levels: int
    nested: int

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Draw two depths."""
        levels, nested = random.randint(2, 4), random.randint(2, 4)
        question = (
            f"A guest's page tables have {levels} levels, and the nested ones have {nested}. Nothing is cached. How "
            "many memory references does it take to translate one address?"
        )
        return cls(seed, question, "", levels, nested)

    def solve(self) -> int:
        """Walk, and count them."""
        return len(walk(self.levels, self.nested).references)

    def hint(self, answer: Any) -> str:
        """Say what is easily forgotten."""
        if answer == self.levels * self.nested:
            return "The guest's own entries must be read as well, and the page itself must be found, too."
        if answer == self.levels + self.nested:
            return "Every step of the guest's walk is an address that must go through the nested table."
        return "Each of the guest's levels: find it through the nested table, read it. In the end: find the page."
