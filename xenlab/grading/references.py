"""What the checks of a lab print under the master's own solutions: what a submission is compared with."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from xenlab.grading.engine import Work, run
from xenlab.grading.jail import Limits
from xenlab.grading.judge import Outputs
from xenlab.grading.lab import BadLab, Lab, Notebook
from xenlab.grading.results import State
from xenlab.grading.sandbox import Sandbox

_seen: dict[str, dict[str, Outputs]] = {}


def references(
    lab: Lab, notebook: Notebook, sandbox: Sandbox, limits: Limits, cache: Path | None
) -> dict[str, Outputs]:
    """Return what each check of a lab prints in a notebook of the lab's own, by cell id.

    The notebook is run in the sandbox, as a submission is, once for each text of it: its seeds are in it. `cache` is a
    folder, which no submission can read, for what was found. Raises `BadLab` if a check of the lab's own does not pass.
    """
    key = _digest(notebook)
    if key not in _seen:
        file = None if cache is None else cache / f"{key}.json"
        if file is not None and file.exists():
            _seen[key] = json.loads(file.read_text())
        else:
            _seen[key] = _found(lab, notebook, sandbox, limits)
            if file is not None:
                _keep(file, json.dumps(_seen[key]))
    return _seen[key]


def _digest(notebook: Notebook) -> str:
    sources = [(cell.id, cell.source) for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()


def _found(lab: Lab, notebook: Notebook, sandbox: Sandbox, limits: Limits) -> dict[str, Outputs]:
    outcomes = run(Work(notebook), sandbox, limits)
    for cell, outcome in outcomes.items():
        if outcome.state is not State.PASS:
            raise BadLab(
                f"lab {lab.name}: cell {cell} of the master ends as {outcome.state}: {outcome.message}"
            )
    return {cell: outcomes[cell].got for cell in lab.checks}


def _keep(file: Path, text: str) -> None:
    """Write a file that is there as a whole or not at all, for its owner alone."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = file.with_suffix(f".{os.getpid()}")
    part.touch(mode=0o600)
    part.write_text(text)
    part.replace(file)
