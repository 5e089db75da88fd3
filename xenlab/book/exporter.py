"""nbconvert's HTML exporter with the book's template; formulas become MathML, which browsers draw by themselves.

Import it late: nbconvert takes a second.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath


class _Renderer(IPythonRenderer):
    def block_math(self, body: str) -> str:
        return f'<div class="scrolls">{convert(body, display="block")}</div>'

    def inline_math(self, body: str) -> str:
        return str(convert(body))


class Exporter(HTMLExporter):
    """Turns a notebook into the inside of a page."""

    def __init__(self) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            extra_template_basedirs=[str(Path(__file__).with_name("templates"))], template_name="chapter"
        )

    def default_filters(self) -> Any:
        """nbconvert's filters, with the book's Markdown."""
        yield from super().default_filters()  # type: ignore[no-untyped-call]
        yield "markdown2html", to_html


def to_html(source: str) -> str:
    """Markdown as HTML.

    >>> "<mfrac>" in to_html(r"$\\frac{1}{2}$")
    True
    """
    return MarkdownWithMath(renderer=_Renderer(escape=False, exclude_anchor_links=True)).render(source)
