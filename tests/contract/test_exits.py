"""A PVH guest's exits, counted by `xentrace`: the same reasons on the simulator as on a real Xen."""

import pytest

from xenlab.fullvirt.xentrace import exits, trace


@pytest.fixture(scope="module")
def watched(host):
    """A guest that is traced while it boots: the guest, and its exits until then."""
    domain = host.create(name="watched", type="pvh", paused=True)
    domain.unpause()
    booting = exits(trace(host, 8), domain.id)
    domain.wait_for("xenlab: workload", 120)
    yield domain, booting
    domain.destroy()


def test_a_booting_guest_reads_a_timer_that_it_does_not_have(watched):
    _, booting = watched
    ((what, port), count), *_ = booting.ports.most_common()
    # Linux reads it 2 × 50,002 times; the trace begins a moment after the guest.
    assert (what, port) == ("read", 0x42)
    assert count + booting.lost > 50_000
    assert count <= 100_004
    assert booting.by_reason["port input or output"] >= count
    assert {"hypercall (vmmcall)", "cpuid", "control register", "interrupt for Xen"} <= set(booting.by_reason)
    assert booting.cycles > 0


def test_a_guest_with_nothing_to_do_halts_and_hardly_exits(host, watched):
    domain, booting = watched
    idle = exits(trace(host, 4), domain.id)
    assert not idle.ports
    assert idle.by_reason["hlt"] > 0
    assert idle.total < booting.total / 100


def test_a_domain_that_is_not_there_has_no_exits_of_its_own(host, watched):
    assert exits(trace(host, 1), 4095).total <= 200  # what came before the trace knew who ran
    assert host.run(["ls", "/tmp"]).stdout.find("xenlab-exits") < 0
