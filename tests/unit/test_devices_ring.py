"""The shared ring against ring.h: its bytes, its notifications, and what it promises to its two ends."""

import hashlib
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenlab.devices import blkif, netif
from xenlab.devices.blkif import Request, Response, Segment, pack_segments
from xenlab.devices.ring import (
    PAGE_SIZE,
    REQ_PROD,
    RSP_PROD,
    U32,
    BackRing,
    FrontRing,
    Layout,
    Protocol,
    RingError,
    RingFullError,
    RingOverflowError,
    initialise,
)


def pair(at: int = 0, size: int = PAGE_SIZE):
    page = memoryview(bytearray(size))
    initialise(page)
    front, back = FrontRing(page, blkif.PROTOCOL, at), BackRing(page, blkif.PROTOCOL, at)
    front.shared[0] = front.shared[2] = at
    front.shared[1] = front.shared[3] = at + 1 & U32
    return front, back


def flush(id: int) -> Request:
    return Request(blkif.FLUSH_DISKCACHE, id=id)


@pytest.mark.parametrize(("kib", "slots"), [(4, 32), (8, 64), (16, 128), (64, 512)])
def test_disk_ring_has_as_many_slots_as_compiled_from_the_header(kib, slots):
    assert blkif.PROTOCOL.slots(kib * 1024) == slots


def test_network_rings_have_256_slots_and_the_control_ring_128():
    control = Layout(Request, "<16s")
    assert (netif.TX.slots(), netif.RX.slots(), Protocol("ctrl", control, control).slots()) == (256, 256, 128)


def test_a_page_without_room_for_a_slot_is_refused():
    with pytest.raises(RingError, match=r"page_size\(=100\) must hold one slot of blkif at least: 64 \+ 112"):
        blkif.PROTOCOL.slots(100)


def test_a_ring_starts_as_shared_ring_init_leaves_it():
    page = memoryview(bytearray(b"\xaa" * PAGE_SIZE))
    initialise(page)
    assert page[:64].hex() == "00000000010000000000000001000000" + 48 * "00"
    assert set(page[64:]) == {0xAA}


def test_same_page_and_same_notifications_as_the_macros_of_ring_h_compiled_in_c():
    """A C program over Xen 4.17's ring.h and blkif.h made the same moves, and printed this."""
    page = memoryview(bytearray(b"\xaa" * PAGE_SIZE))
    initialise(page)
    front, back = FrontRing(page, blkif.PROTOCOL), BackRing(page, blkif.PROTOCOL)
    id, said = 0, ""
    for turn in range(40):
        for _ in range(min(turn % 5 + 1, front.free)):
            segments = [Segment(8 + id + number, number % 8, 7) for number in range(1 + id % 11)]
            front.put([Request(id % 2, len(segments), 51712, id, 8 * id, pack_segments(segments))])
            id += 1
        said += "01"[front.push()]
        for request in back.take(max(back.unconsumed - turn % 2, 0)):
            back.put([Response(request.id, request.operation, -1 if request.id % 3 == 2 else 0)])
        said += "01"[back.push()]
        said += "sW"[back.final_check()]
        if turn % 3 != 1:
            front.take()
            said += "sW"[front.final_check()]
    assert said == (
        "11ss11W00ss11Ws01s10Ws01ss11W00ss11Ws01s10Ws01ss11W00ss10Ws01s10Ws01ss11W00ss11Ws01s10Ws01ss10W01ss11Ws"
        "01s10Ws01ss11W00ss11Ws01s10Ws01ss11W00ss11Ws"
    )
    assert list(front.shared) == [120, 116, 119, 120]
    assert (front.prod_pvt, front.cons, back.cons, back.prod_pvt) == (120, 119, 119, 119)
    digest = hashlib.sha256(page).hexdigest()
    assert digest == "b9626ffce49b25714c40c9fc3fed2f1b1001f9d185468447a778dab2476d55da"


def test_a_push_notifies_only_if_it_steps_over_the_event_index():
    front, _ = pair()
    front.put([flush(1), flush(2), flush(3)])
    assert front.push()
    front.put([flush(4)])
    assert not front.push()  # req_event is still 1
    assert not front.push()  # nothing new


def test_requests_are_invisible_until_pushed_and_taken_as_copies():
    front, back = pair()
    front.put([flush(7)])
    assert back.take() == []
    front.push()
    (taken,) = back.take()
    front.page[front.offset(0) : front.offset(0) + 112] = b"\xff" * 112
    assert taken.id == 7


def test_putting_more_than_fits_writes_nothing():
    front, back = pair()
    front.put([flush(id) for id in range(31)])
    before = bytes(front.page)
    with pytest.raises(RingFullError, match=r"entries\(=2\) must fit in the 1 free of 32 slots"):
        front.put([flush(31), flush(32)])
    assert bytes(front.page) == before
    with pytest.raises(RingFullError, match="0 free"):
        back.put([Response(0, 0)])  # nothing has been taken


@pytest.mark.parametrize("ahead", [33, 1000, U32, 1 << 31])
def test_an_index_no_honest_end_can_reach_is_refused_by_the_other_end(ahead):
    front, back = pair()
    front.shared[REQ_PROD] = front.shared[RSP_PROD] = ahead
    for end in (front, back):
        with pytest.raises(RingOverflowError, match=f"claims {ahead} entries; a ring of 32 slots holds 32"):
            end.take()
        assert end.cons == 0


def test_a_producer_index_moved_back_never_yields_more_than_the_ring_holds():
    front, back = pair()
    front.put([flush(id) for id in range(5)])
    front.push()
    back.take()
    front.shared[REQ_PROD] = 2  # less than req_cons, and not an overflow: 2 - rsp_prod_pvt <= 32
    assert len(back.take()) == 32 - 5
    assert back.take() == []


moves = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(1, 40)),
        st.tuples(st.just("answer"), st.integers(1, 40)),
        st.tuples(st.just("take"), st.integers(1, 40)),
        st.tuples(
            st.sampled_from(["push", "push answers", "collect", "front sleeps", "back sleeps"]), st.just(0)
        ),
    ),
    max_size=60,
)


@settings(max_examples=80, deadline=None)
@given(moves, st.sampled_from([0, 5, 2**31 - 7, 2**32 - 20, 2**32 - 1]))
def test_in_any_order_of_moves_nothing_is_lost_doubled_or_reordered(script, at):
    """The oracle is four plain queues; the indices wrap at 2**32 in two runs of five."""
    front, back = pair(at)
    put, published, taken, answered, visible = (deque[int]() for _ in range(5))
    sent, collected = 0, []
    for move, count in script:
        if move == "put":
            group = range(sent, sent + min(count, front.free))
            front.put([flush(id) for id in group])
            put.extend(group)
            sent += len(group)
        elif move == "push":
            front.push()
            published.extend(put)
            put.clear()
        elif move == "take":
            expected = [published.popleft() for _ in range(min(count, len(published)))]
            assert [request.id for request in back.take(count)] == expected
            taken.extend(expected)
        elif move == "answer":
            group = [taken.popleft() for _ in range(min(count, len(taken)))]
            back.put([Response(id, blkif.FLUSH_DISKCACHE) for id in group])
            answered.extend(group)
        elif move == "push answers":
            back.push()
            visible.extend(answered)
            answered.clear()
        elif move == "collect":
            collected += [response.id for response in front.take()]
            visible.clear()
        elif move == "back sleeps":
            assert back.final_check() == bool(published)
        else:
            assert front.final_check() == bool(visible)
        assert back.unconsumed == len(published)
        assert front.unconsumed == len(visible)
        assert front.free == 32 - (sent - len(collected))
    assert collected == list(range(len(collected)))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=60), st.sampled_from([0, 2**32 - 9]))
def test_whoever_sleeps_is_notified_of_the_next_entry_and_who_is_awake_is_not(script, at):
    front, back = pair(at)
    asleep = True  # req_event is 1 at the start: the backend waits for the first request
    for count, sleep in script:
        front.put([flush(0)] * min(count, front.free))
        something = front.prod_pvt != front.shared[REQ_PROD]
        assert front.push() == (asleep and something)
        asleep = asleep and not something
        if sleep:
            requests = back.take()
            back.put([Response(0, 3)] * len(requests))
            back.push()
            front.take()
            asleep = not back.final_check()
