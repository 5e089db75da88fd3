"""Libraries on the page: a name sought among them, and a foreign program's calls translated."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import traitlets

from xenlab.commands import XenlabError
from xenlab.library.linker import Object, looks, scope
from xenlab.library.translate import Outcome
from xenlab.ui.player import PLAYER_JS, Player
from xenlab.ui.widget import source

_HERE = Path(__file__).parent


class Lookup(Player):
    """How the linker seeks a name, twice: as the program was made to run, and with libraries preloaded.

    Args:
        symbol: The function that the program calls.
        program: Its name.
        libraries: The program and the libraries there are; preloaded ones too.
        preload: Names of those to preload in the second row.

    >>> date = Object("date", needs=("libc.so",))
    >>> libc, clock = Object("libc.so", frozenset({"time"})), Object("clock.so", frozenset({"time"}))
    >>> Lookup("time", "date", [date, libc, clock], ["clock.so"]).step(9)
    'With clock.so preloaded: clock.so has time and answers. libc.so is not asked.'
    """

    _esm = PLAYER_JS + source(_HERE / "lookup.js")
    _css = source("theme.css", _HERE / "view.css")
    symbol = traitlets.Unicode().tag(sync=True)
    rows: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    #: For each moment: in each row, how many libraries have been looked at.
    looked: traitlets.List[list[int]] = traitlets.List().tag(sync=True)

    def __init__(
        self, symbol: str, program: str, libraries: Iterable[Object], preload: Sequence[str]
    ) -> None:
        known = {each.name: each for each in libraries}
        captions, looked = [f"`{program}` calls `{symbol}`. Press *Play*, or step."], [[0, 0]]
        rows: list[dict[str, Any]] = []
        for row, chosen in enumerate(((), tuple(preload))):
            title = f"With {', '.join(chosen)} preloaded" if chosen else "As it was made to run"
            order, seen = scope(program, known, chosen), looks(symbol, program, known.values(), chosen)
            rows.append({"title": title, "order": list(order), "found": seen[-1].found, "last": len(seen)})
            for count, look in enumerate(seen, start=1):
                captions.append(_caption(title, symbol, look.where, look.found, order[count:]))
                looked.append([count, 0] if row == 0 else [rows[0]["last"], count])
        super().__init__(captions, symbol=symbol, rows=rows, looked=looked)

    def picture(self) -> str:
        """Return both rows in words."""
        return "<ol>" + "".join(f"<li>{caption}</li>" for caption in self.captions) + "</ol>"


def _caption(title: str, symbol: str, where: str, found: bool, rest: Sequence[str]) -> str:
    if not found:
        return f"{title}: `{where}` has no `{symbol}`."
    spared = f" {', '.join(rest)} {'is' if len(rest) == 1 else 'are'} not asked." if rest else ""
    return f"{title}: `{where}` has `{symbol}` and **answers**.{spared}"


class Translation(Player):
    """A foreign program's calls, one after the other: what it asks of its system, and what this one does instead.

    >>> from xenlab.library.foreign import hello
    >>> from xenlab.library.translate import run
    >>> Translation(run(hello())).step(5)
    'GetTickCount64(): the layer calls clock_gettime(CLOCK_MONOTONIC).'
    """

    _esm = PLAYER_JS + source(_HERE / "translation.js")
    _css = source("theme.css", _HERE / "view.css")
    calls: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    where = traitlets.Unicode().tag(sync=True)

    def __init__(self, outcome: Outcome) -> None:
        if not outcome.calls:
            raise XenlabError("outcome(=no calls) must be of a program that called at least one function")
        calls = [
            {"call": f"{each.function}({', '.join(map(_word, each.arguments))})", "done": each.done}
            for each in outcome.calls
        ]
        captions = [f"`{each['call']}`: the layer calls `{each['done']}`." for each in calls]
        super().__init__(
            [f"The code runs {outcome.where}. Press *Play*, or step.", *captions],
            calls=calls,
            where=outcome.where,
        )

    def picture(self) -> str:
        """Return the calls as a table."""
        rows = "".join(
            f"<tr><td><code>{html.escape(each['call'])}</code></td><td><code>{html.escape(each['done'])}</code></td></tr>"
            for each in self.calls
        )
        return f"<table><tr><th>the program calls</th><th>the layer does</th></tr>{rows}</table>"


def _word(argument: int) -> str:
    # An address says nothing to a reader, and differs from run to run.
    return str(argument) if argument < 1 << 32 else "…"
