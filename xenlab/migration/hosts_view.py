"""Where the guest is: two hosts and the cable between them, in the model and as `xl list` has it."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

import traitlets

from xenlab.commands import Commands
from xenlab.migration.frames_view import Frames, svg
from xenlab.migration.stages import Copy, Failure, Stage, Step, World, begin, break_at, settle, walk
from xenlab.ui.theme import DARK, PALE, PALETTE
from xenlab.ui.widget import Widget, source

WIDTH = 780
_BOXES = {"source": 10, "target": 480}
_WIDE, _HIGH = 290, 132
_LOOKS: Mapping[Copy, tuple[str, str]] = {
    Copy.RUNNING: (f"fill='{PALE['green']}' stroke='{DARK}'", "runs"),
    Copy.PARTIAL: ("fill='none' stroke='currentColor' stroke-dasharray='5 4'", "some of its memory"),
    Copy.SUSPENDED: (f"fill='{PALE['orange']}' stroke='{DARK}'", "all of it, not running"),
    Copy.OUTDATED: (f"fill='{PALE['slate']}' stroke='{DARK}' stroke-dasharray='2 3'", "out of date"),
}
_STAGES = {
    Stage.PRE_MIGRATION: "The two ends have found each other.",
    Stage.RESERVATION: "The target builds an empty domain under another name.",
    Stage.ITERATIVE_PRECOPY: "Memory goes over, round by round, while the guest runs.",
    Stage.STOP_AND_COPY: "The guest stands still.",
    Stage.COMMITMENT: "The source lets the guest go.",
    Stage.ACTIVATION: "The guest runs at the target.",
}


class Journey(Frames):
    """A live migration as a map that plays: who holds the guest after each step of xl's conversation.

    With a `step` and a `failure` it breaks there, and ends with what an administrator does about it. This is
    the model in `xenlab.migration.stages`; nothing runs.

    >>> print(Journey(Step.PRECOPY, Failure.LINK_CUT).step(99))
    The administrator tidies up: nothing is left to do.
    """

    def __init__(self, step: Step | None = None, failure: Failure | None = None, name: str = "web") -> None:
        worlds = list(walk(begin(name)))
        captions = [
            "The guest runs at the source. Press *Play*, or step with the arrow keys.",
            *map(_said, worlds[1:]),
        ]
        cut = [False] * len(worlds)
        title = "Where the guest is while `xl migrate` works (model)".replace("`", "")
        if step is not None and failure is not None:
            left = break_at(step, failure, begin(name))
            commands, settled = settle(left)
            worlds = [*worlds[: step + 1], left, settled]
            told = (
                f"exit status {left.status}" if not left.undefined else "xl does not know who has the guest"
            )
            runs = " and ".join(left.running) or "nowhere"
            does = "; ".join(f"`{command}`" for command in commands) or "nothing is left to do"
            captions = [
                *captions[: step + 1],
                f"During {_name(step)}, {failure}: **{told}**. The guest runs: **{runs}**.",
                f"The administrator tidies up: {does}.",
            ]
            broken = failure in (Failure.LINK_CUT, Failure.TARGET_DIES)
            cut = [False] * (step + 1) + [broken, False]
            title = f"A migration that breaks: {failure} (model)"
        frames = [_draw(world, broken) for world, broken in zip(worlds, cut, strict=True)]
        super().__init__(title, captions, frames, period=2200)


def _name(step: Step) -> str:
    return f"*{step.name.lower().replace('_', ' ')}*"


def _said(world: World) -> str:
    assert world.done is not None
    stage = world.done.stage
    return f"Stage {stage.value}, {_name(world.done)}: {_STAGES[stage]}"


def _draw(world: World, broken: bool) -> str:
    held = {
        "source": [(world.source_name, world.source)],
        "target": [(world.target_name, world.target)],
    }
    parts = [_cable(broken)]
    for host, copies in held.items():
        parts.append(_host(host, _BOXES[host]))
        for name, copy in copies:
            if copy is not Copy.NONE:
                parts.append(_guest(_BOXES[host], 0, name, *_LOOKS[copy]))
    lines = world.printed[-4:]
    parts.append(f"<rect x='10' y='{_HIGH + 26}' width='{WIDTH - 20}' height='84' rx='6' class='line'/>")
    for number, line in enumerate(lines):
        text = html.escape(line if len(line) < 96 else line[:95] + "…")
        parts.append(f"<text x='20' y='{_HIGH + 46 + 18 * number}' class='mono'>{text}</text>")
    return svg(WIDTH, _HIGH + 118, "Two hosts and where the guest is", *parts)


def _cable(broken: bool) -> str:
    y = 80
    if broken:
        return (
            f"<path class='line' d='M300 {y}H365M415 {y}H480'/>"
            f"<path d='M378 {y - 12}l24 24m0 -24l-24 24' stroke='{PALETTE['vermilion']}' stroke-width='4'/>"
        )
    return (
        f"<path class='line' d='M300 {y}H480'/>"
        f"<text x='390' y='{y - 8}' text-anchor='middle' class='small'>private link</text>"
    )


def _host(name: str, x: int) -> str:
    return (
        f"<rect x='{x}' y='10' width='{_WIDE}' height='{_HIGH}' rx='8' class='line'/>"
        f"<text x='{x + 12}' y='30' class='strong'>{html.escape(name)}</text>"
    )


def _guest(x: int, place: int, name: str, look: str, word: str) -> str:
    y = 42 + 46 * place
    ink = "" if "fill='none'" in look else " dark"
    return (
        f"<rect x='{x + 14}' y='{y}' width='{_WIDE - 28}' height='40' rx='6' stroke-width='1.3' {look}/>"
        f"<text x='{x + 24}' y='{y + 17}' class='strong{ink}'>{html.escape(name)}</text>"
        f"<text x='{x + 24}' y='{y + 33}' class='small{ink}'>{html.escape(word)}</text>"
    )


class HostMap(Widget):
    """Which guests are on which host, as `xl list` on each of them says at this moment.

    `hosts` are two hosts by name; `simulated` says whether they are.
    """

    _esm = source("parts.js") + (
        "\nfunction render({ model, el }) {"
        "\n  const picture = h('div', {});"
        "\n  el.append(h('div', { class: 'xl xl-map' }, h('h3', {}, model.get('title')), picture));"
        "\n  return follow(model, ['drawing'], () => { picture.innerHTML = model.get('drawing'); });"
        "\n}\nexport default { render };"
    )
    title = traitlets.Unicode().tag(sync=True)
    drawing = traitlets.Unicode().tag(sync=True)

    def __init__(self, hosts: Mapping[str, Commands], *, simulated: bool) -> None:
        self._hosts = hosts
        how = "simulated" if simulated else "real Xen"
        super().__init__(title=f"Who runs where ({how})")
        self.look()

    def look(self) -> None:
        """Ask both hosts again."""
        self._rows = {name: _guests(host) for name, host in self._hosts.items()}
        parts = [_cable(broken=False)]
        for x, (name, guests) in zip(_BOXES.values(), self._rows.items(), strict=True):
            parts.append(_host(name, x))
            if not guests:
                parts.append(f"<text x='{x + 24}' y='66' class='small'>no guest</text>")
            for place, (guest, letters) in enumerate(guests[:2]):
                look = _LOOKS[
                    Copy.OUTDATED if "s" in letters else Copy.SUSPENDED if "p" in letters else Copy.RUNNING
                ][0]
                parts.append(_guest(x, place, guest, look, letters))
        self.drawing = svg(WIDTH, _HIGH + 20, "Two hosts and their guests", *parts)

    def describe(self) -> str:
        """Return the guests of each host."""
        return "\n".join(
            f"{host}: {', '.join(name for name, _ in guests) or 'no guest'}"
            for host, guests in self._rows.items()
        )

    def picture(self) -> str:
        """Return the drawing as it stands."""
        return f"<h3>{self.title}</h3>{self.drawing}"


def _guests(host: Commands) -> Sequence[tuple[str, str]]:
    from xenlab.domains import table

    return [(row.name, row.letters) for row in table.read(host.xl("list")) if row.id]
