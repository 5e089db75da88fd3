"""Run a foreign program's machine code on this processor, in a process of its own: `python -m xenlab.library.native`.

The code is not changed. Between it and the layer stands one small piece of machine code for each imported function,
which moves the arguments from where Windows leaves them to where Linux looks for them.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import sys
from pathlib import Path

from xenlab.library.foreign import Executable, assemble
from xenlab.library.layer import Exited, Layer

#: At the entry the return address is at RSP, 32 bytes of room follow, then the fifth argument; two pushes move it on.
BRIDGE = """
    push rdi
    push rsi
    mov rdi, rcx
    mov rsi, rdx
    mov rdx, r8
    mov rcx, r9
    mov r8, [rsp + 0x38]
    sub rsp, 8
    movabs rax, {target}
    call rax
    add rsp, 8
    pop rsi
    pop rdi
    ret
"""
HANDLER = ctypes.CFUNCTYPE(ctypes.c_uint64, *[ctypes.c_uint64] * 5)


class OwnMemory:
    """This process's memory: native code shares it."""

    def read(self, address: int, size: int) -> bytes:
        """The bytes at an address."""
        return ctypes.string_at(address, size)

    def write(self, address: int, data: bytes) -> None:
        """Put bytes at an address."""
        ctypes.memmove(address, data, len(data))


def run(program: Executable, report: Path) -> None:
    """Run the program; it ends this process, with its own exit status, and leaves its calls in `report` as JSON."""
    layer = Layer(OwnMemory(), output=1)

    def handler(name: str) -> ctypes._CFunctionType:
        def answer(*arguments: int) -> int:
            try:
                return layer.call(name, arguments)
            except Exited as ended:
                report.write_text(json.dumps([call.stored() for call in layer.calls]))
                os._exit(ended.status)

        return HANDLER(answer)

    handlers = [handler(name) for name in program.imports]
    bridges = [assemble(BRIDGE.format(target=ctypes.cast(each, ctypes.c_void_p).value)) for each in handlers]
    memory = mmap.mmap(-1, 1 << 16, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    places, at = [], 8 * len(bridges)
    for code in [*bridges, program.code]:
        memory[at : at + len(code)] = code
        places.append(base + at)
        at += len(code)
    *table, start = places
    memory[: 8 * len(table)] = b"".join(place.to_bytes(8, "little") for place in table)
    # The table's address goes where Windows has a first argument: RCX, the fourth of Linux.
    ctypes.CFUNCTYPE(None, *[ctypes.c_uint64] * 4)(start)(0, 0, 0, base)


if __name__ == "__main__":
    run(Executable.unpack(Path(sys.argv[1]).read_bytes()), Path(sys.argv[2]))
