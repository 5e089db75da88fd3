"""Run the same commands on two dom0s and show where they answer differently: how a simulator is held to the
real thing.

A file of commands has one command line a row, as one types it; ``#`` begins a comment. Three rows are not
commands:

* ``put FILE PATH`` copies FILE, which lies beside the file of commands, to PATH in dom0;
* ``wait SECONDS`` lets time pass;
* ``until PATH TEXT [COUNT]`` waits until the file PATH in dom0 holds TEXT (COUNT times), two minutes at most.

What differs from run to run is masked first: domain ids, UUIDs, MAC addresses, times of day, CPU seconds,
process ids, free memory, and the numbers that machines give to shared pages, ports and terminals.
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from xenlab.commands import Completed, XenlabError
from xenlab.hosts.dom0 import Dom0

UNTIL_LIMIT = 120.0  # seconds


class BadRow(XenlabError, ValueError):
    """A row of a file of commands that cannot be understood."""


@dataclass(frozen=True)
class Answer:
    """What one dom0 answered to one row: its text, with all masks applied."""

    row: int
    line: str
    text: str


@dataclass(frozen=True)
class Difference:
    """One row to which two dom0s gave different answers."""

    row: int
    line: str
    left: str
    right: str

    def __str__(self) -> str:
        lines = difflib.unified_diff(
            self.left.splitlines(), self.right.splitlines(), "left", "right", lineterm="", n=2
        )
        return "\n".join([f"row {self.row}: {self.line}", *list(lines)[2:]])


def compare(lines: Iterable[str], left: Dom0, right: Dom0, folder: Path | None = None) -> list[Difference]:
    """Run the rows on both dom0s and return where the masked answers differ; none if they never do.

    `folder` holds the files that ``put`` rows name. Raises `BadRow` before anything is run if a row is not
    well formed.

    >>> from xenlab.hosts.sim import MachineSpec, SimDom0
    >>> small, large = SimDom0(), SimDom0(MachineSpec(pcpus=4))
    >>> print(*compare(["xl domname 0", "xl info nr_cpus"], small, large))
    row 2: xl info nr_cpus
    @@ -1,3 +1,3 @@
     $ xl info nr_cpus
    -2
    +4
     (exit status 0)
    """
    rows = list(lines)
    return differences(record(rows, left, folder), record(rows, right, folder))


def compare_file(path: Path, left: Dom0, right: Dom0) -> list[Difference]:
    """`compare` the rows of a file; what its ``put`` rows name lies beside it."""
    return compare(path.read_text(encoding="utf-8").splitlines(), left, right, path.parent)


def record(lines: Iterable[str], dom0: Dom0, folder: Path | None = None) -> list[Answer]:
    """Run the rows on one dom0 and return its masked answers, one for each command."""
    steps = [(number, line, _words(number, line)) for number, line in enumerate(lines, 1)]
    steps = [(number, line, words) for number, line, words in steps if words]
    masks = _masks_for(dom0)
    answers = []
    for number, line, words in steps:
        if words[0] == "put":
            dom0.put(((folder or Path()) / words[1]).read_bytes(), words[2])
        elif words[0] == "wait":
            dom0.wait(float(words[1]))
        elif words[0] == "until":
            _wait_until(dom0, words[1], words[2], int(words[3]) if len(words) > 3 else 1)
        else:
            answers.append(Answer(number, line.strip(), _answer(dom0, words, masks)))
    return answers


def differences(left: Sequence[Answer], right: Sequence[Answer]) -> list[Difference]:
    """Where two records of the same rows differ."""
    pairs = zip(left, right, strict=True)
    return [Difference(one.row, one.line, one.text, two.text) for one, two in pairs if one.text != two.text]


# -- rows

_ROW_LENGTHS = {"put": (3,), "wait": (2,), "until": (3, 4)}


def _words(number: int, line: str) -> list[str]:
    try:
        words = shlex.split(line, comments=True)
    except ValueError as error:
        raise BadRow(f"row {number}: {line.strip()}: {error}; quotes must come in pairs") from None
    if words and len(words) not in _ROW_LENGTHS.get(words[0], (len(words),)):
        forms = "put FILE PATH, wait SECONDS, until PATH TEXT [COUNT]"
        raise BadRow(f"row {number}: {line.strip()}: the forms are {forms}")
    return words


def _wait_until(dom0: Dom0, path: str, text: str, count: int) -> None:
    end = dom0.now() + UNTIL_LIMIT
    while dom0.now() < end:
        try:
            if dom0.get(path).decode(errors="replace").count(text) >= count:
                return
        except FileNotFoundError:
            pass
        dom0.wait(0.5)


# -- answers

Mask = tuple[re.Pattern[str], str]
NUMBER = "#"


def _answer(dom0: Dom0, words: list[str], masks: Sequence[Mask]) -> str:
    try:
        text = _render(dom0.run(words))
    except XenlabError as error:
        text = f"$ {shlex.join(words)}\n{type(error).__name__}: {error}\n"
    for pattern, replacement in masks:
        text = pattern.sub(lambda match, to=replacement: _masked(match, to), text)  # type: ignore[misc]
    return text


def _render(done: Completed) -> str:
    text = f"$ {done.command_line}\n{done.stdout}"
    text += "" if text.endswith("\n") else "(no line end)\n"
    text += "".join(f"! {line}\n" for line in done.stderr.splitlines())
    return f"{text}(exit status {done.status})\n"


def _masked(match: re.Match[str], replacement: str) -> str:
    """Put `replacement` for the group ``it``; the numbers of tables keep their column."""
    start, end = match.start("it") - match.start(), match.end("it") - match.start()
    whole, it = match[0], match["it"]
    new = replacement
    if replacement == NUMBER:
        new = new.rjust(len(it)) if it.startswith(" ") else new.ljust(len(it)) if it.endswith(" ") else new
    return whole[:start] + new + whole[end:]


def _masks_for(dom0: Dom0) -> list[Mask]:
    hostname = dom0.run(["hostname"]).stdout.strip()
    return (
        [(re.compile(rf"(?P<it>\b{re.escape(hostname)}\b)"), "HOST"), *_MASKS] if hostname else list(_MASKS)
    )


_MASKS: list[Mask] = [
    (re.compile(pattern, re.MULTILINE), replacement)
    for pattern, replacement in (
        # identities
        (r"(?P<it>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", "UUID"),
        (r"(?P<it>00:16:3e(?::[0-9a-f]{2}){3})", "MAC"),
        (r"\[pid (?P<it>\d+)\]", NUMBER),
        # domain ids: in messages, in xenstore's paths and values, in tables
        (r"\b[Dd]om(?:ain)? (?P<it>[1-9]\d*)\b", NUMBER),
        (r"\bdomid[ =]'?(?P<it>[1-9]\d*)\b", NUMBER),
        (r"/(?:local/domain|libxl|backend/\w+)/(?P<it>[1-9]\d*)\b", NUMBER),
        (r'"domid": (?P<it>[1-9]\d*)\b', NUMBER),
        (r'\b(?:domid|frontend-id) = "(?P<it>[1-9]\d*)"', NUMBER),
        (r'^ *(?P<it>[1-9]\d*) = ""(?: [ .]+\(|$)', NUMBER),
        (r"\([nrwb0, ]*\b[nrwb](?P<it>[1-9]\d*)\b", NUMBER),  # xenstore-ls -p: who may do what,
        (r'^[^"]+ = ".*"(?P<it> [ .]+)\([nrwb]', " "),  # and the dots before it
        (r"^.{40}(?P<it> +\d+) +\d+ +\d+     [-r][-b][-p][-s].[-d]", NUMBER),  # xl list
        (r"^.{32}(?P<it> +\d+) +\d+ +(?:\d+|-) +(?:[r-][b-]-|--p) ", NUMBER),  # xl vcpu-list
        (r"^.{33}(?P<it> +\d+) +\d+ +\d+$", NUMBER),  # xl sched-credit
        (r"^.{33}(?P<it> +\d+) (?:\d+ days?, )?[ \d]\d:\d\d:\d\d$", NUMBER),  # xl uptime
        (r"^[-U\w]+  (?P<it>\d+)    ", NUMBER),  # xl vm-list
        (r"^\d+ +0 +(?P<it>\d+ +)\d +-?\d+ +-?\d+ +/", NUMBER),  # xl block-list
        # times
        (r"     [-r][-b][-p][-s].[-d](?P<it> +\d+\.\d)", NUMBER),  # xl list
        (r" (?:[r-][b-]-|--p) (?P<it> +\d+\.\d)  ", NUMBER),  # xl vcpu-list
        (r"(?P<it> +(?:\d+ days?, )?\d+:\d\d:\d\d)$", "TIME"),
        (r"^ (?P<it>\d\d:\d\d:\d\d up (?:\d+ days?, )?[ \d]\d:\d\d),", "TIME"),
        (r'start_time = "(?P<it>[\d.]+)"', "TIME"),
        # memory, and what machines number as they like
        (r"^free_memory +: (?P<it>\d+)$", NUMBER),
        (r'(?:ring-ref|port|event-channel(?:-[rt]x)?) = "(?P<it>\d+)"', NUMBER),
        (r'"/dev/(?:pts/|loop)(?P<it>\d+)"', NUMBER),
        (r'physical-device = "7:(?P<it>[0-9a-f]+)"', NUMBER),
        (r"\bmfn 0x(?P<it>[0-9a-f]+)", NUMBER),
        (r"^\d+ +0 +\S+ +\d +(?P<it>\d+ +\d+ +)/", NUMBER),  # xl block-list
        (r"^\d+ +0  \S+ +\d+ +\d +-?\d+ +(?P<it>\d+/\d+ +)/", NUMBER),  # xl network-list
        (r"^ *(?P<it>\d+): VCPU \d+: Interdomain", NUMBER),  # lsevtchn
        (r"^ *\S+: VCPU (?P<it>\d+): ", NUMBER),
        (r"Remote Domain 0, Port (?P<it>\d+)$", NUMBER),
        (
            r"^.{32} +\S+ +\d+(?P<it> +\d+) +[r-][b-]- .*  all / ",
            "#",
        ),  # xl vcpu-list: the pCPU, unless pinned
        # who runs at this very moment
        (r"     (?P<it>[-r][-b])[-p][-s].[-d] ", ".."),  # xl list
        (r"^.{32} +\S+ +\d+ +\S+ +(?P<it>[r-][b-])- ", ".."),  # xl vcpu-list
    )
]
