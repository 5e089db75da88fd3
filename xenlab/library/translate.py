"""A foreign program, run: its code on this processor where that is possible, else on an emulated one."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xenlab.commands import XenlabError
from xenlab.library.foreign import Executable
from xenlab.library.layer import Call, Exited, Layer

DEADLINE = 20.0  # seconds
#: Where the emulated program has its code, the table of functions with the places behind them, and its stack.
CODE, TABLE, STACK = 0x10000, 0x20000, 0x30000
PAGE = 0x1000


@dataclass(frozen=True)
class Outcome:
    """What a foreign program did: what it wrote, its exit status, the calls that were translated, and where it ran."""

    output: str
    status: int
    calls: tuple[Call, ...]
    where: str


def run(program: Executable) -> Outcome:
    """Run a foreign program on this processor if it can; if not, on an emulated one, and say why.

    >>> from xenlab.library.foreign import hello
    >>> outcome = run(hello())
    >>> outcome.output, outcome.status, [call.function for call in outcome.calls][-1]
    ('Hello from another system.\\n', 0, 'ExitProcess')
    """
    try:
        return run_native(program)
    except NotHere as why:
        outcome = run_emulated(program)
        return replace(outcome, where=f"{outcome.where} ({why})")


class NotHere(XenlabError):
    """The code cannot be run on this machine's processor."""


def run_native(program: Executable) -> Outcome:
    """Run the code on this processor, in a process of its own, which has 20 s.

    Raises:
        NotHere: This is no x86-64 under Linux, or that process ended without a report: the system forbids such code, or
            the program did something wild.

    """
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise NotHere(
            f"the code needs Linux on x86_64, and this is {platform.system()} on {platform.machine()}"
        )
    with tempfile.TemporaryDirectory(prefix="xenlab-foreign-") as folder:
        file, report = Path(folder, "program"), Path(folder, "report")
        file.write_bytes(program.pack())
        argv = [sys.executable, "-m", "xenlab.library.native", str(file), str(report)]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE)
        except subprocess.TimeoutExpired as error:
            raise NotHere(f"the foreign program must end within {DEADLINE:.0f} s, and was ended") from error
        if not report.exists():
            said = done.stderr.strip().splitlines()[-1:] or [f"status {done.returncode}"]
            raise NotHere(f"the foreign program must call ExitProcess, and ended without: {said[0]}")
        calls = tuple(
            Call(each["function"], tuple(each["arguments"]), each["answer"], each["done"])
            for each in json.loads(report.read_text())
        )
    return Outcome(done.stdout, done.returncode, calls, f"on this {platform.machine()} processor")


class _EmulatedMemory:
    """The memory of an emulated processor."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def read(self, address: int, size: int) -> bytes:
        return bytes(self._engine.mem_read(address, size))

    def write(self, address: int, data: bytes) -> None:
        self._engine.mem_write(address, data)


def run_emulated(program: Executable) -> Outcome:
    """Run the code on an emulated processor (Unicorn); the layer works on the host as ever.

    Raises:
        XenlabError: The program did not end by ExitProcess, or it calls what the layer does not have.

    """
    import unicorn
    from unicorn import x86_const as x86

    engine = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
    for start in (CODE, TABLE, STACK):
        engine.mem_map(start, PAGE)
    engine.mem_write(CODE, program.code)
    doors = [TABLE + 8 * len(program.imports) + number for number in range(len(program.imports))]
    engine.mem_write(
        TABLE, b"".join(door.to_bytes(8, "little") for door in doors) + b"\xc3" * len(doors)
    )  # ret
    engine.reg_write(x86.UC_X86_REG_RSP, STACK + PAGE - 0x108)
    engine.reg_write(x86.UC_X86_REG_RCX, TABLE)
    registers = (x86.UC_X86_REG_RCX, x86.UC_X86_REG_RDX, x86.UC_X86_REG_R8, x86.UC_X86_REG_R9)
    reader, writer = os.pipe()
    layer = Layer(_EmulatedMemory(engine), output=writer)
    ended: list[Exception] = []

    def enter(engine: Any, address: int, size: int, data: object) -> None:
        stack = engine.reg_read(x86.UC_X86_REG_RSP)
        fifth = int.from_bytes(engine.mem_read(stack + 0x28, 8), "little")
        arguments = (*(engine.reg_read(register) for register in registers), fifth)
        try:
            answer = layer.call(program.imports[doors.index(address)], arguments)
        except (Exited, XenlabError) as error:
            ended.append(error)
            engine.emu_stop()
            return
        engine.reg_write(x86.UC_X86_REG_RAX, answer)

    engine.hook_add(unicorn.UC_HOOK_CODE, enter, begin=doors[0], end=doors[-1])
    try:
        engine.emu_start(CODE, CODE + PAGE, timeout=int(DEADLINE * 1e6))
    except unicorn.UcError as error:
        raise XenlabError(f"the foreign program must end by ExitProcess, and crashed: {error}") from error
    finally:
        os.close(writer)
        with open(reader, encoding="utf-8") as pipe:
            output = pipe.read()
    match ended:
        case [Exited() as exited]:
            return Outcome(output, exited.status, tuple(layer.calls), "on an emulated processor")
        case [XenlabError() as problem]:
            raise problem
    raise XenlabError(f"the foreign program must end within {DEADLINE:.0f} s, and was ended")
