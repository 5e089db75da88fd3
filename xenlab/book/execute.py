"""Run the book's notebooks on the simulator, and keep everything that they show.

What ran before is taken from the user's cache, as long as neither the notebook nor the package has changed.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import platformdirs

PACKAGE = Path(__file__).parents[1]
#: Where a notebook that has run keeps the times it took, in its metadata.
TIMES = "xenlab"
#: How long a run stays in the cache, in seconds: a week.
KEEP = 7 * 24 * 3600


@dataclass(frozen=True)
class Executed:
    """A notebook that has run: its file's stem, the notebook with all outputs and widgets, and the times it took.

    `seconds` is the whole run with the start of its kernel, `slowest` the longest cell, both in seconds.
    """

    name: str
    notebook: Any
    seconds: float
    slowest: float

    @property
    def cells(self) -> int:
        """How many cells of code it has."""
        return sum(cell.cell_type == "code" for cell in self.notebook.cells)


def execute_all(
    paths: Iterable[Path], *, workers: int = 2, told: Callable[[str], None] = lambda line: None
) -> list[Executed]:
    """Run the notebooks, `workers` at a time, and return them in the given order.

    `told` hears a line about each. Raises nbclient's `CellExecutionError` where a cell fails.
    """
    paths, package = list(paths), _hash_of_package()

    def one(path: Path) -> Executed:
        cached = _place(path, package)
        found = cached.exists()
        if not found:
            _run(path, cached)
        done = _read(path.stem, cached)
        told(f"{done.seconds:5.1f} s  {path.stem}{' (from the cache)' if found else ''}")
        return done

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(one, paths))


def light_nbformat() -> None:
    """Let nbformat be imported in 0.4 s, not 3.5 s: jsonschema else builds a grammar of IRIs (jsonschema#1428)."""
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]


def _hash_of_package() -> str:
    """Name what a notebook's outputs depend on: the package's files (this subpackage excepted) and Python."""
    digest = hashlib.sha256(platform.python_version().encode())
    here = Path(__file__).parent
    for file in sorted(PACKAGE.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts and here not in file.parents:
            digest.update(str(file.relative_to(PACKAGE)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _place(path: Path, package: str) -> Path:
    name = hashlib.sha256(package.encode() + path.read_bytes()).hexdigest()[:32]
    return platformdirs.user_cache_path("xenlab") / "book" / f"{path.stem}-{name}.ipynb"


def _run(path: Path, cached: Path) -> None:
    light_nbformat()
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        record_timing=True,
        store_widget_state=True,
        coalesce_streams=True,
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        resources={"metadata": {"path": str(path.parent)}},
    )
    start = time.monotonic()
    # Not client.execute(), which leaves its event loop open in each thread that has run a notebook.
    asyncio.run(client.async_execute(env={**os.environ, "XENLAB_HOST": "sim"}))
    seconds = time.monotonic() - start
    slowest = max((_seconds_of(cell) for cell in notebook.cells), default=0.0)
    notebook.metadata[TIMES] = {"seconds": seconds, "slowest": slowest}
    cached.parent.mkdir(parents=True, exist_ok=True)
    _forget_old(cached.parent)
    half = cached.with_suffix(f".{os.getpid()}")
    nbformat.write(notebook, half)
    half.replace(cached)


def _forget_old(folder: Path) -> None:
    for older in folder.iterdir():
        if older.stat().st_mtime < time.time() - KEEP:
            older.unlink(missing_ok=True)


def _seconds_of(cell: Any) -> float:
    told = cell.metadata.get("execution", {})
    begun, done = (told.get(f"iopub.status.{state}") for state in ("busy", "idle"))
    if begun is None or done is None:
        return 0.0
    return (datetime.fromisoformat(done) - datetime.fromisoformat(begun)).total_seconds()


def _read(name: str, cached: Path) -> Executed:
    light_nbformat()
    import nbformat

    notebook = nbformat.read(cached, as_version=4)
    times = notebook.metadata[TIMES]
    return Executed(name, notebook, times["seconds"], times["slowest"])
