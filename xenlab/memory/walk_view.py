"""An address on its way: its parts, the tables they lead through, and the frame where it ends, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import traitlets

from xenlab.commands import XenlabError
from xenlab.memory.entries import LEVELS, slots
from xenlab.memory.walk import NotMapped, Step, Walk
from xenlab.ui.player import PLAYER_JS, Player
from xenlab.ui.text import to_html
from xenlab.ui.widget import source

_HERE = Path(__file__).parent

#: Something that walks an address: in a model, or through the tables of a guest on a host.
Walker = Callable[[int], Walk]


@dataclass(frozen=True)
class _Moment:
    """What is shown: cards up to `card`, of that one perhaps only where it is; reads so far; and the caption."""

    card: int
    whole: bool
    reads: int
    caption: str


class WalkStory(Player):
    """A virtual address walked through page tables, a step a moment; the reader may type another address.

    `walker` does the walking, for the model or for a guest on a host; `simulated` says whether it was no real one.

    >>> from xenlab.memory.samples import small_guest
    >>> story = WalkStory(small_guest(), 0xFFFFFFFF80003123)
    >>> story.step(1)
    'The root table, L4, is in frame 0x44. Its entry 511 says: go on in frame 0x45.'
    >>> story.step(5)
    'The m2p knows what the guest calls frame 0x13: its page 3. So the guest-physical address is 0x3123.'
    """

    needs_kernel = "form :is(input, button)"
    _esm = PLAYER_JS + source(_HERE / "walk.js")
    _css = source("theme.css", _HERE / "walk.css")

    #: What the reader types, and what was wrong with it.
    address = traitlets.Unicode().tag(sync=True)
    complaint = traitlets.Unicode("").tag(sync=True)
    simulated = traitlets.Bool(True).tag(sync=True)
    #: The five parts of the address: name, number, bits.
    parts: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    #: A dict for each table, and one for the page in the end.
    cards: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    #: What is lit at each moment: {card, whole, reads}.
    moments: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)

    def __init__(self, walker: Walker, address: int, *, simulated: bool = True) -> None:
        self._walker = walker
        walk = _walked(walker, address)
        super().__init__(
            [moment.caption for moment in _moments(walk)], address=f"{address:#x}", simulated=simulated
        )
        self._show(walk)
        self.observe(self._typed, "address")

    def _typed(self, _change: object) -> None:
        try:
            walk = _walked(self._walker, read_address(self.address))
        except XenlabError as error:
            self.complaint = str(error)
            return
        with self.hold_sync():
            self.complaint = ""
            self._show(walk)
            self.moment = 0

    def _show(self, walk: Walk) -> None:
        moments = list(_moments(walk))
        self._captions = [moment.caption for moment in moments]
        self.captions = [to_html(caption) for caption in self._captions]
        self.moments = [{"card": each.card, "whole": each.whole, "reads": each.reads} for each in moments]
        self.parts = _parts(walk.address)
        self.cards = _cards(walk)

    def picture(self) -> str:
        """Return the address, every step in words."""
        steps = "".join(f"<li>{caption}</li>" for caption in self.captions)
        return f"<p>Virtual address <code>{escape(self.address)}</code>:</p><ol>{steps}</ol>"


def read_address(text: str) -> int:
    """Read a virtual address as one types it. Raises `XenlabError` if it is none.

    >>> hex(read_address(" ffff888000000000 "))
    '0xffff888000000000'
    """
    try:
        address = int(text.strip().replace("_", ""), 16)
    except ValueError:
        raise XenlabError(
            f"address(={text!r}) must be a hexadecimal number, such as 0xffffffff81000000"
        ) from None
    if address >> 47 not in (0, (1 << 17) - 1):
        raise XenlabError(
            f"address(={address:#x}) must be canonical: bits 47 to 63 are all equal, so it begins with 0x0000 to "
            "0x00007f, or with 0xffff8 to 0xfffff"
        )
    return address


def _walked(walker: Walker, address: int) -> Walk:
    """The walk, or as far as it gets."""
    try:
        return walker(address)
    except NotMapped as error:
        return error.walk


def _parts(address: int) -> list[dict[str, Any]]:
    numbers = [(f"L{level}", number, 9) for level, number in slots(address).items()]
    return [
        {"name": name, "number": number, "bits": f"{number:0{width}b}"}
        for name, number, width in [*numbers, ("byte", address & 0xFFF, 12)]
    ]


def _cards(walk: Walk) -> list[dict[str, Any]]:
    two = any(step.stage == 2 for step in walk.steps)
    cards = [
        {
            "name": f"L{step.level} table",
            "page": f"{step.table:#x}" if two else "",
            "frame": f"{_frame(walk, step):#x}" if two else f"{step.table:#x}",
            "slot": step.slot,
            "value": f"{step.entry.value:#x}",
            "letters": step.entry.letters or "not present",
            "target": f"{'page' if two else 'frame'} {step.entry.mfn:#x}"
            if step.entry.present
            else "nowhere",
        }
        for step in walk.steps
        if step.stage == 1
    ]
    if walk.mfn is not None:
        cards.append(
            {
                "name": "the page",
                "page": "" if walk.pfn is None else f"{walk.pfn:#x}",
                "frame": f"{walk.mfn:#x}",
                "value": f"{walk.machine_address:#x}",
                "letters": "may be written" if walk.writable else "read only",
                "target": "" if walk.pfn is None else f"{walk.pfn << 12 | walk.address & 0xFFF:#x}",
            }
        )
    return cards


def _frame(walk: Walk, step: Step) -> int:
    """Where a guest's table lies in the machine: what the second stage found just before it was read."""
    index = walk.steps.index(step)
    before = walk.steps[index - 1]
    return before.entry.mfn + (step.table & (1 << 9 * (before.level - 1)) - 1 if before.level > 1 else 0)


def _moments(walk: Walk) -> Iterator[_Moment]:
    yield _Moment(
        -1,
        False,
        0,
        "Four parts of a virtual address number an entry in a table, each 0 to 511. The last part is the byte in the "
        "page. Press *Play*, or step with the arrow keys.",
    )
    yield from _nested(walk) if any(step.stage == 2 for step in walk.steps) else _direct(walk)
    if walk.mfn is None:
        last = walk.steps[-1]
        yield _Moment(
            sum(step.stage == 1 for step in walk.steps) - 1,
            True,
            len(walk.steps),
            f"**Page fault.** Entry {last.slot} of the L{last.level} table is not present: nothing is mapped here.",
        )


def _direct(walk: Walk) -> Iterator[_Moment]:
    for number, step in enumerate(walk.steps):
        what = f"The root table, L{step.level}, is" if number == 0 else f"The L{step.level} table is"
        where = "the page is frame" if step.level == LEVELS[-1] else "go on in frame"
        says = f"{where} `{step.entry.mfn:#x}`" if step.entry.present else "nothing here"
        yield _Moment(
            number,
            True,
            number + 1,
            f"{what} in frame `{step.table:#x}`. Its entry {step.slot} says: {says}.",
        )
    if walk.mfn is None:
        return
    count = len(walk.steps)
    yield _Moment(
        count,
        False,
        count,
        f"Frame `{walk.mfn:#x}`, and {walk.address & 0xFFF:#x} bytes into it: the machine address "
        f"`{walk.machine_address:#x}`. The processor got there in {count} reads.",
    )
    if walk.pfn is not None:
        yield _Moment(
            count,
            True,
            count,
            f"The m2p knows what the guest calls frame `{walk.mfn:#x}`: its page {walk.pfn}. So the guest-physical "
            f"address is `{walk.pfn << 12 | walk.address & 0xFFF:#x}`.",
        )


def _nested(walk: Walk) -> Iterator[_Moment]:
    card = 0
    for reads, step in enumerate(walk.steps, 1):
        if step.stage == 1:
            says = f"go on in *page* `{step.entry.mfn:#x}`" if step.entry.present else "nothing here"
            yield _Moment(
                card, True, reads, f"Entry {step.slot} of the guest's L{step.level} table says: {says}."
            )
            card += 1
        elif reads == len(walk.steps) or walk.steps[reads].stage == 1:
            last = reads == len(walk.steps)
            if last and walk.mfn is None:
                return
            page = walk.pfn if last else walk.steps[reads].table
            frame = walk.mfn if last else _frame(walk, walk.steps[reads])
            yield _Moment(
                card,
                last,
                reads,
                f"Where is the guest's page `{page:#x}`? The tables of the second stage say: in frame `{frame:#x}`. "
                + (
                    f"The processor got there in **{reads} reads**." if last else f"That makes {reads} reads."
                ),
            )
