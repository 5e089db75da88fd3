"""The shared ring of a split driver: requests one way, responses the other, on one page of memory.

The frontend puts requests into slots and pushes them; the backend takes them and puts each response into a
slot that a request has left. Four indices on the page say how far each end has come; each end keeps two more
to itself:

    bytes  0  req_prod    the frontend has published requests up to here
           4  req_event   "notify me (backend) when req_prod passes this"
           8  rsp_prod    the backend has published responses up to here
          12  rsp_event   "notify me (frontend) when rsp_prod passes this"
          64  ring[]      slots, each as large as the larger of a request and a response

An index is a 32-bit counter that only grows and wraps at 2**32. Index i means slot ``i & (size - 1)``, so the
number of slots is a power of two. Full and empty never look alike, because indices are subtracted, not slots.

A notification is a hypercall, and it wakes another domain: it is what a ring saves on. A push notifies only
if it stepped over the other end's event index, and that end moves its event index only when it is about to
sleep. Between "the ring is empty" and "now I sleep" something may arrive unannounced, so it must look once
more after it has moved the index: the *final check*. `xenlab.devices.interleavings` shows what happens
without it.

Source: xen/include/public/io/ring.h. Each method names the macro it does the work of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from struct import Struct
from typing import Any, ClassVar, Generic, TypeVar

from xenlab.commands import XenlabError

PAGE_SIZE = 4096
#: Where the slots begin: after four indices, 4 private bytes and 44 of padding (ring.h: struct
#: __name##_sring).
RING_OFFSET = 64
#: Indices are unsigned 32-bit counters: every sum and difference is taken modulo 2**32.
U32 = 0xFFFF_FFFF

REQ_PROD, REQ_EVENT, RSP_PROD, RSP_EVENT = range(4)

Entry = TypeVar("Entry")
Request = TypeVar("Request")
Response = TypeVar("Response")
Out = TypeVar("Out")
In = TypeVar("In")


class RingError(XenlabError):
    """A ring that cannot go on: more put than it has room for, or indices that no honest end publishes."""


class RingFullError(RingError):
    """More entries put than there are free slots."""


class RingOverflowError(RingError):
    """The other end published an index that no honest end can reach."""


class Layout(Generic[Entry]):
    """How one kind of entry lies in a slot: its fields in order, and their places as a `struct` format.

    Arguments: `entry`, a named tuple; `form`, the format of its fields, little-endian (``<``).

    >>> from typing import NamedTuple
    >>> class Echo(NamedTuple):
    ...     id: int
    ...     text: bytes
    >>> echo = Layout(Echo, "<Q3s")
    >>> page = memoryview(bytearray(32))
    >>> echo.write(page, 16, Echo(7, b"xen"))
    >>> list(echo.reader(16)(page))
    [Echo(id=0, text=b'\\x00\\x00\\x00'), Echo(id=7, text=b'xen')]
    """

    def __init__(self, entry: type[Entry], form: str) -> None:
        self.struct = Struct(form)
        self.form = form
        self.size = self.struct.size
        #: Make an entry of a tuple of its fields: half the price of calling its class.
        self.build: Callable[[tuple[Any, ...]], Entry] = partial(tuple.__new__, entry)  # type: ignore[type-var]

    def write(self, page: memoryview, offset: int, entry: Entry) -> None:
        """Write one entry at `offset`; the rest of its slot stays as it is."""
        self.struct.pack_into(page, offset, *entry)  # type: ignore[misc]

    def reader(self, slot_size: int) -> Callable[[memoryview], Iterator[Entry]]:
        """Return a function that reads one entry from each slot of a piece of the page."""
        iter_unpack = Struct(f"{self.form}{slot_size - self.size}x").iter_unpack
        build = self.build
        return lambda slots: map(build, iter_unpack(slots))


@dataclass(frozen=True)
class Protocol(Generic[Request, Response]):
    """What travels on a ring: the layouts of its requests and of its responses."""

    name: str
    request: Layout[Request]
    response: Layout[Response]

    @property
    def slot_size(self) -> int:
        """Bytes a slot takes: it holds a request first and a response later."""
        return max(self.request.size, self.response.size)

    def slots(self, page_size: int = PAGE_SIZE) -> int:
        """Return how many slots a page has: as many as fit, rounded down to a power of two.

        Source: ring.h, __RING_SIZE. Raises `RingError` if not one slot fits.
        """
        fit = (page_size - RING_OFFSET) // self.slot_size
        if fit < 1:
            raise RingError(
                f"page_size(={page_size}) must hold one slot of {self.name} at least: "
                f"{RING_OFFSET} + {self.slot_size} bytes"
            )
        return 1 << (fit.bit_length() - 1)


def initialise(page: memoryview) -> None:
    """Make the page an empty ring (SHARED_RING_INIT): indices 0, both ends asking for the first entry."""
    page[:RING_OFFSET] = bytes(RING_OFFSET)
    indices = page[:16].cast("I")
    indices[REQ_EVENT] = indices[RSP_EVENT] = 1


class RingEnd(Generic[Out, In]):
    """One end of a ring: it puts and pushes entries of one kind, and takes those of the other.

    Arguments: `page`, the shared memory, made a ring by `initialise` (4096 bytes as a rule); `out` and `in_`,
    layouts; `size`, slots; `slot_size`, bytes; `at`, the index to start from (FRONT_RING_ATTACH).

    `prod_pvt` counts what this end has put, `cons` what it has taken; the other end sees neither.
    """

    _published: ClassVar[int]  # which of the four indices this end moves by `push` …
    _peer_event: ClassVar[int]  # … and at which value of it the other end wants to be notified;
    _arrived: ClassVar[int]  # which index the other end moves by its `push` …
    _event: ClassVar[int]  # … and at which value this end wants to be notified.

    def __init__(self, page: memoryview, protocol: Protocol[Any, Any], at: int) -> None:
        self.page = page
        # Native byte order: little-endian, as on every machine that Xen runs on.
        self.shared = page[:16].cast("I")
        self.size = protocol.slots(page.nbytes)
        self.slot_size = protocol.slot_size
        self.prod_pvt = at
        self.cons = at
        self._write: Callable[[memoryview, int, Out], None]
        self._read: Callable[[memoryview], Iterator[In]]

    @property
    def free(self) -> int:
        """Entries that can be put now."""
        raise NotImplementedError

    @property
    def _oldest(self) -> int:
        """The oldest index that can still be in use: the other end may be one full ring past it, not more."""
        raise NotImplementedError

    @property
    def unconsumed(self) -> int:
        """Entries that can be taken now (RING_HAS_UNCONSUMED_REQUESTS, RING_HAS_UNCONSUMED_RESPONSES).

        For a backend that is the smaller of two counts: requests published, and slots not yet awaiting a
        response.
        """
        cons = self.cons
        return min(self.shared[self._arrived] - cons & U32, self.size - (cons - self._oldest & U32))

    def slot(self, index: int) -> int:
        """Return the number of the slot that `index` means."""
        return index & self.size - 1

    def offset(self, index: int) -> int:
        """Return where on the page the entry of `index` begins (RING_GET_REQUEST, RING_GET_RESPONSE)."""
        return RING_OFFSET + (index & self.size - 1) * self.slot_size

    def put(self, entries: Sequence[Out]) -> None:
        """Write entries into the next free slots; the other end is to see none of them before `push`.

        Raises `RingFullError` if there are more of them than free slots, and then writes none.
        """
        if len(entries) > self.free:
            raise RingFullError(
                f"entries(={len(entries)}) must fit in the {self.free} free of {self.size} slots"
            )
        page, write, mask, slot_size, prod = (
            self.page,
            self._write,
            self.size - 1,
            self.slot_size,
            self.prod_pvt,
        )
        for entry in entries:
            write(page, RING_OFFSET + (prod & mask) * slot_size, entry)
            prod += 1
        self.prod_pvt = prod & U32

    def push(self) -> bool:
        """Publish all that was put; return True if the other end must be notified.

        It must if its event index lies in (old, new]: it sleeps, and this push brings what it waits for
        (RING_PUSH_REQUESTS_AND_CHECK_NOTIFY, RING_PUSH_RESPONSES_AND_CHECK_NOTIFY).
        """
        shared = self.shared
        old, new = shared[self._published], self.prod_pvt
        shared[self._published] = new
        self.barrier()  # the other end sees the entries before we look whether it sleeps
        return (new - shared[self._peer_event] & U32) < (new - old & U32)

    def take(self, at_most: int = U32) -> list[In]:
        """Take the entries that have arrived, oldest first, as private copies (RING_COPY_REQUEST).

        A copy is made in one go: whatever the other end writes into the slot afterwards changes nothing
        (XSA-155). Raises `RingOverflowError` if the other end claims more entries than a ring can hold
        (RING_REQUEST_PROD_OVERFLOW, RING_RESPONSE_PROD_OVERFLOW).
        """
        cons, oldest, size = self.cons, self._oldest, self.size
        published = self.shared[self._arrived]  # read once: it may change under our feet
        claimed = published - oldest & U32
        if claimed > size:
            raise RingOverflowError(
                f"the other end claims {claimed} entries; a ring of {size} slots holds {size} at most"
            )
        count = min(published - cons & U32, size - (cons - oldest & U32), at_most)
        taken = self._copy(cons, count)
        self.cons = cons + count & U32
        return taken

    def _copy(self, index: int, count: int) -> list[In]:
        """Copy `count` entries from `index` on: one run up to the last slot, and one from slot 0."""
        end_of_ring = RING_OFFSET + self.size * self.slot_size
        start = self.offset(index)
        end = start + count * self.slot_size
        if end <= end_of_ring:
            return list(self._read(self.page[start:end]))
        wrapped = RING_OFFSET + end - end_of_ring
        return [*self._read(self.page[start:end_of_ring]), *self._read(self.page[RING_OFFSET:wrapped])]

    def final_check(self) -> bool:
        """Before sleeping: ask to be notified of the next entry, then look once more.

        Returns True if there is work after all, and this end must not sleep (RING_FINAL_CHECK_FOR_REQUESTS,
        RING_FINAL_CHECK_FOR_RESPONSES).
        """
        if self.unconsumed:
            return True
        self.shared[self._event] = self.cons + 1 & U32
        self.barrier()  # the other end sees our wish before we look again
        return self.unconsumed > 0

    def barrier(self) -> None:
        """Let earlier writes be seen before later reads are made (xen_mb); in one Python thread they are."""


class FrontRing(RingEnd[Request, Response]):
    """The frontend's end: it puts requests and takes responses (`prod_pvt` is req_prod_pvt, `cons` rsp_cons).

    >>> from xenlab.devices import blkif
    >>> page = memoryview(bytearray(PAGE_SIZE))
    >>> initialise(page)
    >>> front, back = FrontRing(page, blkif.PROTOCOL), BackRing(page, blkif.PROTOCOL)
    >>> front.put([blkif.Request(blkif.FLUSH_DISKCACHE, id=id) for id in (1, 2, 3)])
    >>> front.push()                 # the backend sleeps: it must be notified
    True
    >>> [request.id for request in back.take()]
    [1, 2, 3]
    >>> front.put([blkif.Request(blkif.FLUSH_DISKCACHE, id=4)])
    >>> front.push()                 # the backend is still at work: a notification saved
    False
    >>> back.final_check()           # for before it sleeps it finds the fourth request
    True
    """

    _published, _peer_event, _arrived, _event = REQ_PROD, REQ_EVENT, RSP_PROD, RSP_EVENT

    def __init__(self, page: memoryview, protocol: Protocol[Request, Response], at: int = 0) -> None:
        super().__init__(page, protocol, at)
        self._write = protocol.request.write
        self._read = protocol.response.reader(self.slot_size)

    @property
    def free(self) -> int:
        """Requests that can be put now (RING_FREE_REQUESTS); 0 when the ring is full (RING_FULL)."""
        return self.size - (self.prod_pvt - self.cons & U32)

    @property
    def _oldest(self) -> int:
        return self.cons


class BackRing(RingEnd[Response, Request], Generic[Request, Response]):
    """The backend's end: it takes requests and puts responses (`prod_pvt` is rsp_prod_pvt, `cons` req_cons).

    The page is the frontend's, which may write anything on it at any time: nothing read here is to be
    trusted.
    """

    _published, _peer_event, _arrived, _event = RSP_PROD, RSP_EVENT, REQ_PROD, REQ_EVENT

    def __init__(self, page: memoryview, protocol: Protocol[Request, Response], at: int = 0) -> None:
        super().__init__(page, protocol, at)
        self._write = protocol.response.write
        self._read = protocol.request.reader(self.slot_size)

    @property
    def free(self) -> int:
        """Responses that can be put now: one for each request taken and not yet answered."""
        return self.cons - self.prod_pvt & U32

    @property
    def _oldest(self) -> int:
        return self.prod_pvt
