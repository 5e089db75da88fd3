"""The field's words in English and Portuguese, each with the place in the book that explains it (`glossary.tsv`)."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from xenlab.book.page import slug

FILE = Path(__file__).with_name("glossary.tsv")


@dataclass(frozen=True)
class Term:
    """One word: English, Portuguese, what it is in a line, and where it is explained, as `10_domains#two-kinds`."""

    english: str
    portuguese: str
    meaning: str
    place: str

    @property
    def anchor(self) -> str:
        """Where it stands in the glossary."""
        return slug(self.english)

    @property
    def href(self) -> str:
        """The page and section that explain it."""
        name, _, anchor = self.place.partition("#")
        return f"{name}.html#{anchor}"


def terms() -> list[Term]:
    """All words, in English order."""
    with FILE.open(encoding="utf-8", newline="") as file:
        rows = [Term(*row) for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    return sorted(rows, key=lambda term: term.english.casefold())
