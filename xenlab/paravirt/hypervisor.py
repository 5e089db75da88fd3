"""What Xen does when a PV guest calls it: a model that runs `xenlab.paravirt.kernel`'s guests.

Page tables are checked by `xenlab.memory`, rights by `xenlab.paravirt.policy`. A call answers in Xen's numbers: zero or
a result, or a negative error. Only what such small guests call is here; what is missing answers ENOSYS, as a hypercall
that Xen does not have.

Source, at RELEASE-4.17.7: xen/common/{domctl,sysctl,kernel,multicall,grant_table}.c, xen/arch/x86/mm.c,
xen/arch/x86/pv/traps.c (do_set_trap_table); the numbers are those of xen/include/public.
"""

from __future__ import annotations

import errno
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xenlab.memory.entries import Entry
from xenlab.memory.paging import Refused
from xenlab.paravirt.hypercalls import NAMES
from xenlab.paravirt.policy import Domain, Right, allowed
from xenlab.paravirt.space import PAGE, PageFault, Space

#: Versions that the callers of domctl, sysctl and platform_op must name.
DOMCTL_VERSION, SYSCTL_VERSION, PLATFORM_VERSION = 0x15, 0x15, 0x03000001
DOMID_SELF, FIRST_RESERVED = 0x7FF0, 0x7FF0
GETDOMAININFO, CREATEDOMAIN = 5, 1  # XEN_DOMCTL_*
WRITABLE_PAGETABLES = 2  # VMASST_TYPE_*
#: Codes of ends (SHUTDOWN_*).
POWEROFF, CRASH = 0, 3
#: Cycles that entering Xen takes, by the way in, as a guest in a box counted them (QEMU 7.2, translating).
CYCLES = {"hypercall": 590, "multicall": 490, "instruction": 6800, "va_mapping": 2400, "update": 1870}


class Stopped(Exception):
    """The guest has ended, or was ended; `reason` is the code of `SCHEDOP_shutdown`."""

    def __init__(self, reason: int) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Handler:
    """Where a guest goes on after a trap."""

    address: int


class Hypervisor:
    """Xen, for one PV guest.

    Args:
        space: The guest's memory.
        domain: What Xen's rules look at in it.
        notify: Called with the number of an event channel on which the guest sends an event.
        domids: The domains there are, for calls that name one.

    `entries` counts what called for Xen, by name; `cycles` is what that took.
    """

    def __init__(
        self,
        space: Space,
        domain: Domain,
        notify: Callable[[int], None],
        domids: Callable[[], Sequence[int]] = lambda: (0, 1),
    ) -> None:
        self.space, self.domain = space, domain
        self.entries: Counter[str] = Counter()
        self.cycles = 0
        self.handlers: dict[int, Handler] = {}
        self.assists: set[int] = set()
        self.io_privilege = 0  # PHYSDEVOP_set_iopl: at 1, cli, sti, in and out of the kernel's do not fault
        self.on_mapping_changed: Callable[[], None] = lambda: None
        self._notify, self._domids = notify, domids
        self._calls: dict[str, Callable[..., int]] = {
            "set_trap_table": self._set_trap_table,
            "mmu_update": self._mmu_update,
            "update_va_mapping": self._update_va_mapping,
            "mmuext_op": self._mmuext_op,
            "multicall": self._multicall,
            "xen_version": self._xen_version,
            "vm_assist": self._vm_assist,
            "console_io": lambda *_: self._only_control(),
            "kexec_op": lambda *_: self._only_control(),
            "sched_op": self._sched_op,
            "event_channel_op": self._event_channel_op,
            "domctl": self._domctl,
            "sysctl": self._sysctl,
            "platform_op": self._platform_op,
            "grant_table_op": self._grant_table_op,
            "memory_op": self._memory_op,
            "physdev_op": self._physdev_op,
        }

    def call(self, number: int, arguments: Sequence[int], way: str = "hypercall") -> int:
        """Do a hypercall with its (up to five) arguments; return what rax holds afterwards, as a signed number."""
        name = NAMES.get(number, "")
        self.entries[f"{way} {name or number}"] += 1
        self.cycles += CYCLES[way]
        call = self._calls.get(name)
        if call is None:
            return -errno.ENOSYS
        try:
            return call(*arguments)
        except PageFault:
            return -errno.EFAULT
        except Refused as refused:
            return -int(getattr(errno, refused.code))

    # -- who may

    def _only_control(self, target: int | None = None) -> int:
        return 0 if allowed(Right.CONTROL, self.domain, target) else -errno.EPERM

    def _domctl(self, at: int, *_: int) -> int:
        command, version, domid = struct.unpack("<IIH", self.space.read(at, 10))
        if version != DOMCTL_VERSION:
            return -errno.EACCES
        exists = domid in self._domids()
        if command == GETDOMAININFO:
            if not exists and domid >= FIRST_RESERVED:
                return -errno.EINVAL
            return 0 if allowed(Right.XENSTORE, self.domain, domid) else -errno.EPERM
        if not exists and command != CREATEDOMAIN:
            return -errno.ESRCH
        return self._only_control(domid)

    def _sysctl(self, at: int, *_: int) -> int:
        _, version = struct.unpack("<II", self.space.read(at, 8))
        return self._only_control() if version == SYSCTL_VERSION else -errno.EACCES

    def _platform_op(self, at: int, *_: int) -> int:
        _, version = struct.unpack("<II", self.space.read(at, 8))
        return self._only_control() if version == PLATFORM_VERSION else -errno.EACCES

    def _xen_version(self, what: int, at: int, *_: int) -> int:
        if what == 0:  # XENVER_version
            return 4 << 16 | 17
        if what == 1:  # XENVER_extraversion
            self.space.write(at, b".7".ljust(16, b"\0"))
            return 0
        if what == 9:  # XENVER_commandline
            self.space.write(at, b"<denied>\0" if self._only_control() else bytes(1024))
            return 0
        if what == 10:  # XENVER_build_id
            return self._only_control() or 20
        return -errno.ENOSYS

    # -- page tables

    def _mmu_update(self, at: int, count: int, _done: int, _domid: int = DOMID_SELF, *_: int) -> int:
        for number in range(count):
            pointer, value = self.space.words(at + 16 * number, 2)
            if pointer & 3:
                return -errno.ENOSYS
            self.cycles += CYCLES["update"]
            self.write_entry(pointer, value)
        return 0

    def _update_va_mapping(self, address: int, value: int, *_: int) -> int:
        pointer = self._entry_at(address)
        if pointer is None:
            return -errno.EINVAL
        self.cycles += CYCLES["va_mapping"]
        self.write_entry(pointer, value)
        return 0

    def _mmuext_op(self, at: int, count: int, _done: int, _domid: int = DOMID_SELF, *_: int) -> int:
        paging, domid = self.space.machine.paging, self.space.domid
        for number in range(count):
            operation, argument, _more = self.space.words(at + 24 * number, 3)
            if operation <= 3:  # MMUEXT_PIN_L1_TABLE to MMUEXT_PIN_L4_TABLE
                paging.pin(domid, argument, operation + 1)
            elif operation == 4:  # MMUEXT_UNPIN_TABLE
                paging.unpin(domid, argument)
            elif operation == 5:  # MMUEXT_NEW_BASEPTR
                paging.new_root(domid, argument)
                self.on_mapping_changed()
            elif operation not in (
                6,
                7,
            ):  # MMUEXT_TLB_FLUSH_LOCAL, MMUEXT_INVLPG_LOCAL: nothing is cached here
                return -errno.ENOSYS
        return 0

    def write_entry(self, pointer: int, value: int) -> None:
        """Write one entry, by its address in the machine; raises `Refused`."""
        entry = Entry.of(value)
        self.space.machine.paging.write(self.space.domid, pointer >> 12, pointer % PAGE // 8, entry)
        self.on_mapping_changed()

    def _entry_at(self, address: int) -> int | None:
        """The machine address of the L1 entry for an address; None if there is no such table."""
        paging = self.space.machine.paging
        mfn = paging.roots[self.space.domid]
        for level in (4, 3, 2):
            entry = paging.entry(mfn, address >> 12 + 9 * (level - 1) & 511)
            if not entry.present:
                return None
            mfn = entry.mfn
        return mfn << 12 | (address >> 12 & 511) * 8

    # -- the rest

    def _set_trap_table(self, at: int, *_: int) -> int:
        if not at:
            self.handlers.clear()
            return 0
        while True:
            vector, _, _, address = struct.unpack("<BBHxxxxQ", self.space.read(at, 16))
            if not address:
                return 0
            self.handlers[vector] = Handler(address)
            at += 16

    def _multicall(self, at: int, count: int, *_: int) -> int:
        for number in range(count):
            entry = at + 64 * number
            call, _result, *arguments = self.space.words(entry, 8)
            result = self.call(call, arguments, "multicall")
            self.space.write(entry + 8, struct.pack("<q", result))
        return 0

    def _vm_assist(self, command: int, kind: int, *_: int) -> int:
        if command > 1 or kind > 5:
            return -errno.EINVAL
        (self.assists.discard if command else self.assists.add)(kind)
        return 0

    def _sched_op(self, command: int, at: int, *_: int) -> int:
        if command == 2:  # SCHEDOP_shutdown
            raise Stopped(struct.unpack("<I", self.space.read(at, 4))[0])
        if command == 4:  # SCHEDOP_remote_shutdown
            domid, _, _ = struct.unpack("<HHI", self.space.read(at, 8))
            if domid not in self._domids():
                return -errno.ESRCH
            return 0 if allowed(Right.DEVICE_MODEL, self.domain, domid) else -errno.EPERM
        return 0 if command == 0 else -errno.ENOSYS

    def _event_channel_op(self, command: int, at: int, *_: int) -> int:
        if command != 4:  # EVTCHNOP_send
            return -errno.ENOSYS
        self._notify(struct.unpack("<I", self.space.read(at, 4))[0])
        return 0

    def _memory_op(self, command: int, at: int, *_: int) -> int:
        (domid,) = struct.unpack("<H", self.space.read(at, 2))
        target = self.domain.domid if domid == DOMID_SELF else domid
        if command not in (3, 4):  # XENMEM_current_reservation, XENMEM_maximum_reservation
            return -errno.ENOSYS
        if not allowed(Right.ITSELF, self.domain, target):
            return -errno.EPERM
        machine = self.space.machine
        return machine.pages_of(target) if command == 3 else machine.domains[target].max_pages

    def _physdev_op(self, command: int, at: int, *_: int) -> int:
        if command != 6:  # PHYSDEVOP_set_iopl
            return -errno.ENOSYS
        (level,) = struct.unpack("<I", self.space.read(at, 4))
        if level > 3:
            return -errno.EINVAL
        self.io_privilege = level
        return 0

    def _grant_table_op(self, command: int, at: int, count: int, *_: int) -> int:
        if command != 0:  # GNTTABOP_map_grant_ref
            return -errno.ENOSYS
        for number in range(count):  # nobody has granted this guest anything
            self.space.write(at + 32 * number + 18, struct.pack("<h", -1))  # GNTST_general_error
        return 0
