"""The table that `xl list` prints: a row for each domain, to read and to write.

Source of the format: tools/xl/xl_info.c (list_domains), Xen 4.17. Between the last headings there are tabs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from xenlab.commands import XenlabError
from xenlab.domains.model import State, state_of

HEADING = "Name                                        ID   Mem VCPUs\tState\tTime(s)"


@dataclass(frozen=True)
class Row:
    """What `xl list` says of one domain.

    Its name, its number, its memory in MiB, how many virtual CPUs are online, the six letters of its state,
    and how many seconds of processor time it has used since it was built.
    """

    name: str
    id: int
    memory: int
    vcpus: int
    letters: str
    seconds: float

    @property
    def state(self) -> State:
        """The state that the letters stand for."""
        return state_of(self.letters)

    def __str__(self) -> str:
        return (
            f"{self.name:<40} {self.id:5d} {self.memory:5d} {self.vcpus:5d}     "
            f"{self.letters}  {self.seconds:8.1f}"
        )


def write(rows: Iterable[Row]) -> str:
    """Return the table as `xl list` prints it, heading first, with a newline at the end.

    >>> print(write([Row("Domain-0", 0, 750, 4, "r-----", 11794.3)]).expandtabs(1), end="")
    Name                                        ID   Mem VCPUs State Time(s)
    Domain-0                                     0   750     4     r-----   11794.3
    """
    return "\n".join([HEADING, *map(str, rows)]) + "\n"


def read(text: str) -> list[Row]:
    """Return the rows of a table that `xl list` printed; raise `XenlabError` on a line that is not one.

    >>> [row.name for row in read(write([Row("web", 3, 128, 1, "-b----", 0.4)]))]
    ['web']
    """
    rows = []
    for line in text.splitlines():
        if not line.strip() or line == HEADING:
            continue
        try:
            name, number, memory, vcpus, letters, seconds = line.rsplit(maxsplit=5)
            rows.append(Row(name, int(number), int(memory), int(vcpus), letters, float(seconds)))
        except ValueError:
            raise XenlabError(f"line(={line!r}) must be a row of xl list: name, id, Mem, VCPUs, …") from None
    return rows
