"""Concepts on the page: the forms as layers, an instruction set to edit, and a guest beside its monitored twin."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import traitlets

from xenlab.concepts.classify import Verdict, decide
from xenlab.concepts.forms import FORMS, PARTS
from xenlab.concepts.instructions import InstructionSet
from xenlab.concepts.machine import State
from xenlab.concepts.monitor import Program, Step, bare, first_difference, monitored
from xenlab.ui.player import PLAYER_JS, Player
from xenlab.ui.text import to_html, to_plain
from xenlab.ui.widget import Widget, source

_HERE = Path(__file__).parent
_CSS = source("theme.css", _HERE / "view.css")


class Forms(Widget):
    """The six forms of the slides, one at a time: its layers, the legend in two languages, and what may run in it.

    >>> Forms().describe().splitlines()[2]
    'Paravirtualization (Paravirtualização): VG beside VG on MMV on HF; MMV virtualizes.'
    """

    _esm = source("parts.js", _HERE / "forms.js")
    _css = _CSS
    forms: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    parts: traitlets.List[dict[str, str]] = traitlets.List().tag(sync=True)
    #: Number of the form that is shown.
    chosen = traitlets.Int(0).tag(sync=True)

    def __init__(self, chosen: int = 0) -> None:
        super().__init__(
            forms=[
                {
                    "name": each.name,
                    "portuguese": each.portuguese,
                    "svg": each.svg,
                    "letters": [letters for row in each.rows for letters in row],
                    "virtualizes": each.virtualizes,
                    "how": each.how,
                    "guest": each.guest,
                    "examples": each.examples,
                    "chapter": each.chapter,
                }
                for each in FORMS
            ],
            parts=[
                {"letters": part.letters, "english": part.english, "portuguese": part.portuguese}
                for part in PARTS.values()
            ],
            chosen=chosen,
        )

    def describe(self) -> str:
        """Return every form with its layers."""
        return "\n".join(
            f"{f.name} ({f.portuguese}): {f.in_words}; {f.virtualizes} virtualizes." for f in FORMS
        )

    def picture(self) -> str:
        """Return every form's picture with its explanation."""
        return "".join(
            f"<h3>{html.escape(f'{each.name} · {each.portuguese}')}</h3>{each.svg}<p>{html.escape(each.how)}</p>"
            for each in FORMS
        )


class Theorem(Widget):
    """An instruction set to edit: let an instruction trap or not, and see at once what Popek and Goldberg say.

    >>> from xenlab.concepts.instructions import X86
    >>> theorem = Theorem(X86)
    >>> theorem.describe().splitlines()[-1]
    'Theorem 1 does not hold: pop_flags, read_mode are sensitive and do not trap.'
    >>> theorem.traps = [*theorem.traps, "pop_flags", "read_mode"]
    >>> theorem.describe().splitlines()[-1]
    'Theorem 1 holds: every sensitive instruction traps, so a monitor can stay in control.'
    """

    needs_kernel = "input"
    _esm = source("parts.js", _HERE / "theorem.js")
    _css = _CSS
    rows: traitlets.List[dict[str, str]] = traitlets.List().tag(sync=True)
    #: Names of the instructions that trap in user mode.
    traps: traitlets.List[str] = traitlets.List(traitlets.Unicode()).tag(sync=True)
    classes: traitlets.Dict[str, Any] = traitlets.Dict().tag(sync=True)
    verdict = traitlets.Unicode().tag(sync=True)

    def __init__(self, instructions: InstructionSet) -> None:
        self._instructions = instructions
        super().__init__(
            rows=[
                {"name": each.name, "what": each.what, "like": each.like} for each in instructions.values()
            ],
            traps=[name for name, each in instructions.items() if each.traps],
        )
        self.observe(self._decide, ["traps"])
        self._decide()

    def _decide(self, change: object = None) -> None:
        edited = {name: replace(each, traps=name in self.traps) for name, each in self._instructions.items()}
        decided = decide(edited)
        self.classes = {
            name: {"words": each.words, "offends": name in decided.offenders}
            for name, each in decided.classes.items()
        }
        self._said = _verdict(decided)
        self.verdict = to_html(self._said)

    def describe(self) -> str:
        """Return each instruction's class, and the verdict."""
        lines = [f"{name}: {each['words']}" for name, each in self.classes.items()]
        return "\n".join([*lines, to_plain(self._said)])

    def picture(self) -> str:
        """Return each instruction's class, and the verdict, as a table."""
        rows = "".join(
            f"<tr><td>{name}</td><td>{each['words']}</td></tr>" for name, each in self.classes.items()
        )
        return f"<table>{rows}</table><p>{self.verdict}</p>"


def _verdict(decided: Verdict) -> str:
    if decided.virtualizable:
        return "**Theorem 1 holds**: every sensitive instruction traps, so a monitor can stay in control."
    several = len(decided.offenders) > 1
    return (
        f"**Theorem 1 does not hold**: {', '.join(decided.offenders)} {'are' if several else 'is'} sensitive and "
        f"{'do' if several else 'does'} not trap."
    )


class SideBySide(Player):
    """The same program twice: on a machine of its own, and in user mode under a monitor, until the machines differ.

    >>> from xenlab.concepts.instructions import GOOD
    >>> from xenlab.concepts.monitor import GUEST
    >>> SideBySide(GUEST, GOOD).step(5)
    'store 6 runs on the processor itself. Both machines are the same: equivalent so far.'
    """

    _esm = PLAYER_JS + source(_HERE / "sidebyside.js")
    _css = _CSS
    steps: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)

    def __init__(self, program: Program, instructions: InstructionSet) -> None:
        alone, under = bare(program, instructions), monitored(program, instructions)
        differs = first_difference(alone, under)
        pairs = list(zip(alone, under, strict=True))
        super().__init__(
            [
                "The same program on two machines. Press *Play*, or step with the arrow keys.",
                *_captions(pairs, differs),
            ],
            steps=[
                {
                    "instruction": left.instruction,
                    "operand": left.operand,
                    "bare": _machine(left.machine),
                    "under": _machine(right.machine),
                    "trapped": right.trapped,
                    "differs": differs is not None and number >= differs,
                }
                for number, (left, right) in enumerate(pairs)
            ],
        )

    def picture(self) -> str:
        """Return every step in words."""
        return "<ol>" + "".join(f"<li>{caption}</li>" for caption in self.captions) + "</ol>"


def _captions(pairs: Sequence[tuple[Step, Step]], differs: int | None) -> list[str]:
    captions = []
    for number, (left, right) in enumerate(pairs):
        how = (
            "traps, and the monitor does it to the virtual machine"
            if right.trapped
            else "runs on the processor itself"
        )
        if differs is None or number < differs:
            state = "Both machines are the same: equivalent so far."
        elif number == differs:
            state = "**Now the machines differ**, and the monitor was never called."
        else:
            state = "The machines go on differently."
        captions.append(f"`{left.instruction} {left.operand}` {how}. {state}")
    return captions


def _machine(state: State) -> str:
    interrupts = "in" if state.interrupts else "kept out"
    return f"accumulator {state.accumulator}, interrupts {interrupts}"
