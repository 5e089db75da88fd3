"""Devices on the page: a ring that turns, a handshake in its states, a request on its way, and what batches save."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import traitlets

from xenlab.devices.handshake import Handshake
from xenlab.devices.handshake import Step as HandshakeStep
from xenlab.devices.machine import Machine
from xenlab.devices.trace import Step, Trace, play
from xenlab.devices.vbd import attach
from xenlab.devices.xenbus import XenbusState
from xenlab.storage.blockdev import MemoryDisk
from xenlab.ui.player import PLAYER_JS, Player
from xenlab.ui.theme import PALE, dye
from xenlab.ui.widget import source

_HERE = Path(__file__).parent
_STYLE = dye("""
.xl-dev{display:block;width:100%;height:auto;max-width:760px;margin:6px auto 0;color:inherit;font-family:inherit}
.xl-dev text{font-size:13px;fill:currentColor}.xl-dev .small{font-size:12px}.xl-dev .strong{font-weight:700}
.xl-dev .dark{fill:$dark}.xl-dev .mid{text-anchor:middle}
.xl-dev .line{fill:none;stroke:currentColor;stroke-opacity:.5;stroke-width:1.3}
.xl-dev .lit{fill:$yellow;stroke:$dark;stroke-width:2.5}
""")


class Pictures(Player):
    """A player whose moments are finished drawings, one for each caption."""

    _esm = PLAYER_JS + source(_HERE / "view.js")
    frames = traitlets.List(traitlets.Unicode()).tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)

    def __init__(self, title: str, captions: Sequence[str], frames: Sequence[str]) -> None:
        super().__init__(captions, title=title, frames=list(frames))

    def picture(self) -> str:
        """Return the drawing of this moment, and every caption."""
        steps = "".join(f"<li>{caption}</li>" for caption in self.captions)
        return f"<h3>{self.title}</h3>{self.frames[int(self.moment)]}<ol>{steps}</ol>"


def _svg(width: int, height: int, title: str, parts: Iterable[str]) -> str:
    head = (
        f"<svg class='xl-dev' viewBox='0 0 {width} {height}' role='img' xmlns='http://www.w3.org/2000/svg'>"
    )
    return "".join([head, f"<title>{html.escape(title)}</title><style>{_STYLE}</style>", *parts, "</svg>"])


def _text(x: float, y: float, words: str, classes: str = "") -> str:
    return f"<text x='{x:.0f}' y='{y:.0f}' class='{classes}'>{html.escape(words)}</text>"


def _box(x: float, y: float, width: float, words: str, lit: bool) -> str:
    look = "class='lit'" if lit else "class='line'"
    ink = "mid dark strong" if lit else "mid"
    return f"<rect x='{x}' y='{y}' width='{width}' height='40' rx='7' {look}/>" + _text(
        x + width / 2, y + 25, words, ink
    )


# -- the ring

#: A batch of three, and a fourth request that comes while the backend is still awake.
A_BATCH = (
    *("put", "put", "put", "push", "take", "take", "put", "push", "take", "take"),
    *("respond", "respond", "respond", "respond", "push responses", "backend sleeps"),
    *("take response", "take response", "take response", "take response", "frontend sleeps"),
)
_PHASES = {
    "empty": ("none", "free"),
    "written": (PALE["grey"], "request written, not published"),
    "waiting": (PALE["sky"], "request published"),
    "taken": (PALE["orange"], "taken by the backend"),
    "answered": (PALE["purple"], "response written, not published"),
    "ready": (PALE["green"], "response published"),
}


class RingStory(Pictures):
    """A ring of eight slots as a circle: four indices move around it, and each push notifies or saves it.

    `moves` are words of `xenlab.devices.trace.MOVES`.

    >>> RingStory("put", "push").step(2)
    'frontend: push: the backend is notified. Notifications: 1 sent, 0 saved.'
    """

    def __init__(self, *moves: str) -> None:
        trace = play(moves)
        captions, frames = ["An empty ring: all indices are 0. Press *Play*, or step."], [_ring(None, {})]
        labels: dict[int, str] = {}
        sent = saved = 0
        for step in trace.steps:
            if step.slot is not None and step.request is not None:
                labels[step.slot] = str(step.request)
            sent += step.notified is True
            saved += step.notified is False
            captions.append(_ring_caption(step, sent, saved))
            frames.append(_ring(step, labels))
        super().__init__("The ring of a disk (eight of its slots; a model)", captions, frames)


def _ring_caption(step: Step, sent: int, saved: int) -> str:
    other = "backend" if step.actor == "frontend" else "frontend"
    what = f"**{step.actor}**: {step.action}"
    if step.request is not None:
        what += f", request {step.request}, slot {step.slot}"
    if step.notified is not None:
        what += f": the {other} is notified" if step.notified else f": the {other} is awake, nothing is sent"
    elif step.detail:
        what += f": {step.detail}"
    return f"{what}. Notifications: {sent} sent, {saved} saved."


def phases(step: Step, size: int = 8) -> dict[int, str]:
    """Return what is in each slot in use: written, waiting, taken, answered, ready.

    >>> phases(play(["put", "put", "push", "take"]).steps[-1])
    {0: 'taken', 1: 'waiting'}
    """
    i = step.indices
    bounds = (
        (i.rsp_prod, "ready"),
        (i.rsp_prod_pvt, "answered"),
        (i.req_cons, "taken"),
        (i.req_prod, "waiting"),
    )
    return {
        index % size: next((phase for bound, phase in bounds if index < bound), "written")
        for index in range(i.rsp_cons, i.req_prod_pvt)
    }


def _ring(step: Step | None, labels: dict[int, str], size: int = 8) -> str:
    cx, cy, radius = 200, 175, 92
    used = {} if step is None else phases(step, size)
    parts = []
    for slot in range(size):
        angle = 2 * math.pi * (slot + 0.5) / size - math.pi / 2
        x, y = cx + radius * math.cos(angle), cy + radius * math.sin(angle)
        phase = used.get(slot, "empty")
        fill = _PHASES[phase][0]
        parts.append(f"<circle class='line' cx='{x:.0f}' cy='{y:.0f}' r='27' style='fill:{fill}'/>")
        ink = "mid dark strong" if phase != "empty" else "mid small"
        parts.append(_text(x, y + 5, labels.get(slot, "") if phase != "empty" else "·", ink))
    values = {"req_prod": 0, "req_cons": 0, "rsp_prod": 0, "rsp_cons": 0}
    if step is not None:
        values = {name: getattr(step.indices, name) for name in values}
    here: dict[int, str] = {}
    for letter, value in zip("PCpc", values.values(), strict=True):
        here[value % size] = f"{here.get(value % size, '')} {letter}".strip()
    for place, letters in here.items():
        angle = 2 * math.pi * place / size - math.pi / 2
        near, far = radius - 30, radius + 36
        x, y = cx + far * math.cos(angle), cy + far * math.sin(angle)
        start = f"{cx + near * math.cos(angle):.0f} {cy + near * math.sin(angle):.0f}"
        parts.append(f"<path class='line' d='M{start}L{x:.0f} {y:.0f}'/>")
        parts.append(_text(x + 20 * math.cos(angle), y + 5 + 10 * math.sin(angle), letters, "mid strong"))
    events = (1, 1) if step is None else (step.indices.req_event, step.indices.rsp_event)
    rows = [("P  req_prod", values["req_prod"]), ("C  req_cons", values["req_cons"])]
    rows += [("p  rsp_prod", values["rsp_prod"]), ("c  rsp_cons", values["rsp_cons"])]
    rows += [("req_event", events[0]), ("rsp_event", events[1])]
    for number, (name, value) in enumerate(rows):
        parts += [_text(420, 50 + 22 * number, name), _text(540, 50 + 22 * number, str(value), "strong")]
    for number, (fill, words) in enumerate(_PHASES.values()):
        y = 205 + 22 * number
        parts.append(f"<rect class='line' x='420' y='{y - 12}' width='16' height='14' style='fill:{fill}'/>")
        parts.append(_text(446, y, words, "small"))
    return _svg(720, 345, "Eight slots of a ring and its indices", parts)


# -- the handshake

_STATES = ("INITIALISING", "INIT_WAIT", "INITIALISED", "CONNECTED", "CLOSING", "CLOSED")
_WHO = {
    "toolstack": "xl",
    "backend": "dom0's kernel",
    "hotplug script": "the hotplug script",
    "frontend": "the guest's kernel",
}


class HandshakeStory(Pictures):
    """A handshake that happened, as the diagram of XenbusState: what each half was in, and who wrote what.

    `simulated` says whether a model or a real Xen gave it.
    """

    def __init__(self, seen: Handshake, simulated: bool) -> None:
        how = "simulated" if simulated else "on a real Xen"
        captions = [_handshake_caption(step) for step in seen.steps]
        frames = [_states(step) for step in seen.steps]
        super().__init__(f"The handshake of {seen.device.kind} {seen.device.id} ({how})", captions, frames)


def _handshake_caption(step: HandshakeStep) -> str:
    who = _WHO[step.writer]
    if step.removed:
        return f"+{step.seconds:.0f} s: **{who}** removes the {step.side}'s folder."
    keys = ", ".join(
        f"`{key}`={value}" if value else f"`{key}`" for key, value in step.keys if key != "state"
    )
    wrote = f" writes {keys}" if keys else ""
    moved = f" sets `state` to {int(step.state)} ({step.state.name})" if step.state is not None else ""
    link = " and" if wrote and moved else ""
    return f"+{step.seconds:.0f} s: **{who}**{wrote}{link}{moved}, in the {step.side}'s folder."


def _states(step: HandshakeStep) -> str:
    parts = [_text(20, 46, "frontend", "strong"), _text(20, 126, "backend", "strong")]
    for y, state in ((20, step.frontend), (100, step.backend)):
        for number, name in enumerate(_STATES):
            words = f"{int(XenbusState[name])} {name.title().replace('_', '')}"
            parts.append(_box(100 + 108 * number, y, 100, words, state.name == name))
    return _svg(760, 160, f"frontend {step.frontend.name}, backend {step.backend.name}", parts)


# -- one request on its way

_PLACES = {"app": 20, "frontend": 165, "ring": 310, "backend": 455, "disk": 600}


class RequestStory(Pictures):
    """One request of a guest on its way: app, frontend, ring, backend, disk, and back (a model that moves real bytes).

    `operation` is ``"write"`` or ``"read"``.
    """

    def __init__(self, operation: str = "write") -> None:
        machine, trace = Machine(), Trace()
        vbd = attach(machine, machine.create(1, "web"), MemoryDisk(1 << 20), persistent=False, trace=trace)
        begin = len(trace.steps)
        if operation == "write":
            vbd.front.write(8, b"through the ring".ljust(512))
        else:
            vbd.front.read(8, 1)
        captions = [f"The **app** in the guest asks its kernel: {operation} sector 8."]
        frames = [_way("app")]
        for step in trace.steps[begin:]:
            place = (
                "disk" if step.action.startswith("disk") else "ring" if step.action == "put" else step.actor
            )
            told = f": {step.detail}" if step.detail else ""
            if step.notified is not None:
                told = ": an event is sent" if step.notified else ": no event is needed"
            captions.append(f"**{step.actor}**: {step.action}{told}.")
            frames.append(_way(place))
        captions.append("The **app** has its answer.")
        frames.append(_way("app"))
        super().__init__("One request on its way (a model)", captions, frames)


def _way(place: str) -> str:
    parts = [
        "<rect class='line' x='8' y='8' width='288' height='92' rx='10'/>",
        _text(20, 28, "domU", "small"),
    ]
    parts += [
        "<rect class='line' x='444' y='8' width='288' height='92' rx='10'/>",
        _text(690, 28, "dom0", "small"),
    ]
    parts.append(_text(370, 94, "shared page", "small mid"))
    for name, x in _PLACES.items():
        parts.append(_box(x, 40, 120, name, name == place))
    for x in (140, 285, 430, 575):
        parts.append(f"<path class='line' d='M{x} 60h25'/>")
    return _svg(740, 108, f"The request is at: {place}", parts)
