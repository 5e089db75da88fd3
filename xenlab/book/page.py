"""A notebook that has run, as the inside of a page: its HTML, its sections, and what its widgets need."""

from __future__ import annotations

import copy
import functools
import itertools
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xenlab.book.execute import light_nbformat

HERE = Path(__file__).parent
MARKER = "# NBVAL_CHECK_OUTPUT"


@dataclass(frozen=True)
class Section:
    """A part of a page: its heading, the slide's title in Portuguese beside it ("" if none), where it is, its text."""

    anchor: str
    level: int
    title: str
    portuguese: str
    text: str


@dataclass(frozen=True)
class Page:
    """A notebook as HTML: its title, the slide's title, the sections from top to bottom, and the HTML itself."""

    name: str
    title: str
    slide: str
    sections: tuple[Section, ...]
    html: str


def render(name: str, notebook: Any, binder: str) -> Page:
    """Turn a notebook into a page.

    Args:
        name: The file's stem, as `10_domains`.
        notebook: The notebook, with its outputs; it is left as it is.
        binder: The address at which it opens with a kernel.

    """
    from bs4 import BeautifulSoup

    body, _ = _exporter().from_notebook_node(_for_readers(notebook), resources={"binder": binder})
    soup: Any = BeautifulSoup(body, "html.parser")
    _give_anchors(soup)
    _mark_portuguese(soup)
    _mend_tables(soup)
    for paragraph in soup.select(".prose > p"):
        if (first := paragraph.find("strong")) and first.get_text().startswith("Before you"):
            paragraph["class"] = "question"
    title, slide = soup.h1.get_text(), soup.h1.find_next("p").get_text()
    return Page(name, title, slide, tuple(_sections(soup)), str(soup))


@functools.cache
def _exporter() -> Any:
    light_nbformat()
    from xenlab.book.exporter import Exporter

    return Exporter()


def _for_readers(notebook: Any) -> Any:
    """Take out what is for tests, and put each figure's printed description under it, where it is a caption."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = cell.source.removeprefix(MARKER).lstrip("\n")
            _captions(cell.outputs)
            cell.outputs = [each for each in cell.outputs if each.output_type != "stream" or each.text]
    return notebook


def _captions(outputs: list[Any]) -> None:
    for figure, printed in itertools.pairwise(outputs):
        alt = figure.get("metadata", {}).get("image/png", {}).get("alt")
        if alt and printed.output_type == "stream" and printed.text.startswith(alt):
            figure.metadata["caption"] = True
            printed.text = printed.text.removeprefix(alt).removeprefix("\n")


def _give_anchors(soup: Any) -> None:
    """A heading is found under its cell's id; a second one in a cell under its own words."""
    for prose in soup.select(".prose"):
        headings = prose.find_all(re.compile("^h[1-6]$"))
        (headings[0] if headings else prose)["id"] = prose["data-cell"]
        for heading in headings[1:]:
            heading["id"] = slug(heading.get_text())
        del prose["data-cell"]


def slug(text: str) -> str:
    """Words as an anchor.

    >>> slug("Paravirtualização: o que é?")
    'paravirtualizacao-o-que-e'
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def _mark_portuguese(soup: Any) -> None:
    """The slide's title below the chapter's, and behind the dot of a section's, is to be read in Portuguese."""
    slide = soup.h1.find_next("p")
    slide["lang"], slide["class"] = "pt", "slide"
    for heading in soup.select(".prose :is(h2, h3)"):
        if (words := heading.find("em", recursive=False)) and " · " in heading.get_text():
            words["lang"] = "pt"


def _mend_tables(soup: Any) -> None:
    """Tables scroll in boxes of their own; pandas' borders and scoped styles go."""
    for style in soup.select(".html style[scoped]"):
        style.decompose()
    for table in soup.select(".prose table, .html table"):
        if table.find_parent("table"):
            continue
        del table["border"]
        table.wrap(soup.new_tag("div", attrs={"class": "scrolls"}))


def _sections(soup: Any) -> list[Section]:
    found: list[Section] = []
    heading: Any = soup.h1
    words: list[str] = []

    def done() -> None:
        em = heading.find("em", attrs={"lang": "pt"})
        portuguese = em.get_text() if em else ""
        title = heading.get_text().removesuffix(f" · {portuguese}") if portuguese else heading.get_text()
        found.append(
            Section(heading["id"], int(heading.name[1]), title, portuguese, " ".join(" ".join(words).split()))
        )

    for part in soup.select(".prose > *"):
        if part.name in ("h1", "h2", "h3"):
            if part is not soup.h1:
                done()
            heading, words = part, []
        else:
            words.append(part.get_text())
    done()
    return found
