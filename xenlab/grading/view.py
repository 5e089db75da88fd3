"""The check button of a lab's notebook."""

from __future__ import annotations

import html
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import ipywidgets

from xenlab.commands import XenlabError

_COMMAND = "from xenlab.cli import app; app()"
_WRAPPED = "white-space: pre-wrap; word-break: normal; overflow-wrap: anywhere"
_SAVE = "Save the notebook first (Ctrl+S): the file does not hold what you ran last."


class CheckButton(ipywidgets.VBox):  # type: ignore[misc]
    """A button that runs the public checks of this notebook, as it is saved, the way the grader runs them.

    `notebook` is the notebook's file; without it, it is the one that the kernel was started for.

    >>> CheckButton("02_concepts.ipynb")
    A button that checks 02_concepts.ipynb; without a front end: `xenlab check 02_concepts.ipynb`
    """

    def __init__(self, notebook: str | Path | None = None) -> None:
        self._notebook = notebook
        self._button = ipywidgets.Button(description="Check", icon="check", tooltip="Run the public checks")
        self._button.on_click(lambda _: self.press())
        self._said = ipywidgets.HTML()
        super().__init__([self._button, self._said])

    def press(self) -> str:
        """Run the checks, show what they say, and return it."""
        self._button.disabled = True
        self._show("checking …")
        try:
            text = run_checks(self._notebook)
        except (XenlabError, OSError) as error:
            text = str(error)
        finally:
            self._button.disabled = False
        self._show(text)
        return text

    def _show(self, text: str) -> None:
        self._said.value = f'<pre role="status" style="{_WRAPPED}">{html.escape(text)}</pre>'

    def __repr__(self) -> str:
        name = self._notebook or "this notebook"
        file = self._notebook or "NOTEBOOK"
        return f"A button that checks {name}; without a front end: `xenlab check {file}`"


def run_checks(notebook: str | Path | None = None) -> str:
    """Check a notebook, or the one this kernel was started for, in a process of its own; return what to say.

    Raises `XenlabError` if there is no such notebook, or it is none of a lab.
    """
    # Imported here, because it brings the whole grader with it, nbval and all.
    from xenlab.grading.check import as_text, unsaved
    from xenlab.grading.results import Result

    path = _find(notebook)
    if unsaved(path, _cells_run()):
        return _SAVE
    done = subprocess.run(
        [sys.executable, "-c", _COMMAND, "check", "--json", str(path)], capture_output=True, text=True
    )
    if done.returncode:
        raise XenlabError(done.stderr.strip() or "the checks could not be run")
    return as_text(Result.from_json(json.loads(done.stdout)))


def _find(notebook: str | Path | None) -> Path:
    """Return the notebook's file: JupyterLab tells its kernels which one they are for."""
    session = os.environ.get("JPY_SESSION_NAME", "")
    path = Path(notebook or session or "unknown")
    if path.suffix != ".ipynb" or not path.exists():
        raise XenlabError(f"notebook(={str(path)!r}) must be this notebook's file: CheckButton('NAME.ipynb')")
    return path


def _cells_run() -> Iterable[str]:
    """The sources of the cells that were run in this kernel, in their order."""
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()
    return [] if shell is None else list(shell.user_ns.get("In", []))
