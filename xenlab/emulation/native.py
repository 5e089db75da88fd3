"""Machine code run by the processor itself: what an emulator is measured against."""

from __future__ import annotations

import ctypes
import mmap
import platform

from xenlab.commands import XenlabError
from xenlab.emulation.x86 import COLLATZ, assemble


class Native:
    """A piece of x86-64 code in executable memory, called as a function that returns what it leaves in eax.

    Raises `XenlabError` where this processor is another one, or where the system lets no program make code.
    """

    def __init__(self, code: bytes) -> None:
        if platform.machine() not in ("x86_64", "AMD64"):
            raise XenlabError(f"native code needs an x86-64 processor; this one is {platform.machine()}")
        try:
            self._memory = mmap.mmap(
                -1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
            )
        except (OSError, PermissionError) as error:
            raise XenlabError(
                f"native code needs executable memory, which this system refuses: {error}"
            ) from None
        self._memory.write(code + b"\xc3")  # ret
        self._view = ctypes.c_char.from_buffer(self._memory)
        self._call = ctypes.CFUNCTYPE(ctypes.c_uint32)(ctypes.addressof(self._view))

    def __call__(self) -> int:
        """Run it."""
        return int(self._call())


def saving_registers(body: str) -> str:
    """Keep the registers that a caller expects to find again.

    >>> saving_registers("    nop").split()
    ['push', 'rdi', 'push', 'rsi', 'nop', 'pop', 'rsi', 'pop', 'rdi']
    """
    return f"    push rdi\n    push rsi\n{body}\n    pop rsi\n    pop rdi\n"


def collatz(starts: int) -> Native:
    """The longest way to 1 by Collatz's rule, for all starts below `starts`, as native code.

    >>> import platform
    >>> platform.machine() != "x86_64" or collatz(2000)() == 181
    True
    """
    return Native(assemble(saving_registers(COLLATZ.format(starts=starts)), 0))
