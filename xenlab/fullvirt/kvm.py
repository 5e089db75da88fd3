"""The smallest monitor on a real processor: Linux's KVM, driven from Python by its system calls.

The kernel does what only a kernel can: it enters guest mode, and comes back at an exit. The rest is ours: memory, the
registers to begin with, and the devices. All goes through ``ioctl`` on three files: ``/dev/kvm``, the machine, and its
processor, whose exits are read from a page shared with the kernel (Linux, Documentation/virt/kvm/api.rst and
include/uapi/linux/kvm.h).

A machine may have no KVM, forbid it, or have one that never comes back. So a run is tried in a process of its own, with
a deadline; where it fails, the same code runs on an emulated processor, and it is said why.

    python -m xenlab.fullvirt.kvm b0...f4      the child: runs 16-bit code, prints its exits as JSON
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass

from xenlab.commands import XenlabError
from xenlab.emulation.machine import Board
from xenlab.emulation.x86 import CODE, X86Machine, assemble

#: Seconds that a run may take.
DEADLINE = 10.0
MEMORY = 1 << 16
API_VERSION = 12
_GET_API_VERSION, _CREATE_VM, _GET_MMAP_SIZE, _CREATE_VCPU, _RUN = 0xAE00, 0xAE01, 0xAE04, 0xAE41, 0xAE80
_SET_MEMORY, _SET_REGS, _GET_SREGS, _SET_SREGS = 0x4020AE46, 0x4090AE82, 0x8138AE83, 0x4138AE84
_IO, _HLT = 2, 5
#: Why KVM came back (KVM_EXIT_…).
REASONS = {0: "unknown", 2: "port input or output", 5: "hlt", 6: "memory-mapped device", 8: "shutdown",
           9: "the processor refused to enter the guest", 17: "internal error"}  # fmt: skip

_HELLO = """\
    mov si, {text}
next:
    mov bl, byte ptr [si]
    test bl, bl
    jz done
wait:
    mov dx, 0x3fd
    in al, dx              # the line status register:
    test al, 0x20          # is there room to send?
    jz wait
    mov al, bl
    mov dx, 0x3f8
    out dx, al
    inc si
    jmp next
done:
    hlt
"""


@dataclass(frozen=True)
class Run:
    """How a guest ran: on ``KVM`` or ``an emulated processor``, its exits by reason, its console, and the seconds.

    `missing` says why KVM could not run it.
    """

    by: str
    exits: dict[str, int]
    console: str
    seconds: float
    missing: str = ""

    def __str__(self) -> str:
        why = f"KVM is not to be had here: {self.missing}.\n" if self.missing else ""
        counted = ", ".join(f"{count} × {reason}" for reason, count in self.exits.items())
        return f"{why}By {self.by}: {self.console!r}; exits: {counted}."

    __repr__ = __str__


def hello(text: str) -> bytes:
    """16-bit code that writes a text to the serial port, asking each time whether there is room, and halts."""
    length = len(assemble(_HELLO.format(text=CODE), CODE, 16))
    return assemble(_HELLO.format(text=CODE + length), CODE, 16) + text.encode("ascii") + b"\0"


def run(code: bytes, deadline: float = DEADLINE) -> Run:
    """Run 16-bit code that lies at 0x1000 until it halts, on KVM if that works here, else on an emulated processor."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "xenlab.fullvirt.kvm", code.hex()],
            capture_output=True,
            text=True,
            timeout=deadline,
        )
    except subprocess.TimeoutExpired:
        return emulated(code, f"it had not come back after {deadline:g} s")
    if done.returncode:
        return emulated(code, (done.stderr.strip().splitlines() or ["it ended without a word"])[-1])
    return Run(**json.loads(done.stdout))


def emulated(code: bytes, missing: str = "") -> Run:
    """Run the same code on an emulated processor: what would be exits are calls of its hooks.

    >>> emulated(hello("Hi")).exits
    {'port input or output': 4, 'hlt': 1}
    """
    machine = X86Machine(code, bits=16)
    begin = time.perf_counter()
    last = machine.run()
    took = time.perf_counter() - begin
    ports = sum(access.what in ("in", "out") for step in machine.steps for access in step.accesses)
    end = "hlt" if last == "hlt" else "it did not halt"
    exits = {reason: count for reason, count in (("port input or output", ports), (end, 1)) if count}
    return Run("an emulated processor", exits, machine.console, took, missing)


class Kvm:
    """One machine with one processor in real mode and 64 KiB of memory, code at 0x1000.

    Raises `XenlabError` where KVM is missing or forbidden.
    """

    def __init__(self, code: bytes) -> None:
        try:
            self._kvm = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise XenlabError(f"/dev/kvm cannot be opened: {error.strerror}") from None
        version = _ioctl(self._kvm, _GET_API_VERSION)
        if version != API_VERSION:
            raise XenlabError(f"KVM's interface (={version}) must be version {API_VERSION}")
        self._vm = _ioctl(self._kvm, _CREATE_VM)
        self._memory = mmap.mmap(-1, MEMORY)
        self._memory[CODE : CODE + len(code)] = code
        region = struct.pack("<IIQQQ", 0, 0, 0, MEMORY, _address(self._memory))
        _ioctl(self._vm, _SET_MEMORY, region)
        self._vcpu = _ioctl(self._vm, _CREATE_VCPU)
        self._shared = mmap.mmap(self._vcpu, _ioctl(self._kvm, _GET_MMAP_SIZE))
        special = bytearray(312)
        _ioctl(self._vcpu, _GET_SREGS, special)
        struct.pack_into("<QI H", special, 0, 0, 0xFFFF, 0)  # the code segment begins at 0
        _ioctl(self._vcpu, _SET_SREGS, bytes(special))
        registers = [0] * 18
        registers[16], registers[17] = CODE, 2  # rip, rflags
        _ioctl(self._vcpu, _SET_REGS, struct.pack("<18Q", *registers))
        self.board = Board()

    def exit(self) -> int:
        """Run the guest up to its next exit; serve it if it is for a device; return the reason."""
        _ioctl(self._vcpu, _RUN)
        (reason,) = struct.unpack_from("<I", self._shared, 8)
        if reason == _IO:
            outward, size, port, _, offset = struct.unpack_from("<BBHIQ", self._shared, 32)
            if outward:
                self.board.write(port, int.from_bytes(self._shared[offset : offset + size], "little"))
            else:
                value = self.board.read(port) & (1 << 8 * size) - 1
                self._shared[offset : offset + size] = value.to_bytes(size, "little")
        return int(reason)


def _ioctl(file: int, request: int, argument: bytes | bytearray | int = 0) -> int:
    import fcntl

    if isinstance(argument, bytearray):
        return int(fcntl.ioctl(file, request, argument, True))
    result = fcntl.ioctl(file, request, argument)
    return result if isinstance(result, int) else 0


def _address(memory: mmap.mmap) -> int:
    import ctypes

    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def child(code: bytes) -> Run:
    """Run code on KVM in this process, up to ``hlt``; raises `XenlabError` or `OSError` where that fails."""
    machine = Kvm(code)
    exits: Counter[str] = Counter()
    begin = time.perf_counter()
    while True:
        reason = machine.exit()
        exits[REASONS.get(reason, f"reason {reason}")] += 1
        if reason == _HLT:
            break
        if reason != _IO:
            raise XenlabError(f"KVM came back with {REASONS.get(reason, reason)!r}, which nobody asked for")
    return Run("KVM", dict(exits), machine.board.uart.text, time.perf_counter() - begin)


if __name__ == "__main__":
    try:
        print(json.dumps(asdict(child(bytes.fromhex(sys.argv[1])))))
    except (XenlabError, OSError) as problem:
        sys.exit(str(problem))
