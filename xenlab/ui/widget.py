"""The ground every moving picture stands on: a widget with a static picture and a line of text behind it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import anywidget

#: The type under which a front end finds a widget.
VIEW = "application/vnd.jupyter.widget-view+json"
_HERE = Path(__file__).parent


def source(*files: str | Path) -> str:
    """Return these files' text as one: shared parts by name (`"parts.js"`, in this folder) or any path.

    A widget's JavaScript reaches the page as a single module, so what it shares with others goes before its
    own.
    """
    return "\n".join((_HERE / file).read_text(encoding="utf-8") for file in files)


class Widget(anywidget.AnyWidget):
    """A moving picture that never leaves a blank: subclasses say what they show, in text and as static HTML.

    Where widgets run, the reader sees the widget. A page without a kernel or a front end shows `picture()`; a
    terminal, a screen reader or a log shows `describe()`.
    """

    #: Which of its controls do nothing without Python, as a CSS selector; ":scope" where the whole widget needs it.
    needs_kernel: ClassVar[str] = ""
    _css = source("theme.css")
    _undo: tuple[Callable[[], object], ...] = ()

    def describe(self) -> str:
        """Return what the picture shows now, in plain text."""
        raise NotImplementedError

    def picture(self) -> str:
        """Return the picture as static HTML that needs neither a script nor a style sheet."""
        raise NotImplementedError

    def until_closed(self, undo: Callable[[], object]) -> None:
        """Call `undo` once, when this widget is closed."""
        self._undo = (*self._undo, undo)

    def close(self) -> None:
        """Undo what the widget holds on to, and leave the page. Closing twice is allowed."""
        pending, self._undo = self._undo, ()
        for undo in pending:
            undo()
        super().close()

    def __repr__(self) -> str:
        return self.describe()

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if bundle is not None else ({}, {})
        metadata = {**metadata, VIEW: {"needs_kernel": self.needs_kernel}}
        return {**data, "text/html": self.picture(), "text/plain": self.describe()}, metadata
