"""Requests and responses of a paravirtual network card, byte for byte (netif).

A card has two rings. On the *transmit* ring a request says "send these bytes of this granted page"; a
packet that lies on several pages is a chain of requests, each but the last with the flag `MORE_DATA`. The
first one carries the size of the whole packet, so the size of its own piece is what the others leave. On
the *receive* ring the guest posts empty pages in advance, and a response says which page a packet came to
lie on, and where.

A transmit request is 12 bytes and its response 4; a receive request is 8 and its response 8. Both rings
have 256 slots. A slot of the transmit ring may hold an *extra info* instead, announced by the flag of the
slot before.

Source: xen/include/public/io/netif.h.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntFlag
from struct import Struct
from typing import NamedTuple

from xenlab.commands import XenlabError
from xenlab.devices.ring import PAGE_SIZE, Layout, Protocol

#: A packet is at most this long, for its size is a u16 (XEN_NETIF_MAX_TX_SIZE).
MAX_TX_SIZE = 0xFFFF
#: Slots that every backend accepts for one packet (XEN_NETIF_NR_SLOTS_MIN).
NR_SLOTS_MIN = 18
#: The shortest packet is an Ethernet header: two addresses and a type (Linux: ETH_HLEN).
ETHERNET_HEADER = 14

DROPPED, ERROR, OKAY, NULL = -2, -1, 0, 1


class TxFlag(IntFlag):
    """Flags of a transmit request (NETTXF_*)."""

    CSUM_BLANK = 1 << 0
    DATA_VALIDATED = 1 << 1
    MORE_DATA = 1 << 2
    EXTRA_INFO = 1 << 3


class RxFlag(IntFlag):
    """Flags of a receive response (NETRXF_*)."""

    DATA_VALIDATED = 1 << 0
    CSUM_BLANK = 1 << 1
    MORE_DATA = 1 << 2
    EXTRA_INFO = 1 << 3
    GSO_PREFIX = 1 << 4


class TxRequest(NamedTuple):
    """Send `size` bytes from `offset` of a granted page (struct netif_tx_request)."""

    gref: int
    offset: int
    flags: int
    id: int
    size: int


class TxResponse(NamedTuple):
    """What became of a transmit request: OKAY, ERROR, DROPPED, or NULL for an extra info."""

    id: int
    status: int


class RxRequest(NamedTuple):
    """An empty page for a packet to come (struct netif_rx_request)."""

    id: int
    gref: int


class RxResponse(NamedTuple):
    """A packet, or a piece of one, in a page posted earlier: `status` is its length, or an error below 0."""

    id: int
    offset: int
    flags: int
    status: int


_TX_REQUEST = "<IHHHH"
_EXTRA = Struct("<BB6s4x")
_GSO = Struct("<HBxH")

TX = Protocol("netif tx", Layout(TxRequest, _TX_REQUEST), Layout(TxResponse, "<Hh"))
RX = Protocol("netif rx", Layout(RxRequest, "<H2xI"), Layout(RxResponse, "<HHHh"))


#: Types of extra info (XEN_NETIF_EXTRA_TYPE_*).
EXTRA_GSO, EXTRA_MCAST_ADD, EXTRA_MCAST_DEL, EXTRA_HASH = 1, 2, 3, 4
#: Its one flag: another extra info follows (XEN_NETIF_EXTRA_FLAG_MORE).
EXTRA_FLAG_MORE = 1


class NetifError(XenlabError):
    """A chain of requests that is no packet."""


class ExtraInfo(NamedTuple):
    """More about a packet, in its own slot; `u`, 6 bytes, depends on `type` (struct netif_extra_info)."""

    type: int
    flags: int
    u: bytes


def gso(size: int, type: int = 1) -> ExtraInfo:
    """Return the extra info that leaves cutting a large TCP packet into pieces of `size` to the hardware."""
    return ExtraInfo(EXTRA_GSO, 0, _GSO.pack(size, type, 0))


def as_slot(extra: ExtraInfo) -> TxRequest:
    """Return an extra info as the transmit request of the same bytes: a slot does not say what it holds."""
    return TX.request.build(TX.request.struct.unpack(_EXTRA.pack(*extra)))


def as_extra(slot: TxRequest) -> ExtraInfo:
    """Read a slot as an extra info."""
    return ExtraInfo(*_EXTRA.unpack(TX.request.struct.pack(*slot)))


class Piece(NamedTuple):
    """Some bytes of a granted page."""

    gref: int
    offset: int
    size: int


@dataclass(frozen=True)
class Packet:
    """A packet from the transmit ring: its pieces in order, its extra infos, the ids to be answered."""

    pieces: tuple[Piece, ...]
    extras: tuple[ExtraInfo, ...]
    ids: tuple[int, ...]

    @property
    def size(self) -> int:
        """Length in bytes."""
        return sum(piece.size for piece in self.pieces)


def chain(pieces: Sequence[Piece], first_id: int = 0, extras: Sequence[ExtraInfo] = ()) -> list[TxRequest]:
    """Return the slots that send one packet: the first piece, the extra infos, the other pieces.

    Raises `NetifError` if the packet is longer than 65535 bytes.

    >>> for slot in chain([Piece(gref=8, offset=100, size=1000), Piece(gref=9, offset=0, size=500)]):
    ...     print(slot)
    TxRequest(gref=8, offset=100, flags=4, id=0, size=1500)
    TxRequest(gref=9, offset=0, flags=0, id=1, size=500)
    """
    total = sum(piece.size for piece in pieces)
    if total > MAX_TX_SIZE:
        raise NetifError(f"a packet of {total} bytes must not be longer than {MAX_TX_SIZE}; cut it")
    slots = []
    for number, (gref, offset, size) in enumerate(pieces):
        flags = TxFlag.MORE_DATA if number < len(pieces) - 1 else TxFlag(0)
        if number == 0:
            size = total
            flags |= TxFlag.EXTRA_INFO if extras else TxFlag(0)
        slots.append(TxRequest(gref, offset, int(flags), first_id + number, size))
    infos = [extra._replace(flags=EXTRA_FLAG_MORE) for extra in extras[:-1]] + list(extras[-1:])
    return slots[:1] + [as_slot(info) for info in infos] + slots[1:]


def gather(slots: Sequence[TxRequest]) -> tuple[list[Packet], int]:
    """Cut slots of the transmit ring into packets; return them and how many slots they took.

    A packet whose end has not arrived yet is left for the next time. Raises `NetifError` at what a backend
    must not believe: pieces longer than the whole, across the end of their page, or too many; a packet too
    short for an Ethernet header (Linux netback.c: xenvif_count_requests, xenvif_tx_build_gops).
    """
    packets: list[Packet] = []
    taken = 0
    while taken < len(slots):
        packet, used = _one_packet(slots[taken:])
        if packet is None:
            break
        packets.append(packet)
        taken += used
    return packets, taken


def _one_packet(slots: Sequence[TxRequest]) -> tuple[Packet | None, int]:
    first = slots[0]
    extras: list[ExtraInfo] = []
    position = 1
    more = bool(first.flags & TxFlag.EXTRA_INFO)
    while more:
        if position == len(slots):
            return None, 0
        extras.append(as_extra(slots[position]))
        more = bool(extras[-1].flags & EXTRA_FLAG_MORE)
        position += 1
    requests = [first]
    while requests[-1].flags & TxFlag.MORE_DATA:
        if len(requests) == NR_SLOTS_MIN:
            raise NetifError(f"a packet must take at most {NR_SLOTS_MIN} slots")
        if position == len(slots):
            return None, 0
        requests.append(slots[position])
        position += 1
    own = first.size - sum(request.size for request in requests[1:])
    if own < 0 or first.size < ETHERNET_HEADER:
        raise NetifError(
            f"size(={first.size}) must be {ETHERNET_HEADER} at least and no less than its pieces"
        )
    pieces = [Piece(first.gref, first.offset, own)]
    pieces += [Piece(request.gref, request.offset, request.size) for request in requests[1:]]
    for piece in pieces:
        if piece.offset + piece.size > PAGE_SIZE:
            raise NetifError(
                f"offset(={piece.offset}) + size(={piece.size}) must not cross the end of the page"
            )
    return Packet(tuple(pieces), tuple(extras), tuple(request.id for request in requests)), position
