"""Whose file is this? Read from the names that Moodle, Canvas and people give to what is handed in.

Moodle writes ``Ana Souza_1234567_assignsubmission_file_/lab.ipynb``, or the same without a folder; the number is
the participant's in that one assignment (mod/assign/classes/downloader.php). Canvas writes
``souzaana_LATE_4711_99012_lab-1.ipynb``: the user's number, then the attachment's, which grows with each upload
(lib/content_zipper.rb). Elsewhere the first folder, or a lone file's name, is the student.

The left-most reading counts, since that part is the system's own: what a student calls a file comes after it.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

_MOODLE = re.compile(r"(?P<name>.+?)(?:_(?P<number>\d+))?_assignsubmission_(?:file|onlinetext)_")
_CANVAS = re.compile(
    r"(?P<name>.+?)_(?:(?P<late>LATE|late)_)?(?P<number>\d+)_(?P<upload>\d+)_(?P<file>.+)", re.DOTALL
)
_CANVAS_ANONYMOUS = re.compile(
    r"(?:(?P<late>LATE|late)_)?(?P<name>anon)_(?P<number>[^\W_]+)_(?P<upload>\d+)_(?P<file>.+)", re.DOTALL
)
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
_LONGEST = 48


@dataclass(frozen=True)
class Owner:
    """Whose a file is: the person's or group's name as written, the system and the number that it knows them by.

    `upload` grows with each of Canvas's uploads, and is 0 elsewhere.
    """

    name: str
    system: str = ""
    number: str = ""
    late: bool = False
    upload: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """What two files of one student have in common."""
        return self.system, self.number or self.name

    @property
    def student(self) -> str:
        """A name for the student that is safe as a file's."""
        return safe(f"{self.name}_{self.number}" if self.number else self.name)


def owner(parts: Sequence[str]) -> Owner:
    """Say whose the file at this path is.

    >>> owner(["Ana Souza_1234567_assignsubmission_file_", "lab.ipynb"])
    Owner(name='Ana Souza', system='moodle', number='1234567', late=False, upload=0)
    >>> owner(["souzaana_LATE_4711_99012_lab-1.ipynb"])
    Owner(name='souzaana', system='canvas', number='4711', late=True, upload=99012)
    >>> owner(["ana", "lab.ipynb"]).name, owner(["ana.ipynb"]).name
    ('ana', 'ana')
    """
    for part in parts:
        if found := _MOODLE.match(part):
            return Owner(found["name"], "moodle", found["number"] or "")
    if len(parts) == 1 and (found := _CANVAS_ANONYMOUS.match(parts[0]) or _CANVAS.match(parts[0])):
        return Owner(found["name"], "canvas", found["number"], bool(found["late"]), int(found["upload"][:18]))
    return Owner(parts[0] if len(parts) > 1 else PurePosixPath(parts[0]).stem)


def safe(text: str) -> str:
    """Make a file's name of any text: letters, digits and ``._@+-``, at most 48, with a mark where it was changed.

    >>> safe("Ana Souza_17"), safe("../../etc/passwd"), safe("=1+1")
    ('Ana-Souza_17', 'etc-passwd-3754d6cb', '1+1-bac90eef')
    """
    text = unicodedata.normalize("NFC", text)
    spaced = text.strip().replace(" ", "-")
    kept = re.sub(r"[^\w.@+-]+", "-", spaced).strip("-.@+_")
    if kept and kept == spaced and len(kept) <= _LONGEST and not _RESERVED.fullmatch(kept):
        return kept
    hashed = mark(text)
    return f"{kept[: _LONGEST - len(hashed) - 1].rstrip('-.@+_')}-{hashed}".lstrip("-")


def mark(text: str) -> str:
    """Tell two texts apart in eight hexadecimal digits."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]


def shown(text: str, longest: int = 120) -> str:
    r"""Make any text fit to be shown in one line: no control characters, no half surrogates, not too long.

    >>> shown("a\nb\x1b[31m\u202e")
    'a b [31m'
    """
    text = "".join(
        " " if unicodedata.category(each) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") else each for each in text
    )
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1] + "…"
