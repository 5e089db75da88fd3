"""Short marked-up text: what an author writes in a quiz or a caption, as HTML and as plain text."""

from __future__ import annotations

import html
import re

_CODE = re.compile(r"`([^`]+)`")
_STRONG = re.compile(r"\*\*([^*]+)\*\*")
_EMPHASIS = re.compile(r"(?<!\*)\*([^*]+)\*(?!\*)")


def to_html(text: str) -> str:
    """Return `text` as HTML: everything escaped, with `code`, **strong** and *emphasis* marked.

    >>> to_html("`a < b` is *so*")
    '<code>a &lt; b</code> is <em>so</em>'
    """
    parts = _CODE.split(html.escape(text, quote=True))
    for i, part in enumerate(parts):
        if i % 2:
            parts[i] = f"<code>{part}</code>"
        else:
            parts[i] = _EMPHASIS.sub(r"<em>\1</em>", _STRONG.sub(r"<strong>\1</strong>", part))
    return "".join(parts)


def to_plain(text: str) -> str:
    """Return `text` without its marks.

    >>> to_plain("`xl list` says **so**")
    'xl list says so'
    """
    return _EMPHASIS.sub(r"\1", _STRONG.sub(r"\1", _CODE.sub(r"\1", text)))
