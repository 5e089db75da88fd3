"""blkif and netif against the bytes that a C compiler makes of Xen 4.17's headers (x86-64)."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenlab.commands import XenlabError
from xenlab.devices import blkif, netif
from xenlab.devices.blkif import Discard, Indirect, Request, Response, Segment, pack_segments
from xenlab.devices.netif import NetifError, Piece, TxRequest, as_slot, chain, gather, gso
from xenlab.devices.ring import PAGE_SIZE, BackRing, FrontRing, initialise

u8, u16, u32, u64 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32, 64))


def bytes_of(layout, entry) -> bytes:
    room = memoryview(bytearray(layout.size))
    layout.write(room, 0, entry)
    return bytes(room)


def test_sizes_are_those_of_the_header():
    layouts = (
        blkif.REQUEST,
        blkif.RESPONSE,
        netif.TX.request,
        netif.TX.response,
        netif.RX.request,
        netif.RX.response,
    )
    assert [layout.size for layout in layouts] == [112, 16, 12, 4, 8, 8]
    assert len(pack_segments([Segment(1)])) == 8
    assert blkif.SEGMENTS_PER_INDIRECT_PAGE == 512


@pytest.mark.parametrize(
    ("field", "offset", "size"),
    [("operation", 0, 1), ("nr_segments", 1, 1), ("handle", 2, 2), ("id", 8, 8), ("sector_number", 16, 8)],
)
def test_each_field_of_a_disk_request_lies_at_its_offset(field, offset, size):
    zero = Request(0)
    value = int.from_bytes(bytes(range(1, size + 1)), "little")
    raw = bytes_of(blkif.REQUEST, zero._replace(**{field: value}))
    assert raw == bytes(offset) + bytes(range(1, size + 1)) + bytes(112 - offset - size)


def test_a_disk_request_and_response_have_the_bytes_that_c_gives_them():
    seg = pack_segments([Segment(8, 0, 7), Segment(0x1FF, 2, 5)])
    request = Request(blkif.WRITE, 2, 51712, 0x1122334455667788, 2048, seg)
    assert bytes_of(blkif.REQUEST, request).hex() == (
        "010200ca000000008877665544332211000800000000000008000000000700 00ff01000002050000".replace(" ", "")
        + "00" * 72
    )
    response = Response(0x1122334455667788, blkif.WRITE, blkif.EOPNOTSUPP)
    assert bytes_of(blkif.RESPONSE, response).hex() == "88776655443322110100feff00000000"


def test_discard_and_indirect_share_the_slot_as_c_casts_it():
    discard = Discard(id=3, sector_number=64, nr_sectors=1024, flag=1, handle=51712)
    assert bytes_of(blkif.REQUEST, discard.request())[:32].hex() == (
        "050100ca00000000030000000000000040000000000000000004000000000000"
    )
    indirect = Indirect(blkif.WRITE, 600, 4, 16, (20, 21), 51712)
    assert bytes_of(blkif.REQUEST, indirect.request())[:64].hex() == (
        "06015802000000000400000000000000100000000000000000ca00001400000015000000" + 28 * "00"
    )
    for each in (discard, indirect):
        (read,) = blkif.REQUEST.reader(112)(memoryview(bytes_of(blkif.REQUEST, each.request())))
        assert type(each).of(read) == each


@settings(max_examples=50, deadline=None)
@given(
    st.builds(Request, u8, u8, u16, u64, u64, st.binary(min_size=88, max_size=88)),
    st.builds(Response, u64, u8, st.integers(-2, 0)),
)
def test_whatever_is_written_is_read_back(request, response):
    assert list(blkif.REQUEST.reader(112)(memoryview(bytes_of(blkif.REQUEST, request)))) == [request]
    raw = memoryview(bytes_of(blkif.RESPONSE, response) + bytes(96))
    assert list(blkif.RESPONSE.reader(112)(raw)) == [response]


def test_a_request_that_claims_more_segments_than_it_holds_is_refused():
    with pytest.raises(XenlabError, match=r"nr_segments\(=12\) must be at most 11"):
        _ = Request(blkif.READ, 12, seg=bytes(88)).segments


@settings(max_examples=50, deadline=None)
@given(st.builds(TxRequest, u32, u16, u16, u16, u16))
def test_a_transmit_request_is_packed_as_in_the_header(request):
    assert bytes_of(netif.TX.request, request) == struct.pack("<IHHHH", *request)


def test_network_responses_and_receive_requests_have_the_bytes_that_c_gives_them():
    assert bytes_of(netif.RX.request, netif.RxRequest(5, 77)).hex() == "050000004d000000"
    assert bytes_of(netif.RX.response, netif.RxResponse(5, 0, 1, 1500)).hex() == "050000000100dc05"
    assert bytes_of(netif.TX.response, netif.TxResponse(9, netif.DROPPED)).hex() == "0900feff"


def test_a_packet_with_segmentation_offload_lies_on_the_ring_as_c_puts_it():
    page = memoryview(bytearray(b"\xaa" * PAGE_SIZE))
    initialise(page)
    ring = FrontRing(page, netif.TX)
    ring.put(chain([Piece(8, 100, 1000), Piece(9, 0, 500)], extras=[gso(1448)]))
    ring.push()
    assert page[:4].hex() == "03000000"
    assert (
        page[64:104].hex() == "0800000064000c000000dc05"
        "0100a80501000000"
        "00000000"
        "0900000000000000"
        "0100f401" + "aaaa" * 2
    )


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.integers(14, PAGE_SIZE), min_size=1, max_size=12), min_size=1, max_size=8),
    st.booleans(),
)
def test_packets_come_off_the_transmit_ring_as_they_went_on(packets, offload):
    page = memoryview(bytearray(PAGE_SIZE))
    initialise(page)
    front, back = FrontRing(page, netif.TX), BackRing(page, netif.TX)
    sent = [[Piece(8 + number, 0, size) for number, size in enumerate(sizes)] for sizes in packets]
    slots = [slot for pieces in sent for slot in chain(pieces, extras=[gso(1448)] if offload else [])]
    front.put(slots)
    front.push()
    received, used = gather(back.take())
    assert [list(packet.pieces) for packet in received] == sent
    assert used == len(slots)
    assert all(packet.extras == ((gso(1448),) if offload else ()) for packet in received)


def test_a_packet_whose_end_has_not_arrived_is_left_on_the_ring():
    first, second = chain([Piece(8, 0, 100), Piece(9, 0, 100)]), chain([Piece(10, 0, 60)])
    packets, used = gather([*second, *first[:1]])
    assert ([packet.size for packet in packets], used) == ([60], 1)
    assert gather([*chain([Piece(8, 0, 100)], extras=[gso(1448)])[:1]]) == ([], 0)


@pytest.mark.parametrize(
    ("slots", "message"),
    [
        ([TxRequest(8, 0, 4, 0, 100), TxRequest(9, 0, 0, 1, 200)], "no less than its pieces"),
        ([TxRequest(8, 0, 0, 0, 13)], r"size\(=13\) must be 14 at least"),
        (
            [TxRequest(8, 4000, 0, 0, 100)],
            r"offset\(=4000\) \+ size\(=100\) must not cross the end of the page",
        ),
        ([TxRequest(8, 0, 4, id, 2000) for id in range(19)], "at most 18 slots"),
    ],
)
def test_a_chain_no_backend_may_believe_is_refused(slots, message):
    with pytest.raises(NetifError, match=message):
        gather(slots)


def test_a_packet_longer_than_its_size_field_is_refused():
    with pytest.raises(NetifError, match="a packet of 65536 bytes must not be longer than 65535"):
        chain([Piece(number, 0, PAGE_SIZE) for number in range(16)])


def test_several_extra_infos_are_chained_by_their_flag():
    slots = chain([Piece(8, 0, 100)], extras=[gso(1448), gso(1000)])
    assert [netif.as_extra(slot).flags for slot in slots[1:]] == [netif.EXTRA_FLAG_MORE, 0]
    assert slots[2] == as_slot(gso(1000))
    ((packet,), used) = gather(slots)
    assert (len(packet.extras), used) == (2, 3)
