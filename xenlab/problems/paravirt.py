"""Exercises on paravirtualization: entries to the hypervisor, page tables that are checked, the paper's numbers.

>>> Slower.make(1).check("a lot").right
False
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Self

from xenlab.fullvirt.guestos import image
from xenlab.paravirt.driver import read, words
from xenlab.paravirt.guest import PvGuest
from xenlab.paravirt.monitor import Paravirtual
from xenlab.paravirt.port import PORTED
from xenlab.paravirt.sosp03 import LINUX, TABLE_3, TABLE_4, TABLE_5, UML, VMWARE, XEN, Measured
from xenlab.paravirt.trials import PAGE_TABLES
from xenlab.problems.base import Problem

_TASK = """\
        .org 0x800
        li   r4, 0x900
        li   r3, {pages}
touch:  sw   r3, [r4]
        addi r4, r4, 16
        addi r3, r3, -1
        bne  r3, r2, touch
        li   r3, {letters}
write:  li   r0, 1
        syscall
        addi r3, r3, -1
        bne  r3, r2, write
        li   r0, 0
        syscall
"""


@dataclass(frozen=True, repr=False)
class Entries(Problem):
    """How often does the hypervisor hear of a task that touches some pages and writes some letters?"""

    pages: int
    letters: int

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Make a task for the book's ported guest."""
        pages, letters = random.randint(1, 9), random.randint(1, 9)
        question = (
            "A task of the book's ported guest touches new pages, writes letters by system calls, and ends. How many "
            "exits does it cause? Count each trap that goes to the kernel, and each hypercall the kernel makes for it, "
            "*iret* too. Its end is a system call, and two hypercalls by which the other task goes on. No timer ends."
        )
        given = f"new pages  {pages}\nletters    {letters}"
        return cls(seed, question, given, pages, letters)

    def solve(self) -> int:
        """Run it: count from the task's first instruction to the first one of the other task."""
        monitor = Paravirtual()
        kernel = re.sub(r"QUANTUM, \d+", "QUANTUM, 30000", PORTED)
        monitor.load(image(kernel, _TASK.format(pages=self.pages, letters=self.letters)))
        monitor.run()
        starts = [
            place for place, each in enumerate(monitor.log) if each.reason == "hypercall: new_user_table"
        ]
        return starts[1] - starts[0]  # the switch itself is among them, the first iret is not this task's

    def hint(self, answer: Any) -> str:
        """Say what each thing costs."""
        return (
            f"A new page: the fault, mmu_update, iret. A letter: the system call, console_write, iret. So 3 × "
            f"({self.pages} + {self.letters}); at the end a system call, new_user_table and iret, 3 more."
        )


_REQUESTS = ("store-ro", "map-rw-again", "pin", "unpin")
_SAID = {
    "store-ro": "write the entry: read-only",
    "map-rw-again": "map the page, writable",
    "pin": "pin the page as a table",
    "unpin": "unpin it",
}


@dataclass(frozen=True, repr=False)
class LastAnswer(Problem):
    """What does Xen say to the last of a few requests about one page?"""

    requests: tuple[str, ...]

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Make four requests; the last one is refused about as often as it is granted."""
        wanted = random.random() < 0.5
        while True:
            requests = tuple(random.choices(_REQUESTS, k=4))
            if (_ask(requests) == "0") is wanted:
                break
        question = (
            "A PV guest has a page that is mapped once, writable. Its kernel makes these requests, one after the "
            "other. Xen may refuse some; then nothing changes. Is the last one `done` or `refused`?"
        )
        given = "\n".join(f"{number}. {_SAID[each]}" for number, each in enumerate(requests, start=1))
        return cls(seed, question, given, requests)

    def solve(self) -> str:
        """Let a guest ask the model of Xen."""
        return "done" if _ask(self.requests) == "0" else "refused"

    def hint(self, answer: Any) -> str:
        """Say the rule."""
        return (
            "A frame is writable or a table, never both. A page that is pinned is a table until it is unpinned; a page "
            "that is mapped writable cannot be pinned. Pinning twice, and unpinning what is not pinned, is refused."
        )


def _ask(requests: tuple[str, ...]) -> str:
    steps = {trial.step.name: trial.step for trial in PAGE_TABLES}
    fill = "lea rax, [rip + page]; call frame_of; mov [rip + extended + 8], rax; "
    pin = steps["pin-again"].code
    codes = {
        "store-ro": steps["store-ro"].code,
        "map-rw-again": steps["map-rw-again"].code,
        "pin": f"{fill}mov qword ptr [rip + extended], 0; {pin}",
        "unpin": f"{fill}mov qword ptr [rip + extended], 4; {pin}",
    }
    first = replace(steps["assist"], data="extended: .quad 0, 0, 0")
    made = [type(first)(f"step-{number}", codes[each]) for number, each in enumerate(requests)]
    guest = PvGuest.alone([first, *made])
    guest.run()
    return words(read(guest.printed))[made[-1].name]


@dataclass(frozen=True, repr=False)
class Slower(Problem):
    """By how many percent is something slower than on Linux alone?"""

    row: Measured
    system: str

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Take a row of the paper's tables of times, and a system."""
        rows = [row for row in (*TABLE_3, *TABLE_4, *TABLE_5) if row.values[XEN] > 1.05 * row.values[LINUX]]
        row, system = random.choice(rows), random.choice((XEN, XEN, VMWARE, UML))
        question = (
            f"The paper of 2003 measured this. By how many percent of Linux's time does {system} take *longer*? "
            "Round to a whole number."
        )
        given = "\n".join(f"{name:<7} {row.values[name]:>7g} {row.unit}" for name in (LINUX, system))
        return cls(seed, question, f"{row.what}\n\n{given}", row, system)

    def solve(self) -> int:
        """Return the percentage."""
        return round(100 * (self.row.values[self.system] / self.row.values[LINUX] - 1))

    def hint(self, answer: Any) -> str:
        """Show the sum."""
        there, alone = self.row.values[self.system], self.row.values[LINUX]
        return f"({there:g} - {alone:g}) / {alone:g}, in percent."
