"""What ``xentrace`` notes of a simulated PV guest: its entries into Xen, as often as those of the box's guests.

How often a guest enters Xen, and for what, was counted on the box with Debian's kernel; see the tables below. What a
boot consists of most is reading a timer that the guest does not have: 50,000 times three reads, each emulated by Xen
(Linux, arch/x86/kernel/tsc.c, quick_pit_calibrate).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

from xenlab.hosts.sim.guest import Guest
from xenlab.paravirt.entries import HYPERCALL, KINDS, MASK, SWITCH
from xenlab.paravirt.hypercalls import number_of

#: Where Debian's kernel reads that timer.
TIMER_LOOP = (0xFFFFFFFF8103B152, 0xFFFFFFFF8103B16C, 0xFFFFFFFF8103B16E)
TIMER_READS = 50_000
_ELSEWHERE = 0xFFFFFFFF816CD9EB
#: Entries while a guest boots, but for those reads; names as `xenlab.paravirt.entries` has them.
BOOT: Mapping[str, int] = {
    "instruction emulated": 31_300,
    "hypercall mmu_update": 50_900,
    "hypercall mmuext_op": 18_050,
    "hypercall vcpu_op": 8_800,
    "hypercall set_segment_base": 2_720,
    "hypercall iret": 2_260,
    "hypercall stack_switch": 1_250,
    "write to a page table emulated": 1_150,
    "page fault": 1_030,
    "cpuid that asks Xen": 440,
    "hypercall update_va_mapping": 254,
    "hypercall event_channel_op": 160,
    "hypercall sched_op": 148,
    "hypercall xen_version": 140,
    "hypercall multicall": 136,
    "hypercall set_trap_table": 25,
    "hypercall console_io": 19,
}
#: Entries a second of a guest that is up, by what it does.
EACH_SECOND: Mapping[str, Mapping[str, float]] = {
    "idle": {
        "instruction emulated": 150.2,
        "hypercall set_segment_base": 19,
        "hypercall vcpu_op": 18.8,
        "hypercall stack_switch": 9.5,
        "hypercall iret": 9.2,
        "hypercall sched_op": 9.2,
    },
    "counter": {
        "hypercall mmu_update": 564,
        "instruction emulated": 358,
        "hypercall iret": 108.5,
        "page fault": 67.2,
        "hypercall set_segment_base": 64.2,
        "hypercall mmuext_op": 26,
        "hypercall stack_switch": 25.8,
        "hypercall vcpu_op": 22.2,
        "write to a page table emulated": 21,
        "hypercall sched_op": 10.8,
        "hypercall multicall": 8.5,
        "hypercall update_va_mapping": 3.8,
        "hypercall event_channel_op": 2,
        "hypercall xen_version": 1.2,
        "floating-point registers restored": 1,
    },
    "burn": {
        "instruction emulated": 2,
        "hypercall vcpu_op": 0.2,
        "hypercall iret": 0.2,
        "floating-point registers restored": 0.2,
    },
    "clock": {
        "instruction emulated": 1011.8,
        "hypercall set_segment_base": 296.5,
        "hypercall iret": 155.8,
        "hypercall stack_switch": 128.8,
        "hypercall vcpu_op": 81,
        "hypercall sched_op": 45.2,
        "hypercall event_channel_op": 19,
        "floating-point registers restored": 4.2,
        "hypercall xen_version": 3.5,
    },
    "dirty": {
        "hypercall mmu_update": 1144.2,
        "instruction emulated": 563,
        "hypercall iret": 453.8,
        "page fault": 360.2,
        "hypercall set_segment_base": 96.2,
        "hypercall mmuext_op": 41,
        "write to a page table emulated": 38,
        "hypercall stack_switch": 37.5,
        "hypercall vcpu_op": 36.8,
        "hypercall multicall": 13.2,
        "hypercall sched_op": 11.5,
        "hypercall update_va_mapping": 6,
        "hypercall xen_version": 4,
        "floating-point registers restored": 1.5,
    },
}
_NUMBERS = {name: number for number, name in KINDS.items()}


def wanted(mask: int) -> bool:
    """Does an event mask ask for what PV guests do?"""
    return mask & MASK & 0x00200000 != 0


def notes(guest: Guest, domid: int, booting: bool, start: int, seconds: int, hertz: int) -> bytes:
    """The notes of one PV guest from a clock count on: it comes to run on processor 1, and enters Xen many times."""
    made = [struct.pack("<III", 2 << 28 | 0x1F003, 1, 0), _note(SWITCH, start, 0x7FFF, 1, domid, 0)]
    entries = list(_entries(guest, booting, seconds))
    step = seconds * hertz // max(1, len(entries))
    made += [_note(event, start + number * step, *words) for number, (event, *words) in enumerate(entries)]
    return b"".join(made)


def _entries(guest: Guest, booting: bool, seconds: int) -> Iterator[tuple[int, ...]]:
    """Every entry: the event, and its words."""
    counts: dict[str, float] = {}
    if booting and guest.state.booted:
        counts.update(BOOT)
        for place in TIMER_LOOP * TIMER_READS:
            yield _event("instruction emulated", place)
    if guest.state.booted:
        rates = EACH_SECOND.get(guest.workload.split(":")[0], EACH_SECOND["idle"])
        for name, rate in rates.items():
            counts[name] = counts.get(name, 0) + rate * seconds
    for name, count in counts.items():
        for _ in range(round(count)):
            yield _event(name, _ELSEWHERE)


def _event(name: str, place: int) -> tuple[int, ...]:
    if name.startswith("hypercall "):
        return (HYPERCALL, number_of(name.removeprefix("hypercall ")))
    number = _NUMBERS[name]
    return (0x201100 | number, place & 0xFFFFFFFF, place >> 32)


def _note(event: int, cycles: int, *words: int) -> bytes:
    return struct.pack(f"<IQ{len(words)}I", 1 << 31 | len(words) << 28 | event, cycles, *words)
