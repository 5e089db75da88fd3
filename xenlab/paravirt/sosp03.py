"""The measurements of *Xen and the Art of Virtualization* (SOSP 2003), as numbers.

Dell 2650, two Xeons of 2.4 GHz (one used, where nothing else is said), 2 GB of memory; Linux 2.4.21 alone and on Xen,
VMware Workstation 3.2 and User-Mode Linux on the same machine; the median of seven runs.

Source: P. Barham et al., SOSP 2003, doi:10.1145/945445.945462: figures 3, 4 and 5, tables 2 to 6, sections 4.4 and 4.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xenlab.commands import XenlabError

LINUX, XEN, VMWARE, UML = "Linux", "Xen", "VMware", "UML"


@dataclass(frozen=True)
class Measured:
    """One measurement on several systems: what, in which unit, whether more is better, and the value on each."""

    what: str
    unit: str
    more_is_better: bool
    values: Mapping[str, float]

    def relative(self, system: str) -> float:
        """How well a system did, of what Linux alone did: 1 is as well, 0.5 half as well.

        >>> round(FIGURE_3[1].relative(XEN), 2), round(FIGURE_3[1].relative(UML), 2)
        (0.97, 0.49)
        """
        if system not in self.values:
            raise XenlabError(f"system(={system!r}) must be one of: {', '.join(self.values)}")
        there, alone = self.values[system], self.values[LINUX]
        return there / alone if self.more_is_better else alone / there


@dataclass(frozen=True)
class Exhibit:
    """A figure or a table of the paper: its number, what it is about, and its rows."""

    number: str
    title: str
    rows: Sequence[Measured]


def _rows(unit: str, more: bool, names: str, **systems: str) -> tuple[Measured, ...]:
    """Rows from a table whose columns are `names`, separated by commas, and whose values are given by system."""
    columns = [name.strip() for name in names.split(",")]
    values = {system: [float(value) for value in text.split()] for system, text in systems.items()}
    assert all(len(each) == len(columns) for each in values.values())
    return tuple(
        Measured(name, unit, more, {system: each[place] for system, each in values.items()})
        for place, name in enumerate(columns)
    )


FIGURE_3 = (
    Measured("SPEC INT2000", "score", True, {LINUX: 567, XEN: 567, VMWARE: 554, UML: 550}),
    Measured("Linux build", "s", False, {LINUX: 263, XEN: 271, VMWARE: 334, UML: 535}),
    Measured("OSDB, retrieval", "tuples/s", True, {LINUX: 172, XEN: 158, VMWARE: 80, UML: 65}),
    Measured("OSDB, transactions", "tuples/s", True, {LINUX: 1714, XEN: 1633, VMWARE: 199, UML: 306}),
    Measured("dbench", "score", True, {LINUX: 418, XEN: 400, VMWARE: 310, UML: 111}),
    Measured("SPEC WEB99", "score", True, {LINUX: 518, XEN: 514, VMWARE: 150, UML: 172}),
)
#: lmbench, processes. Linux is the kernel for one processor.
TABLE_3 = _rows(
    "µs",
    False,
    "null call, null I/O, stat, open and close, select TCP, install signal, handle signal, fork, exec, sh",
    Linux=".45 .50 1.28 1.92 5.70 .68 2.49 110 530 4000",
    Xen=".46 .50 1.22 1.88 5.69 .69 1.75 198 768 4800",
    VMware=".73 .83 1.88 2.99 11.1 1.02 4.63 874 2300 10000",
    UML="24.7 25.1 36.1 62.8 39.9 26.0 46.0 21000 33000 58000",
)
#: lmbench, context switches: so many processes with so much to touch.
TABLE_4 = _rows(
    "µs",
    False,
    "2 processes of 0 K, 2 processes of 16 K, 2 processes of 64 K, 8 processes of 16 K, 8 processes of 64 K, "
    "16 processes of 16 K, 16 processes of 64 K",
    Linux=".77 .91 1.06 1.03 24.3 3.61 37.6",
    Xen="1.97 2.22 2.67 3.07 28.7 7.08 39.4",
    VMware="18.1 17.6 21.3 22.4 51.6 41.7 72.2",
    UML="15.5 14.6 14.4 16.3 36.8 23.6 52.0",
)
#: lmbench, files and virtual memory.
TABLE_5 = _rows(
    "µs",
    False,
    "0K create, 0K delete, 10K create, 10K delete, mmap, protection fault, page fault",
    Linux="32.1 6.08 66.0 12.5 68.0 1.06 1.42",
    Xen="32.5 5.86 68.2 13.6 139 1.40 2.73",
    VMware="35.3 9.3 85.6 21.4 620 7.53 12.4",
    UML="130 65.7 250 113 1400 21.8 26.3",
)
#: ttcp over gigabit Ethernet.
TABLE_6 = _rows(
    "Mbit/s",
    True,
    "MTU 1500 sent, MTU 1500 received, MTU 500 sent, MTU 500 received",
    Linux="897 897 602 544",
    Xen="897 897 516 467",
    VMware="291 615 101 137",
    UML="165 203 61.1 91.4",
)
#: SPEC WEB99, so many instances at once, on both processors: Linux in one system, Xen in as many domains.
FIGURE_4 = (
    Measured("1 instance", "connections", True, {LINUX: 662, XEN: round(662 * (1 - 0.163))}),
    Measured("2", "connections", True, {LINUX: 1001, XEN: 924}),
    Measured("4", "connections", True, {LINUX: 887, XEN: 896}),
    Measured("8", "connections", True, {LINUX: 842, XEN: 906}),
    Measured("16", "connections", True, {LINUX: 880, XEN: 874}),
)
EXHIBITS = (
    Exhibit("Figure 3", "whole applications", FIGURE_3),
    Exhibit("Figure 4", "many web servers on two processors", FIGURE_4),
    Exhibit("Table 3", "system calls and processes", TABLE_3),
    Exhibit("Table 4", "context switches", TABLE_4),
    Exhibit("Table 5", "files and memory", TABLE_5),
    Exhibit("Table 6", "the network", TABLE_6),
)
#: Table 2, lines of a system's sources that were changed or added, and their share of the whole.
CHANGED_LINES = {"Linux 2.4.21": (2995, 0.0136), "Windows XP": (4620, 0.0004)}


def exhibit(number: str) -> Exhibit:
    """The figure or table of this number; raises `XenlabError` if it is not here.

    >>> exhibit("Table 5").rows[4].values["Xen"]
    139.0
    """
    for each in EXHIBITS:
        if each.number == number:
            return each
    raise XenlabError(f"number(={number!r}) must be one of: {', '.join(each.number for each in EXHIBITS)}")
