"""The chapters: how long a reader waits for a whole one, on the simulator."""

from __future__ import annotations

import os
import time

import nbformat
from nbclient import NotebookClient

from bench.row import Row

CHAPTERS = sorted(
    os.path.join("chapters", name) for name in os.listdir("chapters") if name.endswith(".ipynb")
)
LIMIT = 20  # seconds


def rows() -> list[Row]:
    """Run each chapter once, its kernel's start included."""
    os.environ["XENLAB_HOST"] = "sim"
    return [
        Row(f"{name} from top to bottom, simulated host", (_seconds(name),), "s", LIMIT) for name in CHAPTERS
    ]


def _seconds(name: str) -> float:
    notebook = nbformat.read(name, as_version=4)
    client = NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": "chapters"}}
    )
    begin = time.perf_counter()
    client.execute()
    return time.perf_counter() - begin
