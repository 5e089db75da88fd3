"""The same guest under monitors of both kinds: unchanged by trapping, ported by hypercalls, unchanged by hardware."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from xenlab.fullvirt.assisted import Assisted
from xenlab.fullvirt.guestos import image
from xenlab.fullvirt.monitor import Monitor
from xenlab.fullvirt.trapping import TrapAndEmulate
from xenlab.paravirt.monitor import Paravirtual
from xenlab.paravirt.port import BATCHED, PORTED, ported

#: What exits are about, with how their reasons begin.
GROUPS: dict[str, tuple[str, ...]] = {
    "privileged instructions": (
        *(f"privileged: {name}" for name in ("rdsr", "wrsr", "flush", "halt")),
        "halt",
    ),
    "return to a task": ("privileged: rett", "hypercall: iret"),
    "other hypercalls": ("hypercall: ",),
    "devices and timer": ("privileged: in", "privileged: out", "input or output", "timer"),
    "the guest's own traps": ("system call", "page fault of the guest's"),
    "page tables": ("page missing in the", "write to a page table"),
}


@dataclass(frozen=True)
class Outcome:
    """How a guest fared: what it printed, instructions of its own, exits by reason."""

    name: str
    console: str
    instructions: int
    exits: Counter[str]

    @property
    def total(self) -> int:
        """All exits."""
        return sum(self.exits.values())

    @property
    def grouped(self) -> dict[str, int]:
        """Exits by what they are about (`GROUPS`)."""
        found = dict.fromkeys(GROUPS, 0)
        for reason, count in self.exits.items():
            found[group_of(reason)] += count
        return found


def group_of(reason: str) -> str:
    """What an exit of this reason is about.

    >>> group_of("hypercall: iret"), group_of("hypercall: multicall"), group_of("privileged: in")
    ('return to a task', 'other hypercalls', 'devices and timer')
    """
    return next(group for group, starts in GROUPS.items() if reason.startswith(starts))


def _paravirtual(kernel: str) -> Monitor:
    monitor = Paravirtual()
    monitor.load(ported(kernel))
    return monitor


def _unchanged(kind: Callable[[], Monitor]) -> Monitor:
    monitor = kind()
    monitor.load(image())
    return monitor


def compare() -> list[Outcome]:
    """Run the guest, unchanged and ported, to its end under each monitor.

    >>> trapping, single, batched, assisted = compare()
    >>> trapping.total > 1.5 * single.total, single.total > batched.total > assisted.total
    (True, True)
    """
    monitors = {
        "trap and emulate": _unchanged(TrapAndEmulate),
        "hypercalls, one by one": _paravirtual(PORTED),
        "hypercalls, in batches": _paravirtual(BATCHED),
        "hardware-assisted": _unchanged(Assisted),
    }
    outcomes = []
    for name, monitor in monitors.items():
        monitor.run()
        outcomes.append(Outcome(name, monitor.console, monitor.retired, monitor.exits))
    return outcomes
