"""A PV guest's entries into Xen are counted from a trace: its own only, by kind, and losses are told."""

import struct

import xenlab
from xenlab.paravirt.entries import HYPERCALL, SWITCH, arm, entries, trace


def note(event, *words, cycles=None):
    timed = cycles is not None
    head = struct.pack("<I", timed << 31 | len(words) << 28 | event)
    return head + (struct.pack("<Q", cycles) if timed else b"") + struct.pack(f"<{len(words)}I", *words)


def test_only_the_domain_that_ran_is_counted():
    data = note(0x1F003, 0, 0) + note(HYPERCALL, 1, cycles=5)  # nobody is known to run yet
    data += note(SWITCH, 0x7FFF, 0, 3, 0, cycles=10) + note(HYPERCALL, 1 | 3 << 20, cycles=20)
    data += (
        note(0x201106, 0x1000, 0xFFFFFFFF, cycles=30) + note(0x1F003, 1, 0) + note(HYPERCALL, 1, cycles=40)
    )
    data += note(0x1F003, 0, 0) + note(SWITCH, 3, 0, 0, 0, cycles=50) + note(HYPERCALL, 29, cycles=60)
    found = entries(data, 3)
    assert found.by_kind == {"hypercall mmu_update": 1, "instruction emulated": 1}
    assert found.places == {0xFFFFFFFF00001000: 1}
    assert (found.total, found.cycles, found.lost) == (2, 55, 0)


def test_what_xen_has_lost_is_told():
    assert entries(note(0x1F001, 42, 0, 0, 0), 3).lost == 42


def test_a_simulated_guest_is_counted_while_it_boots_and_after():
    with xenlab.connect("sim") as host:
        guest = host.create(name="watched", paused=True)
        arm(host)
        guest.unpause()
        booting = entries(trace(host, 4), guest.id)
        assert booting.by_kind["instruction emulated"] > 150_000
        assert len([count for count in booting.places.values() if count == 50_000]) == 3
        idle = entries(trace(host, 4), guest.id)
        assert 0 < idle.total < booting.total / 100
        assert idle.by_kind["hypercall sched_op"] > 0
        assert entries(trace(host, 1), 99).total == 0
