"""Machines of software on the page: a processor to step, a translator at work, and how fast they all are."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import traitlets

from xenlab.emulation import x86
from xenlab.emulation.assembler import Program, assemble
from xenlab.emulation.isa import REGISTERS, decode, disassemble
from xenlab.emulation.machine import Machine
from xenlab.emulation.speed import Speed
from xenlab.emulation.story import Dispatch, Step, dispatches, number, steps
from xenlab.ui.figure import show
from xenlab.ui.player import PLAYER_JS, Player
from xenlab.ui.theme import PALETTE, figures
from xenlab.ui.widget import source

_HERE = Path(__file__).parent
_CSS = source("theme.css", _HERE / "view.css")
#: No story on the page is longer.
MOST = 200


class Stepper(Player):
    """A program on the book's processor, one instruction a moment: fetched, decoded, executed.

    `program` is assembly or an assembled program. At most 200 instructions are shown.

    >>> stepper = Stepper("li r1, 'A'\\n out 0x3f8, r1\\n halt")
    >>> stepper.step(2)
    'out 0x3f8, r1: port 0x3f8 is told 65.'
    """

    _esm = PLAYER_JS + source(_HERE / "stepper.js")
    _css = _CSS
    title = traitlets.Unicode().tag(sync=True)
    #: The listing: address, label, and the instruction as text.
    rows: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    #: One for each moment but the first.
    steps: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)

    def __init__(self, program: Program | str) -> None:
        made = assemble(program) if isinstance(program, str) else program
        machine = Machine()
        machine.load(made)
        trace = list(steps(machine, MOST))
        used = _used(trace)
        super().__init__(
            ["Nothing has run yet. Press *Play*, or step with the arrow keys.", *map(_caption, trace)],
            title="Nib",
            rows=_listing(made, trace),
            steps=[_moment(step, used) for step in trace],
        )

    def picture(self) -> str:
        """Return the program, and every step in words."""
        listing = "".join(
            f"<tr><td><code>{row['address']}</code></td><td>{row['label']}</td>"
            f"<td><code>{html.escape(row['text'])}</code></td></tr>"
            for row in self.rows
        )
        told = "".join(f"<li>{caption}</li>" for caption in self.captions[1:])
        return f"<table>{listing}</table><ol>{told}</ol>"


class X86Stepper(Stepper):
    """The same for real x86-64 code, watched by unicorn's hooks; `program` is assembly in Intel's notation.

    >>> stepper = X86Stepper("mov dx, 0x3f8; mov al, 65; out dx, al; hlt")
    >>> stepper.step(3)
    'out dx, al: out port 0x3f8: 0x41.'
    """

    def __init__(self, program: str) -> None:
        machine = x86.X86Machine(program)
        machine.run(MOST)
        lines = {line.address: line for line in machine.lines}
        trace = machine.steps[:MOST]
        after = [*(step.registers for step in trace[1:]), machine.registers]
        console = ""
        moments, captions = [], []
        for step, registers in zip(trace, after, strict=False):
            console += "".join(chr(a.value) for a in step.accesses if a.what == "out" and a.where == 0x3F8)
            changed = [name for name, value in registers.items() if value != step.registers[name]]
            moments.append(_x86_moment(step, lines[step.address], registers, changed, console))
            captions.append(_x86_caption(step, lines[step.address], registers, changed))
        Player.__init__(
            self,
            ["Nothing has run yet. Press *Play*, or step with the arrow keys.", *captions],
            title="x86-64",
            rows=[
                {"address": f"{line.address:#x}", "label": "", "text": line.text} for line in machine.lines
            ],
            steps=moments,
        )


def _used(trace: Sequence[Step]) -> list[int]:
    """The registers that a run has to do with."""
    used = {n for step in trace for n in step.changed}
    for step in trace:
        found = decode(step.word)
        if found.instruction is not None:
            letters = {"d": found.d, "a": found.a, "b": found.b}
            used |= {
                n for letter, n in letters.items() if f"{letter}" in _letters(found.instruction.operands)
            }
    return [n for n in range(REGISTERS) if n in used]


def _letters(operands: str) -> set[str]:
    return {each for each in operands.replace("[a+s]", "a, s").split(", ") if each in ("d", "a", "b")}


def _listing(program: Program, trace: Iterable[Step]) -> list[dict[str, Any]]:
    code = {step.pc for step in trace}
    return [
        {
            "address": f"{address:#05x}",
            "label": program.label_at(address) or "",
            "text": disassemble(word) if address in code or word >> 24 else _data(word),
        }
        for address, word in sorted(program.words.items())
    ]


def _data(word: int) -> str:
    return f".word {chr(word)!r}" if 32 <= word < 127 else f".word {number(word)}"


def _caption(step: Step) -> str:
    return f"`{disassemble(step.word)}`: {step.does}."


def _moment(step: Step, used: Sequence[int]) -> dict[str, Any]:
    return {
        "address": f"{step.pc:#05x}",
        "parts": _parts(step.word),
        "does": step.does.replace("`", ""),
        "registers": [[f"r{n}", number(step.registers[n]), n in step.changed] for n in used],
        "device": step.device,
        "console": step.console,
    }


def _parts(word: int) -> list[list[str]]:
    """A word's digits, with what they mean."""
    found = decode(word)
    digits = f"{word:08x}"
    if found.instruction is None:
        return [[digits, "no instruction"]]
    operands, letters = found.instruction.operands, _letters(found.instruction.operands)
    meaning = next((word for word in ("port", "special", "target") if word in operands), None)
    if meaning is None:
        meaning = "b" if "b" in letters else "s" if "s" in operands else "i" if "i" in operands else ""
    value = f"r{found.b}" if meaning == "b" else number(found.s if meaning == "s" else found.i)
    return [
        [digits[:2], found.instruction.name],
        [digits[2], f"d = r{found.d}" if "d" in letters else ""],
        [digits[3], f"a = r{found.a}" if "a" in letters else ""],
        [digits[4:], f"{meaning} = {value}" if meaning else ""],
    ]


def _x86_moment(
    step: x86.Step, line: x86.Line, registers: dict[str, int], changed: Sequence[str], console: str
) -> dict[str, Any]:
    return {
        "address": f"{line.address:#x}",
        "parts": [[line.code.hex(" "), line.text]],
        "does": _does(step, registers, changed),
        "registers": [[name, f"{value:#x}", name in changed] for name, value in registers.items()],
        "device": "; ".join(access.words for access in step.accesses if access.what in ("in", "out")),
        "console": console,
    }


def _does(step: x86.Step, registers: dict[str, int], changed: Sequence[str]) -> str:
    told = [access.words for access in step.accesses]
    told += [f"{name} = {registers[name]:#x}" for name in changed]
    return "; ".join(told) or "no register and no memory changes, but perhaps a flag"


def _x86_caption(step: x86.Step, line: x86.Line, registers: dict[str, int], changed: Sequence[str]) -> str:
    return f"`{line.text}`: {_does(step, registers, changed)}."


class Translating(Player):
    """A program on the book's processor, run by translation: what is in the cache, what was made of it, what is saved.

    >>> translating = Translating("li r2, 3\\nloop: addi r1, r1, 1\\n blt r1, r2, loop\\n halt")
    >>> translating.step(1)
    'The block at 0x000 is not in the cache. 3 instructions are decoded, and become a function, which runs.'
    >>> translating.step(2)
    'The block at 0x001 is in the cache: its function runs again. Nothing is decoded.'
    """

    _esm = PLAYER_JS + source(_HERE / "translating.js")
    _css = _CSS
    rows: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    steps: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)

    def __init__(self, program: Program | str, *, chained: bool = False) -> None:
        made = assemble(program) if isinstance(program, str) else program
        machine = Machine()
        machine.load(made)
        trace = dispatches(machine, chained=chained)[:MOST]
        runs: dict[int, list[int]] = {}
        moments = []
        for each in trace:
            if each.source:
                runs.setdefault(each.pc, [len(each.addresses), 0])[1] += 1
            moments.append(_dispatch_moment(each, runs))
        super().__init__(
            ["The cache is empty. Press *Play*, or step with the arrow keys.", *map(_told, trace)],
            rows=[
                {"address": address, "label": made.label_at(address) or "", "text": disassemble(word)}
                for address, word in sorted(made.words.items())
                if any(address in each.addresses for each in trace)
            ],
            steps=moments,
        )

    def picture(self) -> str:
        """Return every step in words, and the last function that was made."""
        told = "".join(f"<li>{caption}</li>" for caption in self.captions[1:])
        made = [step["source"] for step in self.steps if step["source"]]
        return f"<ol>{told}</ol><pre>{html.escape(made[-1]) if made else ''}</pre>"


def _dispatch_moment(each: Dispatch, runs: dict[int, list[int]]) -> dict[str, Any]:
    return {
        "addresses": list(each.addresses),
        "source": each.source,
        "known": each.known,
        "cache": [[f"{pc:#05x}", length, ran, pc == each.pc] for pc, (length, ran) in runs.items()],
        "decoded": each.decoded,
        "executed": each.executed,
        "console": each.console,
    }


def _told(each: Dispatch) -> str:
    at = f"{each.pc:#05x}"
    if not each.source:
        return f"The instruction at `{at}` concerns the machine itself: the *interpreter* does it."
    if each.known:
        again = "its function runs again" if each.ran else "its function is called"
        return f"The block at `{at}` is in the cache: {again}. Nothing is decoded."
    count = len(each.addresses)
    several = (
        f"{count} instructions are decoded, and become"
        if count > 1
        else "1 instruction is decoded, and becomes"
    )
    ran = f" It runs {each.ran} instructions before it is left." if each.ran > count else ""
    return f"The block at `{at}` is **not in the cache**. {several} a function, which runs.{ran}"


def show_speeds(speeds: Sequence[Speed]) -> None:
    """Draw how long the same work took in each way, on a scale where each step is ten times as long."""
    from matplotlib import pyplot as plt

    done = [each for each in speeds if not each.missing]
    native = done[-1].seconds
    with figures():
        figure, axes = plt.subplots(figsize=(7.2, 0.55 * len(done) + 0.9))
        names = [each.name for each in done]
        axes.barh(names, [each.seconds * 1e3 for each in done], color=PALETTE["blue"], height=0.6)
        for row, each in enumerate(done):
            axes.text(each.seconds * 1.15e3, row, _took(each, native), va="center")
        axes.set_xscale("log")
        axes.set_xlim(right=max(each.seconds for each in done) * 2e4)
        axes.invert_yaxis()
        axes.set_xlabel("milliseconds for the same work, measured on this machine")
        axes.grid(axis="y", visible=False)
    alt = "; ".join(f"{each.name}: {_milliseconds(each)}" for each in done)
    show(figure, f"Time for the same work on a scale of powers of ten. {alt}.")
    for each in speeds:
        if each.missing:
            print(f"{each.name}: not measured here. {each.missing}")


def _took(speed: Speed, native: float) -> str:
    rate = f", {speed.rate / 1e6:.1f} million instructions/s" if speed.rate else ""
    times = f" ({speed.seconds / native:,.0f} ×)" if speed.seconds > native else ""
    return f"{_milliseconds(speed)}{times}{rate}"


def _milliseconds(speed: Speed) -> str:
    time = speed.seconds * 1e3
    return f"{time:,.0f} ms" if time >= 100 else f"{time:.3g} ms"
