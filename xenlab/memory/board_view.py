"""A host's memory on the page: every frame of the machine by its owner, and a slider for what each guest shall have."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import traitlets

from xenlab.commands import Commands, XenlabError
from xenlab.memory.driver import Memory
from xenlab.memory.frames import FREE
from xenlab.ui.transcript import Transcript, as_rows
from xenlab.ui.widget import Widget, source

_HERE = Path(__file__).parent

#: Frames in a square: 1 MiB.
SQUARE = 256


class Host(Commands, Protocol):
    """What the board asks of a host."""

    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def simulated(self) -> bool: ...  # noqa: D102
    @property
    def transcript(self) -> Transcript: ...  # noqa: D102


class MemoryBoard(Widget):
    """The machine's frames coloured by owner, a row for each domain, and sliders that run `xl mem-set`.

    A square is 1 MiB and has the letter of the domain that has most of it. The frames are read with `xen-mfndump` when
    something has changed. A command that fails leaves everything as it is and says why. A slider can be moved from
    Python too: ``board.press("mem-set", "web", 96)``.
    """

    needs_kernel = ":scope"
    _esm = source("parts.js", "transcript.js", _HERE / "board.js")
    _css = source("theme.css", _HERE / "board.css")

    where = traitlets.Unicode().tag(sync=True)
    simulated = traitlets.Bool().tag(sync=True)
    #: A dict for each domain: name, letter, has, target, static_max (MiB, or None).
    domains: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    #: The letter of each square, "." where no domain has it.
    squares = traitlets.Unicode().tag(sync=True)
    free = traitlets.Int().tag(sync=True)
    busy = traitlets.Unicode("").tag(sync=True)
    message: traitlets.Dict[str, Any] = traitlets.Dict({"failed": False, "text": ""}).tag(sync=True)
    rows: traitlets.List[dict[str, object]] = traitlets.List().tag(sync=True)

    def __init__(self, host: Host) -> None:
        self._host, self._memory, self._acts = host, Memory(host), False
        super().__init__(where=host.kind, simulated=host.simulated)
        self.until_closed(host.transcript.subscribe(lambda _: self._heard()))
        self.on_msg(self._asked)
        self.press("refresh")

    def press(self, button: str, name: str = "", mebibytes: int = 0, seconds: float = 0) -> str:
        """Do what a button does; return the message it leads to.

        Buttons: mem-set (name, mebibytes), and wait and refresh, which let some seconds pass first. An error becomes
        the message and is not raised.
        """
        if button != "refresh":
            self.busy = f"{button} {name}".strip()
        with self.hold_sync():  # what comes of it reaches the page as one message, and is drawn once
            try:
                self._acts = True
                error = _attempt(lambda: self._act(button, name, mebibytes, seconds)) or _attempt(self._look)
            finally:
                self._acts = False
                self.busy = ""
                self._heard()
            if error:
                self.message = {"failed": True, "text": error}
            elif button == "mem-set":
                self.message = {"failed": False, "text": f"Ran `xl mem-set {name} {mebibytes}m`"}
        return str(self.message["text"])

    def _act(self, button: str, name: str, mebibytes: int, seconds: float) -> None:
        if button == "mem-set":
            self._memory.set_target(name, mebibytes)
        elif button in ("wait", "refresh"):
            self._host.wait(seconds)
        else:
            raise XenlabError(f"button(={button!r}) must be one of: mem-set, wait, refresh")

    def _asked(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        self.press(**content)
        self.send({"done": content["button"]})

    def _look(self) -> None:
        shares = self._memory.shares()
        had = {domain["name"]: domain["has"] for domain in self.domains}
        letters = _letters({share.name: share.id for share in shares})
        self.free = self._memory.free()
        if {share.name: share.has for share in shares} != had:
            of_id = {share.id: letters[share.name] for share in shares} | {FREE: "."}
            self.squares = _squares(self._memory.owners(), of_id)
        self.domains = [
            {
                "name": share.name,
                "letter": letters[share.name],
                "guest": share.id > 0,
                "has": share.has,
                "target": None if share.target is None else int(share.target),
                "static_max": None if share.static_max is None else int(share.static_max),
            }
            for share in shares
        ]

    def _heard(self) -> None:
        if self._acts:
            return  # all that a button runs is shown together
        self.rows = [
            {**row, "stdout": "", "note": "looked at"} if _is_a_look(str(row["command"])) else row
            for row in as_rows(self._host.transcript)
        ]

    def describe(self) -> str:
        """Return what each domain has, shall have and may have."""
        lines = [
            f"Memory of {self.where}{' (simulated)' if self.simulated else ''}, MiB; {self.free} are free:"
        ]
        for domain in self.domains:
            target = "" if domain["target"] is None else f", target {domain['target']}"
            most = "" if domain["static_max"] is None else f" of at most {domain['static_max']}"
            lines.append(f"  {domain['letter']}  {domain['name']} has {domain['has']}{target}{most}")
        return "\n".join(lines)

    def picture(self) -> str:
        """Return the squares as letters, and what each domain has."""
        rows = "\n".join(self.squares[at : at + 64] for at in range(0, len(self.squares), 64))
        return f"<pre>{html.escape(rows)}</pre><pre>{html.escape(self.describe())}</pre>"


def _attempt(action: Callable[[], object]) -> str | None:
    try:
        action()
    except (XenlabError, ValueError, OSError) as error:
        return str(error)
    return None


def _letters(numbers: Mapping[str, int]) -> dict[str, str]:
    """A letter for each domain: 0 for dom0, else its name's first one that is still to be had, else its number's.

    >>> _letters({"Domain-0": 0, "web": 1, "worker": 2})
    {'Domain-0': '0', 'web': 'w', 'worker': 'o'}
    """
    taken: dict[str, str] = {}
    for name, number in numbers.items():
        wanted = [*name, str(number)[-1]] if number else ["0"]
        taken[name] = next((each for each in wanted if each not in taken.values()), "?")
    return taken


def _squares(owners: np.ndarray[Any, np.dtype[np.int32]], letters: Mapping[int, str]) -> str:
    """The letter of the owner of most frames of each square.

    >>> _squares(np.repeat(np.array([0, -1, 3], dtype=np.int32), [300, 200, 12]), {0: "0", -1: ".", 3: "w"})
    '0.'
    """
    ids = np.array(sorted(letters))
    padded = np.append(owners, np.full(-len(owners) % SQUARE, FREE)).reshape(-1, SQUARE)
    counts = np.stack([np.count_nonzero(padded == each, axis=1) for each in ids])
    return "".join(letters[int(ids[index])] for index in counts.argmax(axis=0))


def _is_a_look(command: str) -> bool:
    return command.startswith(("xl list", "xl domid", "xl info", "xentop", "xen-mfndump", "xenstore-ls"))
