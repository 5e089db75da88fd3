"""A guest that asks Xen for mappings and page tables, by button: its pages with their counts, and Xen's answers."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import traitlets

from xenlab.memory.desk import PAGES, Answer, Desk
from xenlab.memory.frames import PageType
from xenlab.ui.widget import Widget, source

_HERE = Path(__file__).parent

_KEPT = "given back to Xen, which keeps it until nothing uses it any more"
_WORDS = {
    PageType.NONE: "free for any use",
    PageType.WRITABLE: "writable page",
    **{kind: f"L{kind:d} page table" for kind in (PageType.L1, PageType.L2, PageType.L3, PageType.L4)},
}


class Hypercalls(Widget):
    """A PV guest of eight pages, and fields for the calls by which it asks Xen for what it may not do itself.

    It can be asked from Python too, with the words of `xenlab.memory.desk.Desk.ask`; ``"restart"`` makes a new guest.

    >>> desk = Hypercalls()
    >>> desk.ask("map", page=0, slot=9)
    'mmu_update: entry 9 of the L1 table maps page 0, to be written: done'
    """

    needs_kernel = ":scope"
    _esm = source("parts.js", _HERE / "calls.js")
    _css = source("theme.css", _HERE / "calls.css")

    #: A dict for each page: page, frame, kind, words, uses, references, mapped.
    pages: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    #: What was asked and answered, the newest last: {asked, refused, lines}.
    answers: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)

    def __init__(self) -> None:
        self._desk, self._answers = Desk(), list[Answer]()
        super().__init__()
        self._look()
        self.on_msg(lambda _widget, content, _buffers: self.ask(**content))

    def ask(self, call: str, **fields: Any) -> str:
        """Ask Xen for something and return what it answers."""
        if call == "restart":
            self._desk, self._answers = Desk(), []
            told = "A new guest."
        else:
            self._answers.append(self._desk.ask(call, **fields))
            told = str(self._answers[-1])
        self._look()
        return told

    def _look(self) -> None:
        self.pages = [self._row(page) for page in range(PAGES)]
        self.answers = [
            {"asked": answer.asked, "refused": answer.refused, "lines": list(answer.log)}
            for answer in self._answers
        ]

    def _row(self, page: int) -> dict[str, Any]:
        frame = self._desk.frame(page)
        if frame is None:
            words = _KEPT if self._desk.is_kept(page) else "given back to Xen"
            return {"page": page, "frame": None, "words": words}
        kind = frame.type if frame.type_count else PageType.NONE
        mapped = [
            f"{slot} {'rw' if write else 'ro'}" for slot, write in self._desk.mappings(frame.mfn).items()
        ]
        return {
            "page": page,
            "frame": f"{frame.mfn:#x}",
            "kind": kind.name.lower(),
            "words": _WORDS[kind] + (", pinned" if frame.pinned else ""),
            "uses": frame.type_count,
            "references": frame.references,
            "mapped": ", ".join(mapped) or "nowhere",
        }

    def describe(self) -> str:
        """Return the pages with their counts, and every answer."""
        rows = [f"{'page':>4}  {'frame':>5}  {'in use as':24}{'uses':>5}{'refs':>6}  mapped by entry"]
        for row in self.pages:
            if row["frame"] is None:
                rows.append(f"{row['page']:4}  {row['words']}")
            else:
                rows.append(
                    f"{row['page']:4}  {row['frame']:>5}  {row['words']:24}{row['uses']:5}{row['references']:6}"
                    f"  {row['mapped']}"
                )
        return "\n".join([*rows, *map(str, self._answers)])

    def picture(self) -> str:
        """Return the same, in fixed width."""
        return f"<pre>{escape(self.describe())}</pre>"
