"""Event channels: two levels of bits, masks, and exactly as many upcalls as Xen makes."""

from errno import EEXIST, EINVAL, ENOSPC, ESRCH

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenlab.devices.evtchn import PORTS, EventChannelError, EventChannels, SharedInfo, State
from xenlab.devices.machine import Machine


@pytest.fixture
def bound():
    """Domains 0 and 1, and an interdomain channel whose ports are unmasked and quiet."""
    events = EventChannels()
    shared = [events.add_domain(domid, memoryview(bytearray(4096))) for domid in (0, 1)]
    theirs = events.alloc_unbound(1, remote=0)
    mine = events.bind_interdomain(0, 1, theirs)
    for domid, port in ((0, mine), (1, theirs)):
        shared[domid].clear(port)
        events.unmask(domid, port)
    events.kicked.clear()
    return events, shared, mine, theirs


def test_bits_lie_where_shared_info_has_them():
    page = memoryview(bytearray(4096))
    shared = SharedInfo(page)
    assert bytes(page[2560:3072]) == b"\xff" * 512  # evtchn_mask
    shared.unmask(65, vcpu=2)
    assert shared.set_pending(65, vcpu=2)
    assert page[2048 + 8] == 0b10  # evtchn_pending, word 1, bit 1
    assert page[2560 + 8] == 0b1111_1101
    assert page[2 * 64] == 1  # vcpu_info[2].evtchn_upcall_pending
    assert page[2 * 64 + 8] == 0b10  # vcpu_info[2].evtchn_pending_sel: word 1
    assert PORTS == 4096


def test_many_sends_make_one_upcall_and_one_event(bound):
    events, shared, mine, theirs = bound
    for _ in range(5):
        events.send(0, mine)
    assert list(events.kicked) == [(1, 0)]
    seen = []
    assert shared[1].upcall(0, seen.append) == 1
    assert seen == [theirs]
    assert not shared[1].upcall_pending(0)


def test_a_masked_port_stays_pending_and_is_delivered_when_unmasked(bound):
    events, shared, mine, theirs = bound
    shared[1].mask(theirs)
    events.send(0, mine)
    assert shared[1].pending(theirs)
    assert not events.kicked
    events.unmask(1, theirs)
    assert list(events.kicked) == [(1, 0)]


def test_an_event_that_comes_during_the_handler_is_handled_too(bound):
    events, shared, mine, theirs = bound
    events.send(0, mine)
    seen = []

    def handle(port: int) -> None:
        seen.append(port)
        if len(seen) == 1:
            events.send(0, mine)

    shared[1].upcall(0, handle)
    assert seen == [theirs, theirs]
    assert not shared[1].pending(theirs)


def test_binding_makes_the_new_port_pending_so_that_nothing_sent_before_is_missed():
    events = EventChannels()
    shared = events.add_domain(0, memoryview(bytearray(4096)))
    events.add_domain(1, memoryview(bytearray(4096)))
    port = events.alloc_unbound(1, remote=0)
    events.send(1, port)  # nobody listens yet: dropped
    assert events.sends == 0
    mine = events.bind_interdomain(0, 1, port)
    assert shared.pending(mine)


def test_only_the_domain_a_port_was_offered_to_can_bind_it(bound):
    events, _, mine, _ = bound
    events.add_domain(2, memoryview(bytearray(4096)))
    offered = events.alloc_unbound(1, remote=0)
    for binder, domid, port in ((2, 1, offered), (0, 1, 999), (2, 0, mine)):
        with pytest.raises(EventChannelError) as caught:
            events.bind_interdomain(binder, domid, port)
        assert caught.value.errno == EINVAL
    with pytest.raises(EventChannelError, match="there is no d9") as caught:
        events.bind_interdomain(0, 9, 1)
    assert caught.value.errno == ESRCH


def test_a_closed_port_is_free_again_and_its_other_end_waits(bound):
    events, shared, mine, theirs = bound
    events.send(1, theirs)
    events.close(0, mine)
    assert not shared[0].pending(mine)
    assert events.channel(1, theirs).state is State.UNBOUND
    events.send(1, theirs)  # dropped in silence
    with pytest.raises(EventChannelError, match=f"port {mine} of d0 is closed"):
        events.send(0, mine)
    assert events.bind_interdomain(0, 1, theirs) == mine


def test_a_domain_has_4095_ports_and_port_0_is_not_one_of_them():
    events = EventChannels()
    events.add_domain(0, memoryview(bytearray(4096)))
    assert events.alloc_unbound(0, remote=1) == 1
    events._channels[0] += [events.channel(0, 1)] * (PORTS - 2)
    with pytest.raises(EventChannelError) as caught:
        events.alloc_unbound(0, remote=1)
    assert caught.value.errno == ENOSPC
    with pytest.raises(EventChannelError, match="port 0"):
        events.send(0, 0)


def test_a_virtual_interrupt_goes_to_the_vcpu_it_is_bound_on():
    events = EventChannels()
    shared = events.add_domain(0, memoryview(bytearray(4096)))
    port = events.bind_virq(0, virq=0, vcpu=3)
    events.unmask(0, port)
    events.raise_virq(0, virq=0, vcpu=1)  # not bound there: lost
    assert not events.kicked
    events.raise_virq(0, virq=0, vcpu=3)
    assert list(events.kicked) == [(0, 3)]
    assert shared.upcall(3, lambda _: None) == 1
    with pytest.raises(EventChannelError, match="bound already") as caught:
        events.bind_virq(0, virq=0, vcpu=3)
    assert caught.value.errno == EEXIST
    with pytest.raises(EventChannelError, match="no other end"):
        events.send(0, port)


def test_a_port_can_be_moved_to_another_vcpu(bound):
    events, _, mine, theirs = bound
    events.bind_vcpu(1, theirs, 5)
    events.send(0, mine)
    assert list(events.kicked) == [(1, 5)]
    with pytest.raises(EventChannelError, match=r"vcpu\(=32\) must be from 0 to 31"):
        events.bind_vcpu(1, theirs, 32)


def test_with_upcalls_disabled_events_wait_until_they_are_enabled():
    machine = Machine()
    guest = machine.create(1, "web")
    port = machine.events.alloc_unbound(1, remote=0)
    seen = []
    guest.listen(port, seen.append)
    guest.disable_upcalls()
    machine.dom0.notify(machine.events.bind_interdomain(0, 1, port))
    machine.run()
    assert seen == []
    guest.enable_upcalls()
    assert seen == [port]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["send", "mask", "unmask", "upcall"]), st.integers(1, 130)), max_size=60
    )
)
def test_an_event_is_handled_if_and_only_if_one_was_sent_since_and_the_port_is_unmasked(script):
    page = memoryview(bytearray(4096))
    shared = SharedInfo(page)
    pending, masked, due = set(), set(range(1, 131)), False
    for move, port in script:
        if move == "send":
            due |= shared.set_pending(port, 0)
            pending.add(port)
        elif move == "mask":
            shared.mask(port)
            masked.add(port)
        elif move == "unmask":
            due |= shared.unmask(port, 0)
            masked.discard(port)
        else:
            seen = []
            shared.upcall(0, seen.append)
            assert seen == sorted(pending - masked)
            pending -= set(seen)
            due = False
        assert due or not pending - masked  # no unmasked event without an upcall on its way
        assert shared.upcall_pending(0) == due


def test_a_domain_may_interrupt_itself(bound):
    events, _, _, _ = bound
    port = events.bind_ipi(1)
    events.unmask(1, port)
    events.send(1, port)
    assert list(events.kicked) == [(1, 0)]
    assert events.channel(1, port).state is State.IPI


def test_a_removed_domain_leaves_the_other_ends_waiting_for_it(bound):
    events, _, mine, theirs = bound
    events.bind_virq(1, 0)
    assert [channel.state for channel in events.open_ports(1).values()] == [State.INTERDOMAIN, State.VIRQ]
    events.remove_domain(1)
    assert events.channel(0, mine).state is State.UNBOUND
    with pytest.raises(EventChannelError, match="there is no d1"):
        events.channel(1, theirs)
