"""Write what students get of a lab: run the master, store what its public checks show, cut the student's notebook."""

from __future__ import annotations

from pathlib import Path

from xenlab.grading import sandbox as sandboxes
from xenlab.grading.jail import Limits
from xenlab.grading.lab import Lab
from xenlab.grading.rebuild import with_seeds
from xenlab.grading.references import references
from xenlab.grading.release import read_master, release, student_path, to_text, with_references
from xenlab.grading.seeds import EXAMPLE


def publish(path: Path, limits: Limits | None = None) -> Path:
    """Release a lab, given its folder or its master; returns the path of the student's notebook.

    The master keeps the outputs of its public checks. Raises `BadLab` if the master does not run, or breaks a rule.
    """
    lab = read_master(path)
    found = references(lab, with_seeds(lab, EXAMPLE), sandboxes.best(), limits or Limits(), None)
    master = path / "master.ipynb" if path.is_dir() else path
    notebook = with_references(lab, found)
    student = release(Lab.of(lab.name, notebook))
    master.write_text(to_text(notebook))
    student_path(master).write_text(to_text(student))
    return student_path(master)
