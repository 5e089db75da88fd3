"""The pages of the site, and how they hang together."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from xenlab.book.execute import Executed
from xenlab.book.glossary import Term
from xenlab.book.page import Page, render
from xenlab.book.widgets import living
from xenlab.commands import XenlabError

HERE = Path(__file__).parent
BINDER = "https://mybinder.org/v2/gh/xenlab/xenlab/HEAD?urlpath=lab/tree"
LOOK_UP = {
    "search": "Search",
    "glossary": "Glossary",
    "bibliography": "Bibliography",
    "times": "Execution times",
}


@dataclass(frozen=True)
class Leaf:
    """A notebook's page, the notebook, where this lies in a clone of the book, and its run (None: it has not run)."""

    page: Page
    notebook: Any
    source: str
    run: Executed | None

    @classmethod
    def of(cls, name: str, notebook: Any, source: str, run: Executed | None = None) -> Self:
        """Make a notebook's page, `name` its address in the site without the end."""
        return cls(render(name, notebook, f"{BINDER}/{source}"), notebook, source, run)

    @property
    def binder(self) -> str:
        """Where the notebook opens with a kernel."""
        return f"{BINDER}/{self.source}"

    @property
    def stem(self) -> str:
        """What a chapter and its lab have in common: `10_domains`."""
        return Path(self.source).stem


class Site:
    """All pages in the folder `out`: of the chapters, of the labs, and those to look things up in."""

    def __init__(
        self, out: Path, chapters: Sequence[Leaf], labs: Sequence[Leaf], glossary: Sequence[Term]
    ) -> None:
        from jinja2 import Environment, FileSystemLoader, select_autoescape

        self.out, self.chapters, self.labs = out, chapters, labs
        self.pages = [leaf.page for leaf in chapters]
        self._glossary = [self._placed(term) for term in glossary]
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=select_autoescape(["html", "j2"]),
            trim_blocks=True,
        )
        self._contents = [
            ("Chapters", [(leaf.page.name, leaf.page.title) for leaf in chapters]),
            ("Labs", [(leaf.page.name, leaf.page.title) for leaf in labs]),
            ("To look things up", list(LOOK_UP.items())),
        ]

    def write(self) -> None:
        """Write every page, and what pages load."""
        for leaves, partners in ((self.chapters, self.labs), (self.labs, self.chapters)):
            for number, leaf in enumerate(leaves):
                before = leaves[number - 1] if number else None
                after = leaves[number + 1] if number + 1 < len(leaves) else None
                partner = next((other for other in partners if other.stem == leaf.stem), None)
                self._write_leaf(leaf, before, after, partner)
        self._write("index", "xenlab", "", pages=self.pages, labs=self.labs, binder=self.chapters[0].binder)
        self._write_lookup("search")
        self._put("assets/search-index.js", self._index())
        self._write_lookup(
            "glossary", terms=self._glossary, by_portuguese=_in_portuguese_order(self._glossary)
        )
        self._write_lookup("bibliography", readings=[(page, _reading(page)) for page in self.pages])
        rows = [(leaf.page, leaf.run) for leaf in self.chapters if leaf.run]
        self._write_lookup("times", rows=rows, cores=os.cpu_count(), python=platform.python_version())

    def _write_leaf(self, leaf: Leaf, before: Leaf | None, after: Leaf | None, partner: Leaf | None) -> None:
        from markupsafe import Markup

        alive = living(leaf.notebook)
        for suffix, files in (("js", alive.scripts), ("css", alive.styles)):
            for name, text in files.items():
                self._put(f"widgets/{name}.{suffix}", text)
        self._write(
            leaf.page.name,
            leaf.page.title,
            "notebook",
            page={**asdict(leaf.page), "html": Markup(leaf.page.html)},
            leaf=leaf,
            before=before,
            after=after,
            partner=partner,
            styles=alive.styles,
            scripts=alive.scripts,
            models=Markup(alive.as_json()),
        )

    def _write_lookup(self, name: str, **values: Any) -> None:
        self._write(name, LOOK_UP[name], "", **values)

    def _write(self, name: str, title: str, template: str, **values: Any) -> None:
        html = self._templates.get_template(f"{template or name}.html.j2").render(
            title=title,
            here=name,
            root="../" * name.count("/"),
            contents=self._contents,
            description=f"{title}: virtualization in data centres with Xen, an interactive textbook.",
            **values,
        )
        self._put(f"{name}.html", html)

    def _put(self, name: str, text: str) -> None:
        file = self.out / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def _placed(self, term: Term) -> Mapping[str, str]:
        """A term with the words of the link to its place; raises `XenlabError` if the book has no such place."""
        name, _, anchor = term.place.partition("#")
        for page in self.pages:
            for section in page.sections:
                if (page.name, section.anchor) == (name, anchor):
                    where = f"{page.name[:2]} · {section.title}" if section.level > 1 else page.title
                    return {**asdict(term), "anchor": term.anchor, "href": term.href, "where": where}
        raise XenlabError(
            f"place(={term.place!r}) of {term.english!r} must be a section's page#cell; mend glossary.tsv"
        )

    def _index(self) -> str:
        """What `static/search.js` searches: every section, and every word of the glossary."""
        entries = [
            {
                "page": page.title,
                "href": f"{page.name}.html#{section.anchor}",
                "title": section.title,
                "portuguese": section.portuguese,
                "text": section.text,
            }
            for page in [leaf.page for leaf in (*self.chapters, *self.labs)]
            for section in page.sections
        ]
        entries += [
            {
                "page": "Glossary",
                "href": f"glossary.html#{term['anchor']}",
                "title": term["english"],
                "portuguese": term["portuguese"],
                "text": term["meaning"],
            }
            for term in self._glossary
        ]
        return f"book.index = {json.dumps(entries, ensure_ascii=False, separators=(',', ':'))};\n"


def _in_portuguese_order(glossary: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    from xenlab.book.page import slug

    return sorted(glossary, key=lambda term: slug(term["portuguese"]))


def _reading(page: Page) -> Any:
    """What stands under a page's heading "Further reading"."""
    from bs4 import BeautifulSoup
    from markupsafe import Markup

    heading = BeautifulSoup(page.html, "html.parser").find("h2", string="Further reading")
    if heading is None:
        raise XenlabError(f"page(={page.name!r}) must end with a section Further reading")
    return Markup("".join(str(part) for part in heading.find_next_siblings()))
