"""What instructions of a PV guest's kernel really do: it believes to be in ring 0, and runs in ring 3.

* Those that **trap** there go to Xen, which does some of them for the guest, and answers others with a fault.
* Those that are sensitive and **do not trap** show the machine as it is, or silently do nothing.
* ``syscall`` is the way into Xen.

All others run as they are, on the processor itself.

Sources: xen/arch/x86/pv/emul-priv-op.c at RELEASE-4.17.7 (what Xen does for the guest); AMD64 Architecture Programmer's
Manual, volume 3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from capstone import x86_const as operand

from xenlab.memory.paging import Refused
from xenlab.paravirt.cpuid import MACHINE, NOTHING, PV_GUEST, Leaf
from xenlab.paravirt.hypervisor import CYCLES, Hypervisor

INVALID_OPCODE, GENERAL_PROTECTION, PAGE_FAULT = 6, 13, 14
#: The machine's CR0, with the bit that says that the floating-point registers are another's; and a guest's CR4.
CR0, TASK_SWITCHED, CR4 = 0x8005003B, 8, 0x660
EFER, EFER_SEEN = 0xC0000080, 0xD01
TASK_SEGMENT = 0xE040
#: Flags that a program may change for itself.
OWN_FLAGS = 0xCD5
#: Stands before ``cpuid`` where a guest asks Xen: an invalid instruction, and three letters.
XEN_PREFIX = b"\x0f\x0bxen"
#: Instructions that trap in ring 3, and that Xen does not do for a guest of its own accord.
_RING0 = frozenset(
    "hlt insb insw insd out outsb outsw outsd lgdt lidt lldt ltr lmsw invlpg invd wbinvd iretq swapgs "
    "sysretq monitor mwait".split()
)


class Fault(Exception):
    """An exception of the processor's: its vector, and its error code if it has one."""

    def __init__(self, vector: int, code: int | None = None) -> None:
        super().__init__(vector)
        self.vector, self.code = vector, code


class Cpu(Protocol):
    """What instructions work on."""

    xen: Hypervisor
    executed: int

    def get(self, register: str) -> int:
        """What a register holds."""

    def set(self, register: str, value: int) -> None:
        """Change a register."""

    def count(self, what: str, cycles: int) -> None:
        """Note that the guest has called for Xen, without a hypercall."""


@dataclass(frozen=True)
class Special:
    """An instruction that the processor does not simply execute: what is done instead, and how long it is."""

    size: int
    do: Callable[[Cpu], None]


def special(found: Any, code: bytes) -> Special | None:
    """What is to be done instead of this instruction; None if it is as harmless as it looks."""
    if code.startswith(XEN_PREFIX):
        return Special(len(XEN_PREFIX) + 2, _ask_cpuid)
    if found is None:
        return Special(1, _invalid)
    name = found.mnemonic
    if name in _DO:
        return Special(found.size, _DO[name])
    if name in _RING0:
        return Special(found.size, _protection)
    registers = [each.reg for each in found.operands if each.type == operand.X86_OP_REG]
    names = [found.reg_name(each) for each in registers]
    if name == "mov" and len(names) == 2:
        if names[1].startswith("cr"):
            return Special(found.size, lambda cpu: _read_control(cpu, names[0], names[1]))
        if names[0].startswith("cr"):
            return Special(found.size, lambda cpu: _write_control(cpu, names[0], names[1]))
    if name in _SEEN and names:
        return Special(found.size, lambda cpu: cpu.set(names[0], _SEEN[name]))
    return None


def _hypercall(cpu: Cpu) -> None:
    result = cpu.xen.call(cpu.get("rax"), [cpu.get(name) for name in ("rdi", "rsi", "rdx", "r10", "r8")])
    cpu.set("rax", result & (1 << 64) - 1)


def _protection(cpu: Cpu) -> None:
    raise Fault(GENERAL_PROTECTION, 0)


def _interrupts(cpu: Cpu) -> None:
    """`cli` and `sti`: at a kernel's own wish they do not fault, and do nothing either."""
    if not cpu.xen.io_privilege:
        raise Fault(GENERAL_PROTECTION, 0)
    cpu.count("instruction cli, sti", CYCLES["instruction"])


def _read_port(cpu: Cpu) -> None:
    """`in`: a port that the domain has no right to reads as ones."""
    if not cpu.xen.io_privilege:
        raise Fault(GENERAL_PROTECTION, 0)
    cpu.count("instruction in", CYCLES["instruction"])
    cpu.set("al", 0xFF)


def _invalid(cpu: Cpu) -> None:
    raise Fault(INVALID_OPCODE)


def _read_control(cpu: Cpu, register: str, control: str) -> None:
    """Xen's answer to a reading of a control register: CR3 is the guest's own root, CR0 almost the machine's."""
    space = cpu.xen.space
    root = space.machine.paging.roots[space.domid]
    answers = {"cr0": CR0 & ~TASK_SWITCHED, "cr2": 0, "cr3": root << 12, "cr4": CR4}
    if control not in answers:
        raise Fault(GENERAL_PROTECTION, 0)
    cpu.count(f"instruction mov from {control}", CYCLES["instruction"])
    cpu.set(register, answers[control])


def _write_control(cpu: Cpu, control: str, register: str) -> None:
    value, space = cpu.get(register), cpu.xen.space
    cpu.count(f"instruction mov to {control}", CYCLES["instruction"])
    if control == "cr3":
        try:
            space.machine.paging.new_root(space.domid, value >> 12)
        except Refused:
            raise Fault(GENERAL_PROTECTION, 0) from None
        cpu.xen.on_mapping_changed()
    elif control not in ("cr2", "cr4") and (control != "cr0" or (value ^ CR0) & ~TASK_SWITCHED):
        raise Fault(GENERAL_PROTECTION, 0)


def _clear_task_switched(cpu: Cpu) -> None:
    cpu.count("instruction clts", CYCLES["instruction"])


def _read_register(cpu: Cpu) -> None:
    cpu.count("instruction rdmsr", CYCLES["instruction"])
    if cpu.get("ecx") != EFER:
        raise Fault(GENERAL_PROTECTION, 0)
    cpu.set("rax", EFER_SEEN)
    cpu.set("rdx", 0)


def _write_register(cpu: Cpu) -> None:
    cpu.count("instruction wrmsr", CYCLES["instruction"])
    raise Fault(GENERAL_PROTECTION, 0)


def _pop_flags(cpu: Cpu) -> None:
    """Take flags from the stack; the ones that are not a program's own stay, without a word."""
    (new,) = cpu.xen.space.words(cpu.get("rsp"), 1)
    cpu.set("eflags", cpu.get("eflags") & ~OWN_FLAGS | new & OWN_FLAGS)
    cpu.set("rsp", cpu.get("rsp") + 8)


def _read_time(cpu: Cpu) -> None:
    cycles = cpu.executed + cpu.xen.cycles
    cpu.set("rax", cycles & 0xFFFFFFFF)
    cpu.set("rdx", cycles >> 32)


def _cpuid(cpu: Cpu) -> None:
    _tell(cpu, MACHINE.get(cpu.get("eax"), NOTHING))


def _ask_cpuid(cpu: Cpu) -> None:
    cpu.count("instruction xen cpuid", CYCLES["instruction"])
    _tell(cpu, PV_GUEST.get(cpu.get("eax"), NOTHING))


def _tell(cpu: Cpu, leaf: Leaf) -> None:
    for register, value in zip(("rax", "rbx", "rcx", "rdx"), leaf, strict=True):
        cpu.set(register, value)


_DO: Mapping[str, Callable[[Cpu], None]] = {
    "syscall": _hypercall,
    "ud2": _invalid,
    "cli": _interrupts,
    "sti": _interrupts,
    "in": _read_port,
    "cpuid": _cpuid,
    "clts": _clear_task_switched,
    "rdmsr": _read_register,
    "wrmsr": _write_register,
    "popfq": _pop_flags,
    "rdtsc": _read_time,
}
#: Instructions that show the machine, in ring 3 too: what they show of a box.
_SEEN: Mapping[str, int] = {"smsw": CR0, "str": TASK_SEGMENT, "sldt": 0}
