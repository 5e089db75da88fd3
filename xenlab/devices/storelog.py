"""xenstored's own log, read back: who changed what, in the order in which it took effect.

A watch says *where* something has changed, not what: whoever reads the node afterwards may find a later value. In
the box a reader that ran `xenstore-read` after each event saw states 3 and 2 where 1 had been written first. The
daemon itself misses nothing, and ``xenstore-control logfile PATH`` has it write down every request:

    IN 0x556e65eba5b0 20261125 11:20:33 WRITE (device/vbd/51728/state 3)

The log names a client by the address of its connection only, but that is enough to tell them apart. A kernel was
connected before the log began; a guest's paths start from its home, as those of dom0's kernel do. A program
connects while the log is being written: xl, which keeps its own notes under ``/libxl``, or a hotplug script's
`xenstore-write`.

Source: xenstored_core.c (trace_io), xenstored_control.c of Xen 4.17; times are whole seconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Writer = Literal["toolstack", "backend", "hotplug script", "frontend"]

#: What xenstored writes when it opens its log, which may hold more from before.
BEGINNING = "\n***\n"
_LINE = re.compile(r"(IN|OUT) (0x[0-9a-f]+) (\d{8} \d\d:\d\d:\d\d) ([A-Z_]+) \((.*)\)", re.DOTALL)
# A value may hold line ends: a request goes on until the next line that begins like one of xenstored's.
_END = re.compile(r"\n(?=(?:IN|OUT) 0x|(?:CREATE|DESTROY|wrl:|dropping) |\n|$)")
_BIRTH = re.compile(r"(CREATE|DESTROY) connection (0x[0-9a-f]+)")


@dataclass(frozen=True)
class Change:
    """One node changed: `seconds` after the first line, by whom, what it is now (None: it was removed).

    What took effect together, by a transaction, has the same number `commit`.
    """

    seconds: float
    writer: Writer
    path: str
    value: str | None
    commit: int = 0


_Pair = tuple[str, str | None]  # a path as its writer spelled it, and the value


@dataclass
class _Client:
    """A connection: all that it has spoken of, what waits for the end of its transaction, what it committed last."""

    kernel: bool = True
    paths: set[str] = field(default_factory=set)
    waiting: list[_Pair] | None = None
    committed: list[_Pair] = field(default_factory=list)

    def writer(self, path: str) -> Writer:
        if self.kernel:
            return "backend" if path.startswith("backend/") else "frontend"
        return "toolstack" if any(path.startswith("/libxl/") for path in self.paths) else "hotplug script"


def read(log: str, guest: int) -> list[Change]:
    """Return the changes in a log, in the order in which they took effect.

    Arguments: `log`, what the file holds; `guest`, the domain whose kernel is meant by a frontend. Those of a
    transaction take effect at its end, or never if it was given up or had to be begun anew.

    >>> log = '''
    ... CREATE connection 0x1
    ... IN 0x1 20261125 11:20:32 TRANSACTION_START ( )
    ... IN 0x1 20261125 11:20:33 WRITE (/libxl/1/device/vbd/51728/state 1)
    ... IN 0x1 20261125 11:20:33 WRITE (/local/domain/1/device/vbd/51728/state 1)
    ... IN 0x2 20261125 11:20:33 WRITE (backend/vbd/1/51712/info 0)
    ... IN 0x1 20261125 11:20:33 TRANSACTION_END (T )
    ... OUT 0x1 20261125 11:20:33 TRANSACTION_END (OK )
    ... '''
    >>> for change in read(log, guest=1):
    ...     print(change.writer, change.path, change.value)
    backend /local/domain/0/backend/vbd/1/51712/info 0
    toolstack /libxl/1/device/vbd/51728/state 1
    toolstack /local/domain/1/device/vbd/51728/state 1
    """
    homes = dict.fromkeys(("backend", "hotplug script", "toolstack"), "/local/domain/0")
    homes["frontend"] = f"/local/domain/{guest}"
    changes = []
    for commit, (seconds, client, together) in enumerate(_Reader().read(log)):
        for path, value in together:
            writer = client.writer(path)
            absolute = path if path.startswith("/") else f"{homes[writer]}/{path}"
            changes.append(Change(seconds, writer, absolute, value, commit))
    return changes


class _Reader:
    def __init__(self) -> None:
        self._clients: dict[str, _Client] = {}
        self._start: datetime | None = None
        self._done: list[tuple[float, _Client, list[_Pair]]] = []

    def read(self, log: str) -> list[tuple[float, _Client, list[_Pair]]]:
        """Return what took effect together, in order; a commit that failed is left empty."""
        for line in _END.split(log):
            if match := _BIRTH.match(line):
                self._clients[match[2]] = _Client(kernel=False)
            elif match := _LINE.fullmatch(line):
                direction, address, when, kind, text = match.groups()
                client = self._clients.setdefault(address, _Client())
                if direction == "OUT":
                    if kind == "ERROR" and text.strip() == "EAGAIN":
                        client.committed.clear()
                else:
                    self._request(client, self._seconds(when), kind, text)
        return self._done

    def _request(self, client: _Client, seconds: float, kind: str, text: str) -> None:
        if kind == "TRANSACTION_START":
            client.waiting = []
        elif kind == "TRANSACTION_END":
            client.committed, client.waiting = client.waiting or [], None
            if text.strip() == "T":
                self._done.append((seconds, client, client.committed))
        elif kind in ("WRITE", "RM"):
            path, _, value = text.partition(" ")
            change = path, value if kind == "WRITE" else None
            client.paths.add(path)
            if client.waiting is None:
                self._done.append((seconds, client, [change]))
            else:
                client.waiting.append(change)

    def _seconds(self, when: str) -> float:
        moment = datetime.strptime(when, "%Y%m%d %H:%M:%S")
        self._start = self._start or moment
        return (moment - self._start).total_seconds()
