"""Chains of images and first writes on the page, played step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, Self

import pandas as pd
import traitlets

from xenlab.commands import XenlabError
from xenlab.storage.blockdev import BlockDevice, DiskError, MemoryDisk
from xenlab.storage.blocks import SIDE, Drawing, Frame
from xenlab.storage.dm_snapshot import Snapshot, SnapshotOrigin, Step
from xenlab.ui.player import PLAYER_JS, Player
from xenlab.ui.widget import source

_HERE = Path(__file__).parent
_GAP = 3
_LEFT = 128  # where the first block of a row begins


class _Blocks(Player):
    """A player whose moments are frames of one drawing."""

    _esm = PLAYER_JS + source(_HERE / "blocks.js")
    svg = traitlets.Unicode().tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)
    frames: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)

    def __init__(self, captions: Sequence[str], frames: Sequence[Frame], label: str) -> None:
        self._frames = list(frames)
        super().__init__(
            captions, frames=[frame.as_dict() for frame in frames], svg=self._draw(frames[0]), label=label
        )

    def _draw(self, frame: Frame) -> str:
        raise NotImplementedError

    def picture(self) -> str:
        """Return the drawing as it stands at this moment, and every step in words."""
        steps = "".join(f"<li>{caption}</li>" for caption in self.captions)
        return self._draw(self._frames[self.moment]) + f"<ol>{steps}</ol>"


def _x(column: int) -> int:
    return _LEFT + column * (SIDE + _GAP)


class ImageFile(Protocol):
    """What a picture of a chain needs of an image in dom0."""

    @property
    def path(self) -> str: ...  # noqa: D102
    def map(self) -> pd.DataFrame: ...  # noqa: D102


class ChainMap(_Blocks):
    """Who serves this block? A chain of images, block by block: each layer is asked, from the top, until one has it.

    Arguments: `names` of the layers, the top one first; `held`, for each layer a string with a letter for each
    block: ``x`` for one it has, ``0`` for one it knows to be zeros, ``.`` for one it leaves to the layer below.
    Raises `XenlabError` if they do not fit together.

    >>> chain = ChainMap(["web", "golden"], ["..x.", "xxx."])
    >>> chain.step(1)
    'Block 0: web has nothing there, so golden is asked; it serves the block. 2 look-ups.'
    >>> chain.step(3)
    'Block 3: web has nothing there, golden has nothing there: nobody serves it, it reads as zeros. 2 look-ups.'
    """

    def __init__(self, names: Sequence[str], held: Sequence[str]) -> None:
        if not names or len(names) != len(held) or len({len(row) for row in held}) != 1:
            raise XenlabError(
                f"names(={list(names)}) and held(={list(held)}) must be as many, all rows as long"
            )
        if set("".join(held)) - set("x0."):
            raise XenlabError(f"held(={list(held)}) must be made of the letters x, 0 and .")
        self.names, self.held = list(names), list(held)
        blocks = range(len(held[0]))
        captions = [f"{len(names)} layers, {len(blocks)} blocks. Which layer serves which? Play, or step."]
        captions += [self._caption(block) for block in blocks]
        frames = [self._frame(None), *map(self._frame, blocks)]
        super().__init__(captions, frames, "A chain of images, block by block")

    @classmethod
    def of(cls, *images: ImageFile, block: int = 64 * 1024, blocks: int = 20) -> Self:
        """Make the map of images in dom0, the top one first, from ``qemu-img map``; of their first `blocks` blocks."""
        names = [image.path.rpartition("/")[2].removesuffix(".qcow2") for image in images]
        return cls(names, [_held(image.map(), block, blocks) for image in images])

    def server(self, block: int) -> int | None:
        """Return the depth of the layer that serves a block, counted from 0 at the top; None if none does."""
        return next((depth for depth, row in enumerate(self.held) if row[block] != "."), None)

    def _caption(self, block: int) -> str:
        depth = self.server(block)
        asked = self.names[: len(self.names) if depth is None else depth]
        passed = ", ".join(f"**{name}** has nothing there" for name in asked)
        count = f"{len(asked) + (depth is not None)} look-up{'s' if len(asked) + (depth is not None) > 1 else ''}."
        if depth is None:
            return f"Block {block}: {passed}: nobody serves it, it reads as zeros. {count}"
        how = "it serves the block" if self.held[depth][block] == "x" else "it knows that the block is zeros"
        name = f"**{self.names[depth]}**"
        found = f"so {name} is asked; {how}" if asked else f"{name} is asked first; {how}"
        return f"Block {block}: {passed + ', ' if passed else ''}{found}. {count}"

    def _frame(self, block: int | None) -> Frame:
        classes: dict[str, str] = {}
        words: dict[str, str] = {}
        for depth, row in enumerate(self.held):
            for column, letter in enumerate(row):
                name = f"b{depth}-{column}"
                classes[name] = (
                    f"held tone{min(depth, 4)}" if letter == "x" else "held" if letter == "0" else ""
                )
                words[name] = {"x": "", "0": "∅", ".": ""}[letter]
                if column == block and (self.server(column) is None or depth <= (self.server(column) or 0)):
                    classes[name] += " lit" if depth == self.server(column) else " asked"
        for column in range(len(self.held[0])):
            depth_or_none = self.server(column)
            classes[f"r-{column}"] = "" if depth_or_none is None else f"held tone{min(depth_or_none, 4)}"
            words[f"r-{column}"] = "–" if depth_or_none is None else str(depth_or_none)
            if column == block:
                classes[f"r-{column}"] += " lit"
        move = {} if block is None else {"asks": (float(block * (SIDE + _GAP)), 0.0)}
        classes["asks"] = "" if block is None else "shown"
        return Frame(classes, words, move)

    def _draw(self, frame: Frame) -> str:
        columns, rows = len(self.held[0]), len(self.names)
        height = 62 + (rows + 1) * 42
        drawing = Drawing(_x(columns) + 8, height, "Which layer of a chain serves which block", frame)
        drawing.text(_LEFT - 10, 18, "block", anchor="end", small=True)
        for column in range(columns):
            drawing.text(_x(column) + SIDE / 2, 18, str(column), anchor="middle", small=True)
        drawing.pointer(_LEFT + SIDE / 2, 38, "asks")
        for depth, name in enumerate(self.names):
            top = 44 + depth * 42
            drawing.text(_LEFT - 10, top + 20, f"{depth} · {name}", anchor="end")
            for column in range(columns):
                drawing.cell(_x(column), top, f"b{depth}-{column}")
        top = 54 + rows * 42
        drawing.text(_LEFT - 10, top + 20, "served by", anchor="end")
        for column in range(columns):
            drawing.cell(_x(column), top, f"r-{column}")
        return drawing.svg()


def _held(table: pd.DataFrame, block: int, blocks: int) -> str:
    """Turn what ``qemu-img map`` says of one image into a letter for each block."""
    letters = ["."] * blocks
    for start, length, present, data in table.loc[
        table["depth"] == 0, ["start", "length", "present", "data"]
    ].itertuples(index=False):
        for number in range(start // block, min(blocks, -(-(start + length) // block))):
            if present:
                letters[number] = "x" if data else "0"
    return "".join(letters)


#: Writes that show all there is: a first write, a second to the same place, one to the snapshot, and too many.
A_DAY = (("web", 2), ("web", 2), ("web", 5), ("monday", 3), ("web", 3), ("web", 0), ("web", 7))
_CHUNKS = 8
_ROOM = 6  # chunks of the copy-on-write device: header, table, four copies


class FirstWrite(_Blocks):
    """What a snapshot does when its origin is written: the first write to a chunk copies, the second does not.

    `writes` are pairs: the volume that is written, ``"web"`` (the origin) or ``"monday"`` (its snapshot), and the
    chunk, 0 to 7. The steps are those of the model of device-mapper's snapshots; the store has room for four
    chunks. Raises `XenlabError` for another volume or chunk.

    >>> FirstWrite(("web", 2)).step(2)
    'Write to chunk 2 of web: its old contents, C, are copied out to chunk 2 of the store.'
    """

    def __init__(self, *writes: tuple[str, int]) -> None:
        story = _Story()
        for volume, chunk in writes:
            if volume not in ("web", "monday") or not 0 <= chunk < _CHUNKS:
                raise XenlabError(
                    f"write(={(volume, chunk)}) must be to 'web' or 'monday', chunk 0 to {_CHUNKS - 1}"
                )
            story.write(volume, chunk)
        super().__init__(
            story.captions, _waiting(story.frames), "First writes to a volume that has a snapshot"
        )

    def _draw(self, frame: Frame) -> str:
        drawing = Drawing(_x(_CHUNKS) + 260, 240, "A volume, its snapshot and the store of copies", frame)
        drawing.text(_LEFT - 10, 18, "chunk", anchor="end", small=True)
        for column in range(_CHUNKS):
            drawing.text(_x(column) + SIDE / 2, 18, str(column), anchor="middle", small=True)
        for top, name in ((30, "web"), (100, "monday"), (176, "store")):
            drawing.text(
                _LEFT - 10, top + 20, {"web": "web (origin)", "store": "store"}.get(name, name), anchor="end"
            )
            for column in range(_CHUNKS if name != "store" else _ROOM):
                drawing.cell(_x(column), top, f"{name}-{column}")
        for column, word in enumerate(("head", "table")):
            drawing.text(_x(column) + SIDE / 2, 224, word, anchor="middle", small=True)
        for column in range(2, _ROOM):
            drawing.text(_x(column) + SIDE / 2, 224, str(column), anchor="middle", small=True)
        drawing.text(_x(0), 148, "blue: read from web; orange: from the store", small=True)
        left = _x(_CHUNKS) + 24
        drawing.text(left, 44, "the table:")
        drawing.text(left, 64, "", name="rule", small=True)
        for row in range(_ROOM - 2):
            drawing.text(left, 88 + row * 20, "", name=f"exception-{row}")
        drawing.text(left, 196, "", name="full")
        drawing.cell(_x(0), 30, "token", base="token")
        return drawing.svg()


def _waiting(frames: Sequence[Frame]) -> list[Frame]:
    """Let the block that moves wait, unseen, where it will appear next, so that it does not fly in from afar."""
    placed: list[Frame] = []
    for frame in reversed(frames):
        following = placed[-1].moves if placed else {}
        placed.append(replace(frame, moves=frame.moves or following))
    return placed[::-1]


class _Story:
    """Captions and frames of some writes, as the model takes its steps."""

    def __init__(self) -> None:
        self.captions: list[str] = []
        self.frames: list[Frame] = []
        size = 512
        self._origin = SnapshotOrigin(MemoryDisk(_CHUNKS * size))
        for chunk in range(_CHUNKS):
            self._origin.device.write(chunk * size, self._letter(chunk).encode() * size)
        self._cow = MemoryDisk(_ROOM * size)
        self._snapshot = Snapshot(self._origin, self._cow, size, self._on_step)
        self._size = size
        self._fresh = 0
        self._what = ""
        self._tell(
            "A snapshot, *monday*, was just made of *web*. Nothing was copied: it reads all from *web*."
        )

    @staticmethod
    def _letter(chunk: int) -> str:
        return "ABCDEFGH"[chunk]

    def write(self, volume: str, chunk: int) -> None:
        """Write a new letter to a chunk of a volume, and tell each step."""
        self._fresh += 1
        letter = "abcdefghijklmnopqrstuvwxyz"[(self._fresh - 1) % 26]
        self._what = f"Write to chunk {chunk} of *{volume}*"
        known = chunk in self._snapshot.store.exceptions
        valid = self._snapshot.store.valid
        disk = self._origin if volume == "web" else self._snapshot
        try:
            disk.write(chunk * self._size, letter.encode() * self._size)
        except DiskError:
            self._tell(f"{self._what}: an I/O error. The snapshot is lost.")
            return
        if volume == "web":
            why = "the snapshot has its copy already" if known else "the old contents are safe"
            why = why if valid else "there is no snapshot left to copy for"
            why = why if self._snapshot.store.valid or not valid else "the origin must not wait"
            self._tell(f"{self._what}: {why}, so *{letter}* is written to *web*.", {f"web-{chunk}": "lit"})
        else:
            self._tell(
                f"{self._what}: *{letter}* is in the store; *web* is untouched.", {f"monday-{chunk}": "lit"}
            )

    def _on_step(self, step: Step) -> None:
        old = self._char(self._origin.device, step.chunk)
        here, there = f"web-{step.chunk}", f"store-{step.stored}"
        start = (float(step.chunk * (SIDE + _GAP)), 0.0)
        end = (float(step.stored * (SIDE + _GAP)), 146.0)
        texts = {
            "read old": (
                f"the first since the snapshot. Its old contents, *{old}*, are read.",
                {here: "lit"},
                start,
            ),
            "copy out": (
                f"its old contents, *{old}*, are copied out to chunk {step.stored} of the store.",
                {here: "lit", there: "lit"},
                end,
            ),
            "commit": (
                f"the table now says {step.chunk} → {step.stored}. Only from here on does the copy count.",
                {"store-1": "lit", there: "lit"},
                None,
            ),
            "invalidate": (
                "the store is full. The snapshot is given up, for good.",
                {"store-0": "lit"},
                None,
            ),
        }
        if step.action in texts:
            text, lit, token = texts[step.action]
            self._tell(f"{self._what}: {text}", lit, token, old)

    def _char(self, disk: BlockDevice, chunk: int) -> str:
        return str(disk.read(chunk * self._size, 1).decode())

    def _tell(
        self,
        caption: str,
        lit: dict[str, str] | None = None,
        token: tuple[float, float] | None = None,
        letter: str = "",
    ) -> None:
        store, words, classes = self._snapshot.store, {}, dict[str, str]()
        for chunk in range(_CHUNKS):
            words[f"web-{chunk}"] = self._char(self._origin.device, chunk)
            classes[f"web-{chunk}"] = "held tone0"
            stored = store.exceptions.get(chunk)
            words[f"monday-{chunk}"] = self._char(self._snapshot, chunk) if store.valid else "✗"
            classes[f"monday-{chunk}"] = f"held tone{1 if stored else 0}" if store.valid else "lost"
        words |= {"store-0": "✓" if store.valid else "✗", "store-1": str(len(store.exceptions))}
        classes |= {"store-0": "held meta", "store-1": "held meta"}
        rows = sorted(store.exceptions.items(), key=lambda pair: pair[1])
        for row, (old, new) in enumerate(rows):
            words[f"store-{new}"] = self._char(self._cow, new)
            classes[f"store-{new}"] = "held tone1"
            words[f"exception-{row}"] = f"{old} → {new}"
        words["rule"] = "chunk of web → chunk of the store"
        words["full"] = (
            store.status() if not store.valid else f"{store.used_sectors} of {store.total_sectors} sectors"
        )
        for name, mark in (lit or {}).items():
            classes[name] = f"{classes.get(name, '')} {mark}".strip()
        if token is not None:
            classes["token"], words["token"] = "shown", letter
        self.captions.append(caption)
        self.frames.append(Frame(classes, words, {"token": token} if token else {}))
