"""Make the student's notebook of a master: solutions cut out, hidden checks gone, public checks with their references.

What a student gets is a function of the master alone, byte for byte: a test compares.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import nbformat

from xenlab.grading.evidence import evidence_in
from xenlab.grading.lab import MASTER, BadLab, Lab, Marker, Notebook

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
KEPT = "xenlab"  # the key of a public check's metadata: what is expected, and the check's digest
STUB = "...  # your answer"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def release(lab: Lab) -> Notebook:
    """Return the student's notebook of a lab, whose notebook is a master with its references.

    Raises `BadLab` if an answer cell has no solution that is marked as one, a public check no stored output, or a
    task no check.
    """
    for task in lab.tasks:
        if not task.checks:
            raise BadLab(f"task {task.name!r} has no check: mark one with `# CHECK {task.name} (1 point)`")
    cells = [kept for cell in lab.notebook.cells if (kept := _released(cell)) is not None]
    return nbformat.from_dict({"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5})


def cut(source: str) -> str:
    """Return an answer cell's source with each solution replaced by a stub.

    >>> print(cut("# TASK a\\ndef a():\\n    ### BEGIN SOLUTION\\n    return 1\\n    ### END SOLUTION"))
    # TASK a
    def a():
        ...  # your answer
    """
    pattern = rf"^([ \t]*){BEGIN}\n(?:.*\n)*?[ \t]*{END}[ \t]*$"
    return re.sub(pattern, rf"\1{STUB}", source, flags=re.MULTILINE)


def with_references(lab: Lab, references: dict[str, list[dict[str, Any]]]) -> Notebook:
    """Return a lab's notebook with the outputs of its public checks, and no others."""
    notebook = nbformat.from_dict({**lab.notebook, "metadata": METADATA})
    number = 0
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})
        if cell.cell_type == "code":
            check = lab.checks.get(cell.id)
            public = check is not None and not check.hidden
            number += public
            cell.outputs = nbformat.from_dict(references[cell.id]) if public else []
            cell.execution_count = number if public else None
    return notebook


def source_digest(source: str) -> str:
    """Tell a cell's source from any other.

    >>> source_digest("evidence(1)")
    '5890853ae6e3e00f'
    """
    return hashlib.sha256(source.strip().encode()).hexdigest()[:16]


def stored_references(lab: Lab) -> dict[str, list[dict[str, Any]]]:
    """Return what the public checks in a lab's notebook have stored, by the id of their cells."""
    public = {check.cell for check in lab.checks.values() if not check.hidden}
    return {cell.id: list(cell.outputs) for cell in lab.notebook.cells if cell.id in public}


def student_path(master: Path) -> Path:
    """Where the student's notebook lies: beside the master, with the name of their folder.

    >>> student_path(Path("/labs/02_concepts/master.ipynb")).name
    '02_concepts.ipynb'
    """
    return master.resolve().with_name(f"{master.resolve().parent.name}.ipynb")


def read_master(path: Path) -> Lab:
    """Read a master, or the one in a folder; raises `BadLab` if there is none."""
    master = path / MASTER if path.is_dir() else path
    if not master.exists():
        raise BadLab(f"{master} must be a lab's master notebook, such as labs/02_concepts/{MASTER}")
    return Lab.read(master)


def to_text(notebook: Notebook) -> str:
    """The file's text, always the same for the same notebook."""
    return str(nbformat.writes(notebook)).rstrip("\n") + "\n"


def _released(cell: Any) -> dict[str, Any] | None:
    kept = {"cell_type": cell.cell_type, "id": cell.id, "metadata": {}, "source": cell.source}
    if cell.cell_type != "code":
        return kept
    marker = Marker.of(cell.source)
    kind = marker.kind if marker else ""
    if kind == "HIDDEN":
        return None
    if kind == "TASK":
        kept["source"] = cut(cell.source)
        if kept["source"] == cell.source or END in kept["source"]:
            raise BadLab(
                f"answer cell {cell.id} must have its solution between `{BEGIN}` and `{END}`, each on its own line"
            )
    if kind == "CHECK" and not cell.outputs:
        raise BadLab(
            f"check {cell.id} has no stored reference: `xenlab release` runs the master and stores them"
        )
    if kind == "CHECK":
        kept["metadata"] = {
            KEPT: {"evidence": evidence_in(cell.outputs), "source": source_digest(cell.source)}
        }
    outputs = [dict(output) for output in cell.outputs] if kind == "CHECK" else []
    return {**kept, "outputs": outputs, "execution_count": cell.execution_count if kind == "CHECK" else None}
