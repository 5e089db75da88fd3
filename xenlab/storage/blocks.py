"""Rows of blocks as a picture that plays: the drawing is made once, each moment only changes classes and words.

The page's half is `blocks.js`. A drawing is SVG text in which what may change carries a name; a `Frame` says
what it looks like at one moment.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from xenlab.ui.theme import dye

SIDE = 30  # of a block, in the drawing's units

STYLE = dye("""
.xl-blocks{display:block;width:100%;height:auto;max-width:900px;margin:0 auto;color:inherit;font-family:inherit}
.xl-blocks text{font-size:13px;fill:currentColor}
.xl-blocks text.small{font-size:11.5px;fill-opacity:.82}
.xl-blocks .cell rect{fill:none;stroke:currentColor;stroke-opacity:.3;stroke-dasharray:3 3}
.xl-blocks .cell text{text-anchor:middle}
.xl-blocks .held rect{stroke-dasharray:none;stroke-opacity:.55}
.xl-blocks .tone0 rect{fill:$pale_sky}.xl-blocks .tone1 rect{fill:$pale_orange}.xl-blocks .tone2 rect{fill:$pale_green}
.xl-blocks .tone3 rect{fill:$pale_purple}.xl-blocks .tone4 rect{fill:$yellow}.xl-blocks .meta rect{fill:$pale_grey}
.xl-blocks .held text{fill:$dark}
.xl-blocks .asked rect{stroke-opacity:1;stroke-width:2;stroke-dasharray:3 3}
.xl-blocks .lit rect{stroke-opacity:1;stroke-width:3.4;stroke-dasharray:none}
.xl-blocks .lit text{font-weight:700}
.xl-blocks .lost rect{stroke:$vermilion;stroke-opacity:1;stroke-dasharray:1 3;fill:none}
.xl-blocks .lost text{fill:currentColor;fill-opacity:.6}
.xl-blocks .token{opacity:0}
.xl-blocks .token.shown{opacity:1}
.xl-blocks .token rect{fill:$yellow;stroke:$dark;stroke-width:1.6}
.xl-blocks .token text{fill:$dark;text-anchor:middle;font-weight:700}
.xl-blocks .pointer{fill:currentColor;opacity:0}
.xl-blocks .pointer.shown{opacity:1}
@media (prefers-reduced-motion: no-preference){.xl-blocks .token,.xl-blocks .pointer{transition:transform .7s}}
""")


@dataclass(frozen=True)
class Frame:
    """One moment: by the name of a part its classes, its word, and how far it has moved from its place."""

    classes: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    moves: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """What is sent to the page."""
        return {
            "classes": dict(self.classes),
            "words": dict(self.words),
            "moves": {name: list(move) for name, move in self.moves.items()},
        }


class Drawing:
    """An SVG drawing whose named parts look as a frame says."""

    def __init__(self, width: int, height: int, title: str, frame: Frame) -> None:
        self._frame = frame
        self._parts = [
            f"<svg class='xl-blocks' viewBox='0 0 {width} {height}' role='img' xmlns='http://www.w3.org/2000/svg'>",
            f"<title>{html.escape(title)}</title><style>{STYLE}</style>",
        ]

    def text(
        self, x: float, y: float, word: str, *, name: str = "", anchor: str = "start", small: bool = False
    ) -> None:
        """Write a word; one with a `name` may change."""
        word = self._frame.words.get(name, word) if name else word
        named = f" data-word='{name}'" if name else ""
        kind = " class='small'" if small else ""
        self._parts.append(
            f"<text x='{x}' y='{y}' text-anchor='{anchor}'{kind}{named}>{html.escape(word)}</text>"
        )

    def cell(self, x: float, y: float, name: str, base: str = "cell", width: float = SIDE) -> None:
        """Draw a block with its word in the middle, its top left corner at `x`, `y`."""
        classes = f"{base} {self._frame.classes.get(name, '')}".strip()
        word = html.escape(self._frame.words.get(name, ""))
        dx, dy = self._frame.moves.get(name, (0, 0))
        self._parts.append(
            f"<g class='{classes}' data-part='{name}' data-base='{base}' style='transform:translate({dx}px,{dy}px)'>"
            f"<rect x='{x}' y='{y}' width='{width}' height='{SIDE}' rx='4'/>"
            f"<text x='{x + width / 2}' y='{y + SIDE / 2 + 5}' data-word='{name}'>{word}</text></g>"
        )

    def pointer(self, x: float, y: float, name: str) -> None:
        """Draw a small triangle that points down to `x`, `y`."""
        classes = f"pointer {self._frame.classes.get(name, '')}".strip()
        dx, dy = self._frame.moves.get(name, (0, 0))
        self._parts.append(
            f"<path class='{classes}' data-part='{name}' data-base='pointer' style='transform:translate({dx}px,{dy}px)'"
            f" d='M{x} {y}l-7 -11h14z'/>"
        )

    def svg(self) -> str:
        """Return the drawing."""
        return "".join([*self._parts, "</svg>"])
