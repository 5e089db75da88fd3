"""Pictures of a migration that play: a row of drawings, each with its line of text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import traitlets

from xenlab.ui.player import PLAYER_JS, Player
from xenlab.ui.theme import dye
from xenlab.ui.widget import source

_HERE = Path(__file__).parent

#: What the drawings of this chapter share. Ink is `currentColor`, so that they read on light and dark paper.
STYLE = dye("""
.xl-move{display:block;width:100%;height:auto;max-width:780px;margin:6px auto 0;color:inherit;font-family:inherit}
.xl-move text{font-size:13px;fill:currentColor}
.xl-move .small{font-size:12px;fill-opacity:.85}
.xl-move .strong{font-weight:700}
.xl-move .dark{fill:$dark;fill-opacity:1}
.xl-move .mono{font-family:ui-monospace,"DejaVu Sans Mono",monospace;font-size:12px}
.xl-move .line{fill:none;stroke:currentColor;stroke-opacity:.45;stroke-width:1.3}
""")


def svg(width: int, height: int, title: str, *parts: str) -> str:
    """Return a drawing of the chapter as SVG text: its size, its title for screen readers, its parts.

    >>> svg(10, 10, "Nothing").startswith("<svg class='xl-move' viewBox='0 0 10 10'")
    True
    """
    head = (
        f"<svg class='xl-move' viewBox='0 0 {width} {height}' role='img' xmlns='http://www.w3.org/2000/svg'>"
    )
    return "".join([head, f"<title>{title}</title><style>{STYLE}</style>", *parts, "</svg>"])


class Frames(Player):
    """A player whose moments are finished drawings: `frames` are SVG texts, one for each caption."""

    _esm = PLAYER_JS + source(_HERE / "frames.js")
    frames = traitlets.List(traitlets.Unicode()).tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self, title: str, captions: Sequence[str], frames: Sequence[str], period: int = 1500
    ) -> None:
        super().__init__(captions, title=title, frames=list(frames), period=period)

    def picture(self) -> str:
        """Return the drawing of this moment, and every caption."""
        steps = "".join(f"<li>{caption}</li>" for caption in self.captions)
        return f"<h3>{self.title}</h3>{self.frames[int(self.moment)]}<ol>{steps}</ol>"
