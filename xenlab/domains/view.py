"""Domains on the page: a dashboard over a host, and a domain's life played step by step."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import traitlets

from xenlab.commands import XenlabError
from xenlab.domains import table
from xenlab.domains.diagram import draw, label
from xenlab.domains.model import EVENTS, Actor, Life, State, event_of
from xenlab.ui.figure import show
from xenlab.ui.player import PLAYER_JS, Player
from xenlab.ui.theme import PALETTE, figures
from xenlab.ui.transcript import Entry, Transcript, as_rows
from xenlab.ui.widget import Widget, source

if TYPE_CHECKING:
    import pandas as pd

_HERE = Path(__file__).parent

#: Where the dashboard's Save button puts a domain's image, in dom0.
IMAGES = "/var/lib/xenlab"


#: A guest's life from beginning to end, with a bit of everything that can be shown in a minute.
A_LIFE = (
    *("create", "run", "preempt", "run", "block", "wake", "run"),
    *("pause", "unpause", "run", "shutdown", "obey", "clean up", "free"),
)


class LifeStory(Player):
    """A domain's life as a picture that plays: the diagram of states, lit as events happen one after another.

    `events` are names in `model.EVENTS`. Nothing runs: this is the model of a domain, so it also shows what
    passes too fast to be seen on a host. Raises `XenlabError` at the first event that cannot happen.

    >>> LifeStory("create", "run", "pause").step(3)
    'xl pause: Xen raises the pause count; no vCPU is given a processor. xl list now shows --p--- (paused).'
    """

    _esm = PLAYER_JS + source(_HERE / "diagram.js", _HERE / "story.js")
    svg = traitlets.Unicode(draw()).tag(sync=True)
    states: traitlets.List[str] = traitlets.List(traitlets.Unicode()).tag(sync=True)
    events: traitlets.List[str] = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(self, *events: str) -> None:
        lives = [Life()]
        for event in events:
            lives.append(lives[-1].after(event))
        captions = ["No domain yet. Press *Play*, or step with the arrow keys."]
        captions += [_caption(event, life) for event, life in zip(events, lives[1:], strict=True)]
        super().__init__(captions, states=[life.state.value for life in lives], events=["", *events])

    def picture(self) -> str:
        """Return the diagram as it stands at this moment, and every step in words."""
        moment = int(self.moment)
        steps = "".join(f"<li>{caption}</li>" for caption in self.captions)
        return draw(State(self.states[moment]), self.events[moment]) + f"<ol>{steps}</ol>"


def _caption(event: str, life: Life) -> str:
    actor = EVENTS[event].actor
    what = f"`xl {event}`" if actor is Actor.XL else f"{actor[0].upper()}{actor[1:]}, *{event}*"
    listed = f"`{life.letters}`" if life.letters else "no such domain"
    return f"{what}: {EVENTS[event].note} `xl list` now shows {listed} ({label(life.state)})."


def show_time(used: pd.Series[float], seconds: float, simulated: bool) -> None:
    """Show as bars how much processor time each domain used within some seconds.

    `used` holds seconds of processor time by domain; `simulated` says whether a model or a real Xen gave
    them.
    """
    import matplotlib.pyplot as plt

    how = f"within {seconds:.1f} seconds ({'simulated' if simulated else 'measured'})"
    with figures():
        figure, axis = plt.subplots(figsize=(7.2, 1.1 + 0.4 * len(used)))
        bars = axis.barh(list(used.index), list(used), color=PALETTE["blue"], height=0.55)
        axis.bar_label(bars, fmt=" %.1f s")
        axis.set(
            xlim=(0, 1.15 * max(seconds, used.max())), xlabel="seconds of processor time", title=f"Used {how}"
        )
        axis.grid(axis="y", visible=False)
        told = ", ".join(f"{name} {time:.1f}" for name, time in used.items())
        show(figure, f"Seconds of processor time used {how}: {told}.")


class Domain(Protocol):
    """What the dashboard's buttons do to a domain."""

    def pause(self) -> object: ...  # noqa: D102
    def unpause(self) -> object: ...  # noqa: D102
    def shutdown(self) -> object: ...  # noqa: D102
    def reboot(self) -> object: ...  # noqa: D102
    def destroy(self) -> object: ...  # noqa: D102
    def save(self, path: str) -> object: ...  # noqa: D102


class Host(Protocol):
    """What the dashboard asks of a host."""

    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def simulated(self) -> bool: ...  # noqa: D102
    @property
    def transcript(self) -> Transcript: ...  # noqa: D102
    def xl(self, *args: str) -> str: ...  # noqa: D102
    def create(self, *, name: str, memory: int, vcpus: int, type: str, workload: str) -> object: ...  # noqa: D102
    def restore(self, path: str) -> object: ...  # noqa: D102
    def wait(self, seconds: float) -> None: ...  # noqa: D102
    def __getitem__(self, name: str) -> Domain: ...


#: The buttons that act on the selected domain: their name, and what they call.
ON_DOMAIN: Mapping[str, Callable[[Domain, str], object]] = {
    "pause": lambda domain, _: domain.pause(),
    "unpause": lambda domain, _: domain.unpause(),
    "save": lambda domain, name: domain.save(image_of(name)),
    "reboot": lambda domain, _: domain.reboot(),
    "shutdown": lambda domain, _: domain.shutdown(),
    "destroy": lambda domain, _: domain.destroy(),
}


def image_of(name: str) -> str:
    """Return the path, in dom0, that the Save button writes this domain to.

    >>> image_of("web")
    '/var/lib/xenlab/web.save'
    """
    return f"{IMAGES}/{name}.save"


#: Which of them a domain in this state gives an answer to; Domain-0 has none.
SENSIBLE: Mapping[State, tuple[str, ...]] = {
    **dict.fromkeys(
        (State.RUNNING, State.RUNNABLE, State.BLOCKED), ("pause", "save", "reboot", "shutdown", "destroy")
    ),
    State.PAUSED: ("pause", "unpause", "destroy"),
    State.SHUTDOWN: ("destroy",),
    State.CRASHED: ("destroy",),
    State.DYING: (),
}


class Dashboard(Widget):
    """The domains of a host with their states, buttons that act on them, and the commands these run.

    The table is whatever `xl list` printed last, for a button, for a cell, or for the page, which asks
    every few seconds while it is in view and the kernel is idle. A command that fails leaves everything as
    it is and says why. A button can be pressed from Python too: `dashboard.press("pause", "web")`.
    """

    needs_kernel = ":scope"
    _esm = source("parts.js", "transcript.js", _HERE / "diagram.js", _HERE / "dashboard.js")
    _css = source("theme.css", _HERE / "dashboard.css")

    svg = traitlets.Unicode(draw()).tag(sync=True)
    where = traitlets.Unicode().tag(sync=True)
    simulated = traitlets.Bool().tag(sync=True)
    #: One dict a domain: what `table.Row` holds, the word for its state, the buttons that make sense for it.
    domains: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    #: Images saved on this host so far: the domain's name, and the file's path in dom0.
    images: traitlets.Dict[str, str] = traitlets.Dict().tag(sync=True)
    selected = traitlets.Unicode("").tag(sync=True)
    #: State of the selected domain and the last event in its life: what the diagram lights.
    state = traitlets.Unicode("").tag(sync=True)
    event = traitlets.Unicode("").tag(sync=True)
    #: What is being done; empty when idle.
    busy = traitlets.Unicode("").tag(sync=True)
    #: What to tell the reader about the last button: {"failed": bool, "text": str}.
    message: traitlets.Dict[str, Any] = traitlets.Dict({"failed": False, "text": ""}).tag(sync=True)
    rows: traitlets.List[dict[str, object]] = traitlets.List().tag(sync=True)

    def __init__(self, host: Host) -> None:
        self._host = host
        self._creating = False
        super().__init__(simulated=host.simulated, where=host.kind)
        for entry in host.transcript:
            self._note_image(entry)
        self.until_closed(host.transcript.subscribe(self._heard))
        self.on_msg(self._asked)
        self.observe(lambda _: self._light(""), "selected")
        self.press("refresh")

    def press(self, button: str, name: str = "", **fields: Any) -> str:
        """Do what a button does, to domain `name` where it acts on one; return the message it leads to.

        Buttons: create (fields name, memory, vcpus, type, workload), pause, unpause, save, restore, reboot,
        shutdown, destroy, and wait and refresh (field seconds: let so much time pass first). An error
        becomes the message and is not raised: the reader pressed a button, and everything is as it was.
        """
        ran: list[Entry] = []
        unsubscribe = self._host.transcript.subscribe(ran.append)
        if button != "refresh":
            self.busy = f"{button} {name}".strip()
        try:
            error = self._attempt(lambda: self._act(button, name, fields))
            unlisted = self._attempt(lambda: self._host.xl("list"))
        finally:
            unsubscribe()
            self.busy = ""
        if error or unlisted:
            self.message = {"failed": True, "text": error or unlisted}
        elif button != "refresh":
            lines = [f"`{entry.command_line}`" for entry in ran if event_of(entry.argv)]
            self.message = {"failed": False, "text": f"Ran {', then '.join(lines)}" if lines else "Done."}
        return str(self.message["text"])

    def _asked(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        before = self.message
        self.press(**content)
        failed = self.message is not before and self.message["failed"]
        self.send({"done": content["button"], "failed": failed})

    @staticmethod
    def _attempt(action: Callable[[], object]) -> str | None:
        try:
            action()
        except (XenlabError, ValueError, OSError) as error:
            return str(error)
        return None

    def _act(self, button: str, name: str, fields: dict[str, Any]) -> None:
        if button == "create":
            fields["memory"], fields["vcpus"] = _whole("memory", fields), _whole("vcpus", fields)
            self._host.create(name=name, **fields)
        elif button == "restore":
            if name not in self.images:
                raise XenlabError(f"name(={name!r}) must be one that was saved: {', '.join(self.images)}")
            self._host.restore(self.images[name])
        elif button in ("wait", "refresh"):
            self._host.wait(fields.get("seconds", 0))
        elif button in ON_DOMAIN:
            ON_DOMAIN[button](self._host[name], name)
        else:
            buttons = ", ".join(["create", *ON_DOMAIN, "restore", "wait", "refresh"])
            raise XenlabError(f"button(={button!r}) must be one of: {buttons}")

    def _heard(self, entry: Entry) -> None:
        """Take in a command that somebody ran: a button here, or a cell anywhere in the notebook."""
        self.rows = [
            # What xl list printed is the table beside the transcript, where it is easier to read.
            {**row, "stdout": "", "note": "see the table"} if row["command"] == "xl list" else row
            for row in as_rows(self._host.transcript)
        ]
        if entry.status != 0:
            return
        self._note_image(entry)
        if list(entry.argv) == ["xl", "list"]:
            self._listed(table.read(entry.stdout))
        elif moved := event_of(entry.argv):
            event, name = moved
            self._creating = event in ("create", "create -p", "restore")
            if self._creating or name in (self.selected, self._number()):
                self._light(event)

    def _note_image(self, entry: Entry) -> None:
        if list(entry.argv[:2]) == ["xl", "save"] and entry.status == 0:
            name, path = [word for word in entry.argv[2:] if not word.startswith("-")][:2]
            self.images = {**self.images, name: path}

    def _listed(self, rows: list[table.Row]) -> None:
        known, number = {domain["name"] for domain in self.domains}, self._number()
        event = self.event
        self.domains = [
            {
                "name": row.name,
                "id": row.id,
                "memory": row.memory,
                "vcpus": row.vcpus,
                "letters": row.letters,
                "seconds": row.seconds,
                "state": row.state.value,
                "buttons": list(SENSIBLE[row.state]) if row.id else [],
            }
            for row in rows
        ]
        guests = [row.name for row in rows if row.id]
        new = [name for name in guests if name not in known]
        renamed = [row.name for row in rows if str(row.id) == number and self.selected not in guests]
        if self._creating and new:
            self.selected, self._creating = new[-1], False
        elif renamed:
            self.selected = renamed[0]
        elif not self.selected and guests:
            self.selected = guests[0]
        self._light(event)

    def _number(self) -> str:
        return next((str(d["id"]) for d in self.domains if d["name"] == self.selected), "")

    def _light(self, event: str) -> None:
        gone = State.SAVED if self.selected in self.images else State.ABSENT
        here = [domain["state"] for domain in self.domains if domain["name"] == self.selected]
        self.state = here[0] if here else gone.value
        self.event = event

    def describe(self) -> str:
        """Return the domains as `xl list` printed them last."""
        fields = ("name", "id", "memory", "vcpus", "letters", "seconds")
        listed = table.write(table.Row(**{key: domain[key] for key in fields}) for domain in self.domains)
        note = " (simulated)" if self.simulated else ""
        return f"Domains on {self.where}{note}, as xl list printed them last:\n{listed.rstrip()}"

    def picture(self) -> str:
        """Return that table, and the diagram lit for the selected domain."""
        return f"<pre>{html.escape(self.describe())}</pre>{draw(State(self.state), self.event)}"


def _whole(field: str, fields: Mapping[str, Any]) -> int:
    value = fields.get(field)
    try:
        return int(str(value))
    except ValueError:
        raise XenlabError(f"{field}(={value}) must be a whole number, such as 1 or 128") from None
