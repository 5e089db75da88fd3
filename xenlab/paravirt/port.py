"""The operating system of `xenlab.fullvirt.guestos`, ported: where it touched the machine, it calls the hypervisor.

The tasks' program stays as it is, word for word. In the kernel everything privileged is gone:

| before | after |
|---|---|
| ``wrsr``, ``rett``, ``halt`` | a hypercall |
| ``rdsr`` | an ordinary load from the page that hypervisor and guest share |
| ``in``, ``out``, one letter at a time | a hypercall with a whole text |
| a store to a page table | a hypercall, which checks it |
| frames numbered from 0 | the machine's frames, looked up in the table p2m |

A hypercall is ``syscall``, as on x86-64: the hypervisor knows whether the kernel or a task made it. Its number is in
r8, its arguments are in r9 and r10, and its result comes back in r8.

| memory | what |
|---|---|
| 0x1a0 | the shared page: cause, value and place of the last trap |
| 0x100, 0x190 | the kernel's page tables, made by whoever built the guest |
| 0x3c0 | p2m: which frame of the machine each page is |
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

from xenlab.emulation.assembler import Program
from xenlab.fullvirt.guestos import KERNEL, image

#: Numbers of the hypercalls; a multicall holds a number, two arguments and room for a result for each call.
CONSOLE, SET_TRAP, MMU_UPDATE, NEW_USER_TABLE, SET_TIMER, IRET, SHUTDOWN, MULTICALL = range(8)
HYPERCALLS = (
    "console_write",
    "set_trap",
    "mmu_update",
    "new_user_table",
    "set_timer",
    "iret",
    "shutdown",
    "multicall",
)
#: Where the guest finds what the hypervisor tells it.
SHARED, KERNEL_TABLES, KERNEL_ROOT, P2M = 0x1A0, 0x100, 0x190, 0x3C0
SHARED_CAUSE, SHARED_VALUE, SHARED_PLACE = range(3)
#: What calls that are refused return.
REFUSED = 0xFFFF_FFFF

_QUANTUM = next(line for line in KERNEL.splitlines() if "QUANTUM," in line)
PORTED = f"""\
{_QUANTUM}
        .equ cause, 0x1a0
        .equ tval, 0x1a1
        .equ epc, 0x1a2
        .equ p2m, 0x3c0
boot:   li   r9, trap
        li   r8, 1                ; set_trap
        syscall
        li   r9, hello            ; say who is there
        li   r10, 7
        li   r8, 0                ; console_write
        syscall

        li   r12, entries         ; page tables: what the tasks have of their own
entry:  lw   r9, [r12]
        li   r10, 0
        beq  r9, r10, first
        lw   r10, [r12+1]
        jal  ra, update
        addi r12, r12, 2
        jmp  entry
first:  li   r11, task1
        li   r9, QUANTUM
        li   r8, 4                ; set_timer
        syscall
        jmp  resume

update: addi r11, ra, 0           ; r9: a place, r10: an entry for it, with our own numbers of pages
        addi r13, r9, 0
        addi r9, r10, 0
        jal  ra, machine
        addi r10, r9, 0
        addi r9, r13, 0
        jal  ra, machine
        li   r8, 2                ; mmu_update
        syscall
        jr   r11

machine: shri r8, r9, 4           ; r9: our own number of a page, and four bits more -> the machine's
        lw   r8, [r8+p2m]
        shli r8, r8, 4
        andi r9, r9, 15
        or   r9, r9, r8
        jr   ra

trap:   li   r9, cause            ; ---- every trap comes here
        lw   r8, [r9]
        li   r9, 6
        beq  r8, r9, call
        li   r9, 7
        beq  r8, r9, tick
        li   r9, tval             ; anything else is taken for a fault
        lw   r8, [r9]
        shri r9, r8, 8
        li   r10, 9
        bne  r9, r10, exit        ; not in the heap: end the task
        li   r11, free            ; take a frame of memory
        lw   r12, [r11]
        addi r13, r12, 1
        sw   r13, [r11]
        shli r10, r12, 4
        ori  r10, r10, 7          ; present, writable, for the task
        li   r9, current
        lw   r9, [r9]
        lw   r9, [r9+11]          ; the table for its heap
        shri r8, r8, 4
        andi r8, r8, 15
        add  r9, r9, r8
        jal  ra, update
        li   r8, 5                ; iret
        syscall

call:   li   r9, 1                ; ---- r0 = 1: write the character in r1
        bne  r0, r9, exit
        li   r9, letter
        sw   r1, [r9]
        li   r10, 1
        li   r8, 0                ; console_write
        syscall
        li   r8, 5                ; iret
        syscall

exit:   li   r8, current          ; ---- r0 = 0: the task ends
        lw   r9, [r8]
        lw   r11, [r9+10]
        beq  r11, r9, end
        sw   r11, [r11+10]        ; the other one is alone now
        jmp  resume
end:    li   r8, 6                ; shutdown
        syscall

tick:   li   r9, QUANTUM          ; ---- the next task's turn
        li   r8, 4                ; set_timer
        syscall
        li   r8, current
        lw   r9, [r8]
        sw   r0, [r9]
        sw   r1, [r9+1]
        sw   r2, [r9+2]
        sw   r3, [r9+3]
        sw   r4, [r9+4]
        sw   r5, [r9+5]
        sw   r6, [r9+6]
        sw   r7, [r9+7]
        li   r10, epc
        lw   r10, [r10]
        sw   r10, [r9+8]
        lw   r11, [r9+10]
resume: li   r8, current          ; r11: the task to go on with
        sw   r11, [r8]
        lw   r9, [r11+9]
        lw   r9, [r9+p2m]
        li   r8, 3                ; new_user_table
        syscall
        lw   r10, [r11+8]
        li   r9, epc
        sw   r10, [r9]
        lw   r0, [r11]
        lw   r1, [r11+1]
        lw   r2, [r11+2]
        lw   r3, [r11+3]
        lw   r4, [r11+4]
        lw   r5, [r11+5]
        lw   r6, [r11+6]
        lw   r7, [r11+7]
        li   r8, 5                ; iret: to the task, with interrupts let in
        syscall

hello:  .ascii "Nib OS\\n"
letter: .word 0
free:   .word 0x20                ; the next free frame
current: .word 0
; a task: r0 to r7, where it stands, its root table's frame, the next task, the table for its heap
task1:  .word 0 'A' 0 0 0 0 0 0  0x800 0x14 task2 0x170
task2:  .word 0 'a' 0 0 0 0 0 0  0x800 0x15 task1 0x180
; page-table entries: where, and what; first, the pages of the tasks' tables shall be read-only for ourselves
entries: .word 0x114 0x145 0x115 0x155 0x116 0x165 0x117 0x175 0x118 0x185
        .word 0x148 0x161 0x158 0x161 0x160 0x1c5 0x161 0x1d5
        .word 0x149 0x171 0x159 0x181 0
"""

#: Where the batches are written, in memory that is still free.
_COLLECT = """\
        li   r12, entries         ; page tables: what the tasks have of their own
        li   r13, batch
        li   r10, 0
entry:  lw   r9, [r12]
        beq  r9, r10, ready
        jal  ra, machine
        sw   r9, [r13+1]
        lw   r9, [r12+1]
        jal  ra, machine
        sw   r9, [r13+2]
        li   r9, 2                ; mmu_update
        sw   r9, [r13]
        addi r12, r12, 2
        addi r13, r13, 4
        jmp  entry
ready:  li   r9, batch
        sub  r10, r13, r9
        shri r10, r10, 2
        li   r8, 7                ; multicall
        syscall
"""
_ONE_BY_ONE = """\
        li   r12, entries         ; page tables: what the tasks have of their own
entry:  lw   r9, [r12]
        li   r10, 0
        beq  r9, r10, first
        lw   r10, [r12+1]
        jal  ra, update
        addi r12, r12, 2
        jmp  entry
"""
_TICK = """\
tick:   li   r9, QUANTUM          ; ---- the next task's turn
        li   r8, 4                ; set_timer
        syscall
        li   r8, current
"""
_BATCHED_TICK = """\
tick:   li   r8, current          ; ---- the next task's turn
"""
_TURN = """\
        sw   r10, [r9+8]
        lw   r11, [r9+10]
"""
_BATCHED_TURN = """\
        sw   r10, [r9+8]
        lw   r11, [r9+10]
        li   r8, current
        sw   r11, [r8]
        lw   r9, [r11+9]
        lw   r9, [r9+p2m]
        li   r10, turn
        sw   r9, [r10+5]
        li   r9, turn
        li   r10, 2
        li   r8, 7                ; multicall: set_timer, new_user_table
        syscall
        jmp  back
"""
_RESUME, _BATCHED_RESUME = "        lw   r10, [r11+8]\n", "back:   lw   r10, [r11+8]\n"
_DATA, _BATCHED_DATA = (
    "letter: .word 0\n",
    "letter: .word 0\nturn:   .word 4 QUANTUM 0 0  3 0 0 0\n        .equ batch, 0x300\n",
)


def _batched() -> str:
    text = PORTED
    for old, new in (
        (_ONE_BY_ONE, _COLLECT),
        (_TICK, _BATCHED_TICK),
        (_TURN, _BATCHED_TURN),
        (_RESUME, _BATCHED_RESUME),
        (_DATA, _BATCHED_DATA),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


#: The same kernel with its hypercalls in batches: the tasks' tables at boot, and the two calls of every turn.
BATCHED = _batched()


def ported(kernel: str = PORTED) -> Program:
    """The ported system as it lies in memory before it boots; its tasks' program is the unported one.

    >>> from xenlab.fullvirt.guestos import TASK_AT
    >>> [ported().words[TASK_AT + n] == image().words[TASK_AT + n] for n in (0, 1, 2)]
    [True, True, True]
    """
    return image(kernel)


@dataclass(frozen=True)
class Change:
    """One line of a difference: taken out (``-``), put in (``+``), or as it was (a space)."""

    sign: str
    text: str


def difference(old: str = KERNEL, new: str = PORTED, around: int = 1) -> list[Change]:
    """What was changed in a kernel, line by line, with so many lines around each change.

    >>> [change.sign + change.text for change in difference("a\\nb", "a\\nc", around=0)]
    ['@…', '-b', '+c']
    """
    return list(_difference(old.splitlines(), new.splitlines(), around))


def _difference(old: list[str], new: list[str], around: int) -> Iterator[Change]:
    for line in list(difflib.unified_diff(old, new, lineterm="", n=around))[2:]:
        yield Change("@", "…") if line.startswith("@@") else Change(line[0], line[1:])


def counted(changes: list[Change]) -> tuple[int, int]:
    """How many lines were taken out, and how many put in."""
    return sum(each.sign == "-" for each in changes), sum(each.sign == "+" for each in changes)
