"""xenstored's own log of what it is told, which ``xenstore-control logfile`` begins (xenstored_core.c: trace_io).

The real one writes down every request and every answer. The simulated one leaves out those that change nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Connection:
    """Who speaks to xenstored: the address by which its log names them, and the folder their paths start from.

    A kernel keeps one connection for ever; a program opens its own and closes it (`passing`).
    """

    address: int
    home: str = ""
    passing: bool = False

    def spelled(self, path: str) -> str:
        """The path as this client writes it: relative to its home if it has one."""
        return path.removeprefix(f"{self.home}/") if self.home else path


TOOL = Connection(0x55D0C0DE1000, passing=True)  # xl, xenstore-write, …
SCRIPT = Connection(0x55D0C0DE2000, "/local/domain/0", passing=True)  # a hotplug script's xenstore-write
DOM0_KERNEL = Connection(0x55D0C0DE3000, "/local/domain/0")


def guest_kernel(domid: int) -> Connection:
    """The connection of a guest's kernel, on its ring."""
    return Connection(0x55D0C1000000 + 0x1000 * domid, f"/local/domain/{domid}")


class StoreLog:
    """The log: off until it is given a file.

    Args:
        now: The time of day.
        append: Adds bytes to a file in dom0.
    """

    def __init__(self, now: Callable[[], datetime], append: Callable[[str, bytes], None]) -> None:
        self._now = now
        self._append = append
        self._path: str | None = None
        self._on = False

    def begin(self, path: str) -> None:
        """Write to this file from now on (``xenstore-control logfile``)."""
        self._path = path
        self.switch(True)

    def switch(self, on: bool) -> None:
        """Go on, if there is a file, or stop (``xenstore-control log on|off``)."""
        self._on = on and self._path is not None
        if self._on:
            self._line("\n***")

    def opened(self, client: Connection) -> None:
        """A program connects."""
        self._line(f"CREATE connection {client.address:#x}")

    def closed(self, client: Connection) -> None:
        """A program has gone."""
        self._line(f"DESTROY connection {client.address:#x}")

    def request(self, client: Connection, kind: str, text: str, answer: str = "OK") -> None:
        """A client asks for something and is answered."""
        for direction, words in (("IN", text), ("OUT", f"{answer} ")):
            self._line(f"{direction} {client.address:#x} {self._now():%Y%m%d %H:%M:%S} {kind} ({words})")

    def _line(self, line: str) -> None:
        if self._on and self._path is not None:
            self._append(self._path, f"{line}\n".encode())
