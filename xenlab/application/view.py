"""The stack machine on the page, one instruction at a time, and the six forms of virtualization in one table."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import traitlets

from xenlab.application.comparison import Row
from xenlab.application.compiler import compile_source
from xenlab.application.stackvm import Machine, listing
from xenlab.ui.player import PLAYER_JS, Player
from xenlab.ui.widget import Widget, source

_HERE = Path(__file__).parent
LIMIT = 200


class StackPlayer(Player):
    """A small program, as it was written and as the machine sees it, run instruction by instruction.

    Args:
        text: A few lines of Python, of the kind that `compile_source` knows; at most 200 instructions are shown.

    >>> player = StackPlayer("print(6 * 7)")
    >>> player.step(3)
    'mul takes two values from the stack, and leaves one there.'
    """

    _esm = PLAYER_JS + source(_HERE / "stack.js")
    _css = source("theme.css", _HERE / "view.css")
    text = traitlets.Unicode().tag(sync=True)
    code: traitlets.List[str] = traitlets.List(traitlets.Unicode()).tag(sync=True)
    moments: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)

    def __init__(self, text: str) -> None:
        code = compile_source(text)
        start = Machine(code)
        states = [start, *(machine for _, machine in Machine(code).trace(LIMIT))]
        captions = ["The code is verified, and the stack is empty. Press *Play*, or step."]
        captions += [
            f"`{instruction}` {_does(instruction.name)}." for instruction, _ in Machine(code).trace(LIMIT)
        ]
        if states[-1].halted:
            captions[-1] += f" The program has ended after {states[-1].steps} instructions."
        super().__init__(
            captions,
            text=text.strip(),
            code=listing(code).splitlines(),
            moments=[
                {
                    "at": state.at,
                    "stack": [str(value) for value in state.stack],
                    "variables": {name: str(value) for name, value in state.variables.items()},
                    "output": [str(value) for value in state.output],
                }
                for state in states
            ],
            period=700,
        )

    def picture(self) -> str:
        """Return the code, and what was printed in the end."""
        printed = " ".join(self.moments[-1]["output"]) or "nothing"
        return f"<pre>{'<br>'.join(self.code)}</pre><p>It printed: {printed}.</p>"


def _does(name: str) -> str:
    return {
        "push": "puts a number on the stack",
        "load": "puts a variable's value on the stack",
        "store": "takes a value from the stack into a variable",
        "print": "takes a value from the stack and prints it",
        "jump": "goes on elsewhere",
        "jump_if_zero": "takes a value from the stack, and goes on elsewhere if it is zero",
    }.get(name, "takes two values from the stack, and leaves one there")


class Comparison(Widget):
    """The six forms as a table; a form's name leads the eye, and what was measured stands last.

    >>> Comparison([Row("Library", "answers", "another library", "nothing", "2 ns a call")]).describe()
    'Library: answers; another library; nothing; 2 ns a call'
    """

    _esm = source("parts.js", _HERE / "comparison.js")
    _css = source("theme.css", _HERE / "view.css")
    heads: traitlets.List[str] = traitlets.List(traitlets.Unicode()).tag(sync=True)
    rows: traitlets.List[list[str]] = traitlets.List().tag(sync=True)

    def __init__(self, rows: Sequence[Row]) -> None:
        heads = ["form", "what is virtual", "who is called", "what keeps guests apart", "measured here"]
        super().__init__(
            heads=heads, rows=[[row.form, row.virtual, row.called, row.apart, row.measured] for row in rows]
        )

    def describe(self) -> str:
        """Return a line for each form."""
        return "\n".join(f"{form}: {'; '.join(rest)}" for form, *rest in self.rows)

    def picture(self) -> str:
        """Return the table as static HTML."""
        head = "".join(f"<th>{each}</th>" for each in self.heads)
        body = "".join(
            f"<tr>{''.join(f'<td>{html.escape(each)}</td>' for each in row)}</tr>" for row in self.rows
        )
        return f"<table><tr>{head}</tr>{body}</table>"
