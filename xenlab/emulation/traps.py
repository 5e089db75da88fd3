"""Traps: why the processor leaves a program and calls the supervisor."""

from __future__ import annotations

from enum import IntEnum


class Cause(IntEnum):
    """Why. The first eight the supervisor finds in `cause`; the others stop the machine or call a monitor below it."""

    ILLEGAL = 1
    PRIVILEGED = 2
    FETCH = 3
    LOAD = 4
    STORE = 5
    SYSCALL = 6
    TIMER = 7
    HALT = 16
    IO = 17
    NESTED = 18
    DOUBLE = 19

    @property
    def words(self) -> str:
        """The cause in words."""
        return _WORDS[self]

    @property
    def is_fault(self) -> bool:
        """Is it about an address?"""
        return self in (Cause.FETCH, Cause.LOAD, Cause.STORE)


_WORDS = {
    Cause.ILLEGAL: "no such instruction",
    Cause.PRIVILEGED: "privileged instruction in user mode",
    Cause.FETCH: "address fault at an instruction",
    Cause.LOAD: "address fault at a load",
    Cause.STORE: "address fault at a store",
    Cause.SYSCALL: "system call",
    Cause.TIMER: "timer",
    Cause.HALT: "halt",
    Cause.IO: "input or output",
    Cause.NESTED: "fault in the nested page table",
    Cause.DOUBLE: "trap before the handler's first instruction",
}


class Trap(Exception):
    """A trap, with its cause and what it is about.

    `value` is the address for a fault, the instruction's word for an illegal or privileged one, the port for input or
    output, else 0. A fault in the nested table is about what the guest takes for a physical address; `access` is the
    fault that the guest would have had.
    """

    def __init__(self, cause: Cause, value: int = 0) -> None:
        super().__init__(f"{cause.words} ({value:#x})")
        self.cause = cause
        self.value = value
        self.access: Trap | None = None
