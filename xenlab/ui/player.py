"""Play a trace: something that was computed once, shown moment by moment at the reader's pace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import traitlets

from xenlab.commands import XenlabError
from xenlab.ui.text import to_html, to_plain
from xenlab.ui.widget import Widget, source

#: What a player's JavaScript is built on: element helpers, then `player(model, el, draw)`.
PLAYER_JS = source("parts.js", "player.js")


class Player(Widget):
    """The shared base of moving pictures: a row of moments with play, pause, step and scrub.

    Python computes the whole trace and sends it once; the page then plays it without the kernel. `captions`
    is one line of text a moment: it stands under the picture, is announced to screen readers and is all
    that a terminal shows. `period` is the time a moment stays, in milliseconds. Subclasses add traits with
    the trace itself, set `_esm = PLAYER_JS + …` and draw in JavaScript by `player(model, el, draw)`, where
    `draw(moment)` paints one. Raises `XenlabError` if there is no moment to show.
    """

    captions = traitlets.List(traitlets.Unicode()).tag(sync=True)
    #: The moment shown, counted from 0.
    moment = traitlets.Int(0).tag(sync=True)
    period = traitlets.Int(1500).tag(sync=True)

    def __init__(self, captions: Sequence[str], **traits: Any) -> None:
        if not captions:
            raise XenlabError("captions(=[]) must hold one line of text for each moment of the trace")
        self._captions = list(captions)
        super().__init__(captions=[to_html(caption) for caption in captions], **traits)

    @traitlets.validate("moment")
    def _within_the_trace(self, proposal: Any) -> int:
        return min(max(int(proposal["value"]), 0), len(self.captions) - 1)

    def step(self, by: int = 1) -> str:
        """Go `by` moments on (back if negative), stopping at either end; return the caption there."""
        self.moment += by
        return to_plain(self._captions[self.moment])

    def describe(self) -> str:
        """Return every moment's caption, numbered, the one shown now marked."""
        return "\n".join(
            f"{'>' if i == self.moment else ' '} {i + 1}. {to_plain(caption)}"
            for i, caption in enumerate(self._captions)
        )
