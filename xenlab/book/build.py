"""Build the site: run the chapters, read the labs, make their pages, and the pages about all of them.

The site needs no server and asks no other host for anything: it can be opened from a disk.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from xenlab.book.execute import execute_all, light_nbformat
from xenlab.book.glossary import terms
from xenlab.book.site import Leaf, Site
from xenlab.commands import XenlabError

STATIC = Path(__file__).with_name("static")


@dataclass(frozen=True)
class Built:
    """What was built: where, how many pages, how many bytes in all."""

    out: Path
    pages: int
    size: int


def build(out: Path, book: Path, told: Callable[[str], None] = lambda line: None) -> Built:
    """Build the site in `out`, whose former contents go, from the clone of the book in `book`.

    Chapters are run; a lab's page is what its students get, and they have yet to answer. `told` hears a line about
    each chapter. Raises `XenlabError` where there is no book, or where `out` holds something else.
    """
    chapters = sorted((book / "chapters").glob("[0-9]*.ipynb"))
    labs = sorted((book / "labs").glob("[0-9]*/[0-9]*.ipynb"))
    if not chapters:
        raise XenlabError(f"book(={book}) must be a clone of xenlab; it has no chapters/")
    if out.exists() and any(out.iterdir()) and not (out / "assets" / "book.css").exists():
        raise XenlabError(f"out(={out}) must be empty or a site built before; name another folder")
    runs = execute_all(chapters, told=told)
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(STATIC, out / "assets")
    for path in [*chapters, *labs]:
        copy = out / "notebooks" / path.relative_to(book)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    leaves = [Leaf.of(run.name, run.notebook, f"chapters/{run.name}.ipynb", run) for run in runs]
    Site(out, leaves, [_lab(path) for path in labs], terms()).write()
    files = [path for path in out.rglob("*") if path.is_file()]
    return Built(
        out,
        sum(path.suffix == ".html" for path in files),
        sum(path.stat().st_size for path in files),
    )


def _lab(path: Path) -> Leaf:
    light_nbformat()
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    return Leaf.of(f"labs/{path.stem}", notebook, f"labs/{path.parent.name}/{path.name}")
