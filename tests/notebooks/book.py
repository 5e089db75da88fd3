"""The book's notebooks: where they are, and the rule by which they keep their outputs.

Run as a program it executes notebooks on the simulator and stores what the rule keeps:

    python tests/notebooks/book.py [chapters/10_domains.ipynb …]

The rule: a cell marked ``# NBVAL_CHECK_OUTPUT`` keeps its output, for nbval to compare; every other cell is
stripped.
"""

import sys
from pathlib import Path

import early  # noqa: F401  before nbformat is imported
import nbformat

from xenlab.book.execute import Executed, execute_all

ROOT = Path(__file__).resolve().parents[2]
MARKER = "# NBVAL_CHECK_OUTPUT"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def chapters() -> list[Path]:
    """The chapters, in order."""
    return sorted((ROOT / "chapters").glob("[0-9]*.ipynb"))


def is_marked(cell: nbformat.NotebookNode) -> bool:
    """Is this a code cell whose output nbval compares?"""
    return cell.cell_type == "code" and MARKER in cell.source.splitlines()


def strip(notebook: nbformat.NotebookNode) -> None:
    """Take out whatever the rule does not keep."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict(
            {k: v for k, v in cell.metadata.items() if k in ("tags", "jupyter")}
        )
        if cell.cell_type == "code" and not is_marked(cell):
            cell.outputs, cell.execution_count = [], None


def store(run: Executed, path: Path) -> None:
    """Write a notebook that has run back to its file, by the rule."""
    strip(run.notebook)
    nbformat.validate(run.notebook)
    nbformat.write(run.notebook, path)


if __name__ == "__main__":
    paths = [Path(name).resolve() for name in sys.argv[1:]] or chapters()
    for run, path in zip(execute_all(paths, told=print), paths, strict=True):
        store(run, path)
