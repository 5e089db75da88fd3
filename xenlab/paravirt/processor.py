"""A processor that runs a PV guest's kernel, in ring 3 under the model of Xen: real x86-64 code by `unicorn`.

Most instructions run as they are. `ring3` says which do not, and `Hypervisor` does what Xen would. What the guest's
page tables map, unicorn is told after every change.

Left out: user mode, other segments, interrupts, and code that rewrites itself.

Source: xen/arch/x86/pv/ro-page-fault.c, traps.c and xen/arch/x86/x86_64/entry.S at RELEASE-4.17.7.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import capstone
import unicorn
from unicorn import x86_const as reg

from xenlab.memory.paging import Refused
from xenlab.paravirt.hypervisor import CRASH, CYCLES, WRITABLE_PAGETABLES, Hypervisor, Stopped
from xenlab.paravirt.ring3 import PAGE_FAULT, Fault, Special, special
from xenlab.paravirt.space import PAGE, Mapped, PageFault

#: Selectors that Xen gives a 64-bit PV kernel: privilege level 3 is in their last two bits (FLAT_KERNEL_CS, _SS).
CODE_SEGMENT, STACK_SEGMENT = 0xE033, 0xE02B
#: Where Xen keeps the segment table of a guest's vCPU, and its own interrupt table, on a box.
GDT, IDT = 0xFFFF820000000000, 0xFFFF83003FDBE000
#: Where every PV guest can read Xen's m2p.
M2P = 0xFFFF800000000000
#: The flag that lets interrupts in: always on while a PV guest runs.
INTERRUPTS = 0x200
#: Instructions after which a guest is taken to run for ever.
LIMIT = 3_000_000


class Endless(Exception):
    """The guest was still running after so many instructions."""


class _Access(Exception):
    """A store to where the guest may not write."""

    def __init__(self, address: int, size: int, value: int) -> None:
        super().__init__(address)
        self.address, self.size, self.value = address, size, value


class Processor:
    """One vCPU of a PV guest, from the kernel's first instruction on.

    `entry`, `stack` and `start_info` are addresses in the guest's memory. `run` returns why the guest has ended;
    `executed` counts its instructions.
    """

    def __init__(self, xen: Hypervisor, entry: int, stack: int, start_info: int) -> None:
        self.xen, self._space = xen, xen.space
        self.executed = 0
        self._next = entry
        self._event: Special | Exception | None = None
        self._address, self._size = entry, 0
        self._decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
        self._decoder.detail = True
        self._decoded: dict[int, Special | None] = {}
        self._uc = self._power_on()
        self._uc.reg_write(reg.UC_X86_REG_RSP, stack)
        self._uc.reg_write(reg.UC_X86_REG_RSI, start_info)
        xen.on_mapping_changed = self._follow

    def run(self, limit: int = LIMIT) -> int:
        """Run until the guest ends; return the code of its end (`SCHEDOP_shutdown`); raises `Endless`."""
        end = self.executed + limit
        while self.executed < end:
            self._event = None
            try:
                self._uc.emu_start(self._next, 0, count=end - self.executed)
            except unicorn.UcError:
                self._event = self._event or Fault(PAGE_FAULT, 0)
            if self._event is None:
                self._next = self._uc.reg_read(reg.UC_X86_REG_RIP)
                continue
            try:
                self._handle(self._event)
            except Stopped as stopped:
                return stopped.reason
        raise Endless(f"limit(={limit:,}) must be enough: the guest did not end within as many instructions")

    # -- what happens

    def _on_instruction(self, _machine: Any, address: int, size: int, _data: Any) -> None:
        """Before each instruction: let it be, unless it is one that Xen or ring 3 makes something else of."""
        self.executed += 1
        self._address, self._size = address, size
        instruction = self._decode(address)
        if instruction is not None:
            self._event = instruction
            self._uc.emu_stop()

    def _on_fault(self, _machine: Any, _access: int, address: int, size: int, value: int, _data: Any) -> bool:
        write = _access in (unicorn.UC_MEM_WRITE_PROT, unicorn.UC_MEM_WRITE_UNMAPPED)
        self._event = _Access(address, size, value) if write else Fault(PAGE_FAULT, 0)
        return False

    def _on_exception(self, _machine: Any, vector: int, _data: Any) -> None:
        self._event = Fault(vector)
        self._uc.emu_stop()

    def _decode(self, address: int) -> Special | None:
        if address not in self._decoded:
            code = self._code(address)
            found = next(self._decoder.disasm(code, address, count=1), None)
            self._decoded[address] = special(found, code)
        return self._decoded[address]

    def _code(self, address: int) -> bytes:
        """The bytes of an instruction: 15 at most, fewer where a page ends and the next one is not mapped."""
        try:
            return self._space.read(address, 15)
        except PageFault:
            return self._space.read(address, min(15, PAGE - address % PAGE))

    def _handle(self, event: Special | Exception) -> None:
        self._next = self._address
        try:
            if isinstance(event, Special):
                event.do(self)
                self._next = self._address + event.size
            elif isinstance(event, _Access):
                self._write_table(event)
                self._next = self._address + self._size
            else:
                raise event
        except PageFault as fault:
            self._bounce(Fault(PAGE_FAULT, 2 * fault.write))
        except Fault as fault:
            self._bounce(fault)

    def _bounce(self, fault: Fault) -> None:
        """Let the guest go on in its handler; end it if it has none (create_bounce_frame)."""
        handler = self.xen.handlers.get(fault.vector)
        if handler is None:
            raise Stopped(CRASH)
        words = [self.get("rcx"), self.get("r11")]
        words += [] if fault.code is None else [fault.code]
        words += [self._next, CODE_SEGMENT & ~3, self.get("eflags"), self.get("rsp"), STACK_SEGMENT]
        stack = (self.get("rsp") & ~15) - 8 * len(words)
        try:
            self._space.write(stack, struct.pack(f"<{len(words)}Q", *words))
        except PageFault:
            raise Stopped(CRASH) from None
        self.set("rsp", stack)
        self._next = handler.address

    def _write_table(self, access: _Access) -> None:
        """A store to a page that is read-only: if it is a page table, Xen may do it for the guest (ptwr)."""
        mapped = self._space.mapped.get(access.address // PAGE)
        whole = access.size == 8 and access.address % 8 == 0
        if mapped is None or not whole or WRITABLE_PAGETABLES not in self.xen.assists:
            raise Fault(PAGE_FAULT, 2)
        mfn = int(self._space.p2m[mapped.pfn])
        if self._space.machine.frames[mfn].type != 1:
            raise Fault(PAGE_FAULT, 2)
        self.count("write to a page table", CYCLES["instruction"])
        try:
            self.xen.write_entry(mfn << 12 | access.address % PAGE, access.value & (1 << 64) - 1)
        except Refused:
            raise Fault(PAGE_FAULT, 2) from None

    # -- for what instructions do

    def get(self, register: str) -> int:
        """What a register holds."""
        return int(self._uc.reg_read(_number(register)))

    def set(self, register: str, value: int) -> None:
        """Change a register."""
        self._uc.reg_write(_number(register), value)

    def count(self, what: str, cycles: int) -> None:
        """Note that the guest has called for Xen, without a hypercall."""
        self.xen.entries[what] += 1
        self.xen.cycles += cycles

    # -- the machine

    def _power_on(self) -> unicorn.Uc:
        machine = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
        machine.ctl_set_tlb_mode(unicorn.UC_TLB_VIRTUAL)  # we map addresses, not memory
        self._uc = machine
        self._base = ctypes.addressof(ctypes.c_char.from_buffer(self._space.memory))
        for page, mapped, pages in _runs(self._space.mapped):
            self._map(page, mapped, pages)
        m2p = self._space.machine.frames.m2p.tobytes()
        machine.mem_map(M2P, -(-len(m2p) // PAGE) * PAGE, unicorn.UC_PROT_READ)
        machine.mem_write(M2P, m2p)
        self._segments(machine)
        hooks = unicorn.UC_HOOK_MEM_UNMAPPED | unicorn.UC_HOOK_MEM_PROT
        machine.hook_add(unicorn.UC_HOOK_CODE, self._on_instruction)
        machine.hook_add(hooks, self._on_fault)
        machine.hook_add(unicorn.UC_HOOK_INTR, self._on_exception)
        return machine

    def _segments(self, machine: unicorn.Uc) -> None:
        """Give it Xen's segments; the table itself lies where only Xen can read it."""
        machine.mem_map(GDT, 16 * PAGE, unicorn.UC_PROT_READ)
        for selector, kind in ((CODE_SEGMENT, 0x00AFFB000000FFFF), (STACK_SEGMENT, 0x00CFF3000000FFFF)):
            machine.mem_write(GDT + (selector & ~7), struct.pack("<Q", kind))
        machine.reg_write(reg.UC_X86_REG_GDTR, (0, GDT, 0xEFFF, 0))
        machine.reg_write(reg.UC_X86_REG_IDTR, (0, IDT, 0xFFF, 0))
        machine.reg_write(reg.UC_X86_REG_SS, STACK_SEGMENT)
        machine.reg_write(reg.UC_X86_REG_CS, CODE_SEGMENT)
        machine.reg_write(reg.UC_X86_REG_EFLAGS, INTERRUPTS | 2)

    # -- what is mapped where

    def _map(self, page: int, mapped: Mapped, pages: int = 1) -> None:
        access = (
            unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC | (unicorn.UC_PROT_WRITE if mapped.writable else 0)
        )
        self._uc.mem_map_ptr(page * PAGE, pages * PAGE, access, self._base + mapped.pfn * PAGE)

    def _follow(self) -> None:
        """The page tables have changed: let the processor see it."""
        for page in self._space.look_up():
            with suppress(unicorn.UcError):  # it may be new
                self._uc.mem_unmap(page * PAGE, PAGE)
            if page in self._space.mapped:
                self._map(page, self._space.mapped[page])


def _runs(mapped: Mapping[int, Mapped]) -> Iterator[tuple[int, Mapped, int]]:
    """Group pages that follow each other, in addresses and in memory, and may be written alike.

    >>> pages = {4: Mapped(7, True), 5: Mapped(8, True), 6: Mapped(9, False)}
    >>> list(_runs(pages))
    [(4, Mapped(pfn=7, writable=True), 2), (6, Mapped(pfn=9, writable=False), 1)]
    """
    start = length = 0
    for page in sorted(mapped):
        if (
            length
            and mapped[page] == Mapped(mapped[start].pfn + length, mapped[start].writable)
            and page == start + length
        ):
            length += 1
            continue
        if length:
            yield start, mapped[start], length
        start, length = page, 1
    if length:
        yield start, mapped[start], length


def _number(register: str) -> int:
    return int(getattr(reg, f"UC_X86_REG_{register.upper()}"))
