"""Exercises on storage: extents of a volume group, room in a snapshot, and who serves a block of a chain.

>>> WhoServes.make(1).check("nobody at all").right
False
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any, Self

from xenlab.problems.base import Problem

_NAMES = ("debian", "web", "shop", "today", "test", "night")


@dataclass(frozen=True, repr=False)
class FreeExtents(Problem):
    """How many extents are left in a volume group after some volumes were made?"""

    total: int
    sizes: tuple[int, ...]

    EXTENT = 4  # MiB

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Make a group and three volumes, at least one of which is not a whole number of extents."""
        total = random.choice((255, 511, 767))
        sizes = [random.randrange(8, 90) * 4 for _ in range(3)]
        sizes[random.randrange(3)] += random.randint(1, 3)
        lines = [
            f"lvcreate -L {size}M -n {name} vg0"
            for size, name in zip(sizes, ("web", "mail", "db"), strict=True)
        ]
        question = f"The group `vg0` has {total} extents of {cls.EXTENT} MiB, all free. How many are free after this?"
        return cls(seed, question, "\n".join(lines), total, tuple(sizes))

    def solve(self) -> int:
        """Return the extents that are left."""
        return self.total - sum(-(-size // self.EXTENT) for size in self.sizes)

    def hint(self, answer: Any) -> str:
        """Show each volume's extents."""
        each = ", ".join(f"{size} MiB → {-(-size // self.EXTENT)}" for size in self.sizes)
        return f"A volume takes whole extents, and LVM rounds up: {each}."


@dataclass(frozen=True, repr=False)
class ChunksUsed(Problem):
    """How many chunks of its store does a snapshot use after some writes to its origin?"""

    writes: tuple[tuple[int, int], ...]

    CHUNK = 4  # KiB

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Make four writes: one that repeats another in part, and one that straddles two chunks."""
        first = random.randrange(0, 40) * 4
        writes = [
            (first, random.choice((8, 12, 16))),
            (first + 4, random.choice((4, 8))),
            (random.randrange(60, 90) * 4 + 2, 4),
            (random.randrange(100, 140) * 4, random.choice((1, 2, 3))),
        ]
        random.shuffle(writes)
        lines = [f"write {length:>2} KiB at {start:>3} KiB" for start, length in writes]
        question = (
            f"`monday` was just made as a snapshot of `web`, with chunks of {cls.CHUNK} KiB. "
            "These writes go to `web`. "
            "How many chunks of its store does `monday` use then, its header and its one table included?"
        )
        return cls(seed, question, "\n".join(lines), tuple(writes))

    def _touched(self) -> set[int]:
        return {
            chunk
            for start, length in self.writes
            for chunk in range(start // self.CHUNK, (start + length - 1) // self.CHUNK + 1)
        }

    def solve(self) -> int:
        """Return header, table and one chunk for each chunk that was written."""
        return 2 + len(self._touched())

    def hint(self, answer: Any) -> str:
        """Say which chunks were touched."""
        touched = ", ".join(map(str, sorted(self._touched())))
        return f"Only the first write to a chunk copies. They touch chunks {touched}; header and table come on top."


@dataclass(frozen=True, repr=False)
class WhoServes(Problem):
    """Which layer of a chain of images serves a block?"""

    names: tuple[str, ...]
    held: tuple[str, ...]
    block: int

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Make a chain of four layers, and ask for a block, no layer likelier than another."""
        names = random.sample(_NAMES, 4)
        wanted = random.randrange(5)
        densities = (0.25, 0.3, 0.4, 0.75)
        rows: list[str] = []
        blocks: list[int] = []
        while not blocks:
            rows = ["".join("x" if random.random() < part else "." for _ in range(12)) for part in densities]
            blocks = [column for column in range(12) if _depth(rows, column) == wanted]
        width = max(map(len, names))
        scale = " " * (width + 2) + "".join(str(column % 10) for column in range(12))
        lines = [scale, *(f"{name:<{width}}  {row}" for name, row in zip(names, rows, strict=True))]
        block = random.choice(blocks)
        question = (
            "A chain of images, the top one first; `x` marks a block that a layer has. "
            f"Which layer serves block {block}? Answer with its name, or `nobody`."
        )
        return cls(seed, question, "\n".join(lines), tuple(names), tuple(rows), block)

    def solve(self) -> str:
        """Return the name of the layer, or ``nobody``."""
        return (*self.names, "nobody")[_depth(self.held, self.block)]

    def hint(self, answer: Any) -> str:
        """Say how a block is looked for."""
        if answer in self.names and self.held[self.names.index(answer)][self.block] == "x":
            return f"`{answer}` has the block, but a layer above it has it too, and is asked first."
        return (
            "Go down the column and stop at the first `x`. Without any, nobody serves it: it reads as zeros."
        )


def _depth(rows: tuple[str, ...] | list[str], column: int) -> int:
    return next((depth for depth, row in enumerate(rows) if row[column] == "x"), len(rows))
