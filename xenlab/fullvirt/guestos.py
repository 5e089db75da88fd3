"""An operating system for Nib: page tables, two tasks that take turns, memory for them when they touch it.

It takes 1,024 words of memory for granted, and a serial port at 0x3f8. It knows nothing of monitors.

| memory | what |
|---|---|
| 0x000 | the kernel |
| 0x100 | page tables: entries for all 64 pages of memory, for the kernel only |
| 0x140, 0x150 | the tasks' root tables |
| 0x160 | table for the tasks' program, which they share |
| 0x170, 0x180 | tables for the tasks' heaps |
| 0x1c0 | the tasks' program |
| 0x200 | free |

A task sees its program at 0x800 and its heap at 0x900. A page of the heap gets memory when it is touched for the first
time. Tasks have registers r0 to r7; r8 to r15 belong to the kernel, and a task would lose them at any moment.
"""

from __future__ import annotations

from xenlab.emulation.assembler import Program, assemble

#: Words of memory that the system needs, and where its tasks' program lies and is seen.
MEMORY, TASK_AT, TASK_SEEN_AT = 1024, 0x1C0, 0x800

KERNEL = """\
        .equ QUANTUM, 60          ; instructions until the next task's turn
boot:   li   r8, trap
        wrsr tvec, r8
        li   r8, hello            ; say who is there
say:    lw   r9, [r8]
        li   r10, 0
        beq  r9, r10, map
        out  0x3f8, r9
        addi r8, r8, 1
        jmp  say

map:    li   r8, 0                ; page tables: all memory where it is …
        li   r9, 64
page:   shli r10, r8, 4
        ori  r10, r10, 3          ; … present and writable, for the kernel only
        sw   r10, [r8+0x100]
        addi r8, r8, 1
        blt  r8, r9, page
        li   r8, entries          ; and what the tasks have of their own
entry:  lw   r9, [r8]
        li   r10, 0
        beq  r9, r10, first
        lw   r10, [r8+1]
        sw   r10, [r9]
        addi r8, r8, 2
        jmp  entry
first:  li   r8, current
        li   r9, task1
        li   r10, QUANTUM
        wrsr timer, r10
        jmp  resume

trap:   rdsr r8, cause            ; ---- every trap comes here
        li   r9, 6
        beq  r8, r9, call
        li   r9, 7
        beq  r8, r9, tick
        rdsr r8, tval             ; anything else is taken for a fault
        shri r9, r8, 8
        li   r10, 9
        bne  r9, r10, exit        ; not in the heap: end the task
        li   r11, free            ; take a frame of memory
        lw   r12, [r11]
        addi r13, r12, 1
        sw   r13, [r11]
        shli r12, r12, 4
        ori  r12, r12, 7          ; present, writable, for the task
        li   r9, current
        lw   r9, [r9]
        lw   r9, [r9+11]          ; the table for its heap
        shri r8, r8, 4
        andi r8, r8, 15
        add  r9, r9, r8
        sw   r12, [r9]
        rett

call:   li   r9, 1                ; ---- r0 = 1: write the character in r1
        bne  r0, r9, exit
        li   r9, 0
wait:   in   r8, 0x3fd
        andi r8, r8, 0x20
        beq  r8, r9, wait
        out  0x3f8, r1
        rett

exit:   li   r8, current          ; ---- r0 = 0: the task ends
        lw   r9, [r8]
        lw   r10, [r9+10]
        beq  r10, r9, end
        sw   r10, [r10+10]        ; the other one is alone now
        addi r9, r10, 0
        jmp  resume
end:    halt

tick:   li   r8, QUANTUM          ; ---- the next task's turn
        wrsr timer, r8
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
        rdsr r10, epc
        sw   r10, [r9+8]
        lw   r9, [r9+10]
resume: sw   r9, [r8]             ; r8: current, r9: the task to go on with
        lw   r10, [r9+9]
        wrsr ptbr, r10
        lw   r10, [r9+8]
        wrsr epc, r10
        li   r10, 2               ; to user mode, with interrupts let in
        wrsr status, r10
        lw   r0, [r9]
        lw   r1, [r9+1]
        lw   r2, [r9+2]
        lw   r3, [r9+3]
        lw   r4, [r9+4]
        lw   r5, [r9+5]
        lw   r6, [r9+6]
        lw   r7, [r9+7]
        rett

hello:  .ascii "Nib OS\\n"
free:   .word 0x20                ; the next free frame
current: .word 0
; a task: r0 to r7, where it stands, its root table's frame, the next task, the table for its heap
task1:  .word 0 'A' 0 0 0 0 0 0  0x800 0x14 task2 0x170
task2:  .word 0 'a' 0 0 0 0 0 0  0x800 0x15 task1 0x180
; page-table entries: where, and what
entries: .word 0x140 0x101 0x141 0x111 0x142 0x121 0x143 0x131
        .word 0x150 0x101 0x151 0x111 0x152 0x121 0x153 0x131
        .word 0x148 0x161 0x158 0x161 0x160 0x1c5 0x161 0x1d5
        .word 0x149 0x171 0x159 0x181 0
"""

#: What both tasks run; r1 is the task's own first letter.
TASK = """\
        .org 0x800
        li   r4, 0x900            ; six letters, each to a page of its own
        li   r3, 6
write:  sw   r1, [r4]
        addi r1, r1, 1
        addi r4, r4, 16
        addi r3, r3, -1
        bne  r3, r2, write
        li   r4, 0x900            ; read them back, and write them to the serial port
        li   r3, 6
read:   lw   r1, [r4]
        li   r0, 1
        syscall
        li   r5, 20
idle:   addi r5, r5, -1           ; think a while
        bne  r5, r2, idle
        addi r4, r4, 16
        addi r3, r3, -1
        bne  r3, r2, read
        li   r0, 0
        syscall
"""


def image(kernel: str = KERNEL, task: str = TASK) -> Program:
    """The system as it lies in memory before it boots: the kernel, and the tasks' program.

    >>> from xenlab.emulation.machine import Machine
    >>> machine = Machine(MEMORY)
    >>> machine.load(image())
    >>> machine.run().cause.words
    'halt'
    >>> print(machine.console)
    Nib OS
    AaBbCcDdEeFf
    """
    made, program = assemble(kernel), assemble(task)
    move = TASK_AT - TASK_SEEN_AT
    return Program(
        dict(made.words) | {at + move: word for at, word in program.words.items()},
        dict(made.labels),
        dict(made.lines) | {at + move: line for at, line in program.lines.items()},
    )
