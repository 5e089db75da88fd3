"""The widgets of a notebook that has run, as what a page without a kernel needs to bring them to life.

Every widget of the book is an anywidget: an ES module that draws, a style sheet, and traits. The site keeps each
distinct module and style sheet once; a page carries the traits. `static/widgets.js` is the other half.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

STATE = "application/vnd.jupyter.widget-state+json"
_EXPORT = re.compile(r"^export default \{ render \};\s*\Z", re.MULTILINE)


@dataclass(frozen=True)
class Living:
    """What one page's widgets need: scripts and style sheets by name, and each model's traits by its id."""

    scripts: Mapping[str, str]
    styles: Mapping[str, str]
    models: Mapping[str, Mapping[str, Any]]

    def as_json(self) -> str:
        """Return the models as JSON that may stand inside a `<script>` element."""
        return json.dumps(self.models, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")


def living(notebook: Any) -> Living:
    """Collect what the notebook's widgets need."""
    states = notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    scripts, styles, models = {}, {}, {}
    for name, stored in states.items():
        state = stored["state"]
        if "_esm" not in state:
            continue
        script, style = as_script(state["_esm"]), state["_css"]
        scripts[_name(state["_esm"])], styles[_name(style)] = script, style
        traits = {key: value for key, value in state.items() if not key.startswith("_")}
        models[name] = {
            "module": _name(state["_esm"]),
            "traits": traits,
            "buffers": stored.get("buffers", []),
        }
    return Living(scripts, styles, models)


def as_script(module: str) -> str:
    """Turn an ES module into a script that leaves what it exports in `book.modules`: a page opened from a disk may
    load scripts, but no modules.

    Raises `ValueError` unless it ends with the one export that the book's widgets have.

    >>> print(as_script("function render() {}\\nexport default { render };"))
    book.modules["815e86699da4"] = (() => {
    function render() {}
    return { render };
    })();
    """
    body, found = _EXPORT.subn("return { render };", module)
    if not found:
        raise ValueError("a widget's module must end with `export default { render };`")
    return f'book.modules["{_name(module)}"] = (() => {{\n{body}\n}})();'


def _name(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
