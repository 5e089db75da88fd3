"""The translation layer: Windows' functions, done by Linux's.

This is what Wine does for thousands of functions. Each one here takes the arguments where Windows leaves them, does the
work with what the host has, and answers as Windows would.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from xenlab.commands import XenlabError

#: GetStdHandle's argument for the standard output, (DWORD)-11 (winbase.h).
STD_OUTPUT_HANDLE = 0xFFFFFFF5
INVALID_HANDLE = (1 << 64) - 1


class Exited(Exception):
    """The foreign program has called ExitProcess."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class NotTranslated(XenlabError):
    """The foreign program calls a function that the layer does not have."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"function(={name!r}) must be one that the layer translates: {', '.join(FUNCTIONS)}; "
            "write it in xenlab.library.layer"
        )


class Memory(Protocol):
    """The foreign program's memory."""

    def read(self, address: int, size: int) -> bytes:
        """The `size` bytes at an address."""

    def write(self, address: int, data: bytes) -> None:
        """Put bytes at an address."""


@dataclass(frozen=True)
class Call:
    """One call that was translated: the function, its arguments, the answer, and what the host did instead."""

    function: str
    arguments: tuple[int, ...]
    answer: int | None
    done: str

    def stored(self) -> dict[str, Any]:
        """The call as JSON has it."""
        return asdict(self)


class Layer:
    """Answers the calls of one foreign program, and keeps them.

    Args:
        memory: The program's memory.
        output: File descriptor for what it writes to its standard output.

    """

    def __init__(self, memory: Memory, output: int) -> None:
        self.memory, self.output = memory, output
        self.calls: list[Call] = []

    def call(self, name: str, arguments: tuple[int, ...]) -> int:
        """Do what Windows' function `name` would do; returns its answer.

        Args:
            name: The function.
            arguments: Five 64-bit words: four from registers, the fifth from the stack. Not all of them mean something.

        Raises:
            NotTranslated: The layer does not have this function.
            Exited: It was ExitProcess.

        """
        if name not in FUNCTIONS:
            raise NotTranslated(name)
        count, function = FUNCTIONS[name]
        used = arguments[:count]
        try:
            answer, done = function(self, *used)
        except Exited as ended:
            self.calls.append(Call(name, used, None, f"exit({ended.status})"))
            raise
        self.calls.append(Call(name, used, answer, done))
        return answer

    def get_std_handle(self, which: int) -> tuple[int, str]:
        """A handle for a standard stream; only the output here."""
        if which & 0xFFFFFFFF != STD_OUTPUT_HANDLE:
            return INVALID_HANDLE, "nothing: only the standard output is translated"
        return self.output, f"file descriptor {self.output}"

    def write_file(
        self, handle: int, text: int, size: int, written: int, _overlapped: int
    ) -> tuple[int, str]:
        """Write bytes, tell how many where the fourth argument points, and answer TRUE."""
        count = os.write(handle, self.memory.read(text, size))
        self.memory.write(written, count.to_bytes(4, "little"))
        return 1, f"write({handle}, …, {size})"

    def sleep(self, milliseconds: int) -> tuple[int, str]:
        """Wait."""
        time.sleep(milliseconds / 1000)
        return 0, f"nanosleep({milliseconds * 1_000_000} ns)"

    def get_tick_count(self) -> tuple[int, str]:
        """Milliseconds since the system was started."""
        return time.monotonic_ns() // 1_000_000, "clock_gettime(CLOCK_MONOTONIC)"

    def exit_process(self, status: int) -> tuple[int, str]:
        """End the program."""
        raise Exited(status & 0xFFFFFFFF)


#: How many arguments each function takes, and who does it.
FUNCTIONS: dict[str, tuple[int, Callable[..., tuple[int, str]]]] = {
    "GetStdHandle": (1, Layer.get_std_handle),
    "WriteFile": (5, Layer.write_file),
    "Sleep": (1, Layer.sleep),
    "GetTickCount64": (0, Layer.get_tick_count),
    "ExitProcess": (1, Layer.exit_process),
}
