"""The same guest on a bare machine and under each monitor: how often it exits and why, and what its addresses cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xenlab.emulation.assembler import Program
from xenlab.emulation.machine import Machine
from xenlab.fullvirt.assisted import Assisted
from xenlab.fullvirt.guestos import MEMORY, image
from xenlab.fullvirt.monitor import Monitor
from xenlab.fullvirt.trapping import TrapAndEmulate

#: What exits are about, with the reasons that belong to each.
GROUPS: dict[str, tuple[str, ...]] = {
    "privileged instructions": (
        *(f"privileged: {name}" for name in ("rdsr", "wrsr", "rett", "flush", "halt")),
        "halt",
    ),
    "devices": ("privileged: in", "privileged: out", "input or output", "timer"),
    "the guest's own traps": (
        "system call",
        "page fault of the guest's",
        "privileged instruction in user mode",
        "no such instruction",
        "no such memory",
    ),
    "page tables": (
        "page missing in the shadow",
        "write to a page table",
        "page missing in the nested table",
    ),
}


def grouped(exits: Counter[str]) -> dict[str, int]:
    """Exits by what they are about; whatever has no group of its own stands under ``other``, if there is any.

    >>> grouped(Counter({"privileged: in": 2, "halt": 1}))
    {'privileged instructions': 1, 'devices': 2, "the guest's own traps": 0, 'page tables': 0}
    """
    known = {reason: group for group, reasons in GROUPS.items() for reason in reasons}
    found = dict.fromkeys(GROUPS, 0)
    for reason, count in exits.items():
        group = known.get(reason, "other")
        found[group] = found.get(group, 0) + count
    return found


@dataclass(frozen=True)
class Outcome:
    """How the guest fared: what it printed, instructions of its own, exits, walks of the MMU and their references.

    `software` are references that the monitor made when it walked the guest's tables itself.
    """

    name: str
    console: str
    instructions: int
    exits: Counter[str]
    walks: int
    references: int
    software: int = 0

    @property
    def total(self) -> int:
        """All exits."""
        return sum(self.exits.values())


MONITORS: dict[str, Callable[[], Monitor]] = {
    "trap and emulate": TrapAndEmulate,
    "binary translation": lambda: TrapAndEmulate(translating=True),
    "hardware-assisted": Assisted,
}


def compare(program: Program | None = None) -> list[Outcome]:
    """Run a program, the book's guest if none is given, on a bare machine and under each monitor.

    >>> [each.console == compare()[0].console for each in compare()]
    [True, True, True, True]
    """
    made = program or image()
    machine = Machine(MEMORY)
    machine.load(made)
    machine.run()
    cpu = machine.cpu
    outcomes = [
        Outcome("bare machine", machine.console, cpu.retired, Counter(), cpu.mmu.walks, cpu.mmu.references)
    ]
    for name, kind in MONITORS.items():
        monitor = kind()
        monitor.load(made)
        monitor.run()
        outcomes.append(_outcome(name, monitor))
    return outcomes


def _outcome(name: str, monitor: Monitor) -> Outcome:
    mmu = monitor.cpu.mmu
    software = 0 if monitor.virtual is monitor.cpu else monitor.virtual.mmu.references
    return Outcome(name, monitor.console, monitor.retired, monitor.exits, mmu.walks, mmu.references, software)


def table(outcomes: Sequence[Outcome]) -> str:
    """The outcomes as a table of text."""
    lines = [f"{'':<20}{'exits':>7}{'walks':>8}{'references':>12}{'in software':>13}"]
    lines += [
        f"{each.name:<20}{each.total:7,}{each.walks:8,}{each.references:12,}{each.software:13,}"
        for each in outcomes
    ]
    return "\n".join(lines)
