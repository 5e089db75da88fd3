"""A container on the page: what a process sees of its system, step by step, beside what the host sees."""

from __future__ import annotations

import html
from pathlib import Path

import traitlets

from xenlab.oslevel.build import Container
from xenlab.oslevel.steps import View
from xenlab.ui.player import PLAYER_JS, Player
from xenlab.ui.widget import source

_HERE = Path(__file__).parent
_ROWS = (
    "who it is",
    "the machine's name",
    "network interfaces",
    "its own number",
    "processes in /proc",
    "files in /",
    "share of a processor",
)


class Building(Player):
    """The building of a container: for each step what the kernel was asked, and what the process sees since.

    >>> from xenlab.oslevel.build import build
    >>> building = Building(build())
    >>> building.step(2).split(":")[0]
    'unshare(CLONE_NEWUTS), sethostname'
    """

    _esm = PLAYER_JS + source(_HERE / "building.js")
    _css = source("theme.css", _HERE / "view.css")
    rows: traitlets.List[str] = traitlets.List(traitlets.Unicode()).tag(sync=True)
    #: What the process sees at each moment, row by row; the first is what it saw on the host.
    views: traitlets.List[list[str]] = traitlets.List().tag(sync=True)
    names: traitlets.List[str] = traitlets.List(traitlets.Unicode()).tag(sync=True)
    #: For each moment: does the model stand in for the kernel?
    simulated: traitlets.List[bool] = traitlets.List(traitlets.Bool()).tag(sync=True)

    def __init__(self, container: Container) -> None:
        captions = ["A process without any right, on the host. Press *Play*, or step."]
        for built in container.steps:
            told = (
                f"the kernel refused here ({built.refused}); what you see is *simulated*"
                if built.refused
                else "done, by the kernel of this machine"
            )
            captions.append(f"`{built.step.calls}`: {told}. Now {built.step.why}.")
        super().__init__(
            captions,
            rows=list(_ROWS),
            views=[_cells(container.host), *(_cells(built.view) for built in container.steps)],
            names=[built.step.name for built in container.steps],
            simulated=[False, *(built.simulated for built in container.steps)],
        )

    def picture(self) -> str:
        """Return what the process saw before the first and after the last step, as a table."""
        rows = "".join(
            f"<tr><th>{name}</th><td>{html.escape(before)}</td><td>{html.escape(now)}</td></tr>"
            for name, before, now in zip(_ROWS, self.views[0], self.views[-1], strict=True)
        )
        steps = "".join(f"<li>{caption}</li>" for caption in self.captions[1:])
        return f"<table><tr><th></th><th>on the host</th><th>in the container</th></tr>{rows}</table><ol>{steps}</ol>"


def _cells(view: View) -> list[str]:
    return [
        "root (uid 0)" if view.uid == 0 else f"uid {view.uid}",
        view.hostname,
        _some(view.interfaces),
        str(view.pid),
        str(view.processes),
        _some(view.files),
        f"{100 * view.cpu:.0f} %",
    ]


def _some(names: tuple[str, ...], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
