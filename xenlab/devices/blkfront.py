"""The frontend of a paravirtual disk: the guest's side, which turns reads and writes into requests.

A read or write of any length is cut into requests of at most 11 pages, or of more with the segments on a
page of their own. For each page of data the frontend takes a page of its pool and grants it to the backend:
a new grant for every use, revoked afterwards; or, if both sides want *persistent* grants, the same one for
ever, at the price of a copy and the gain of two hypercalls. What does not fit on the ring waits until
responses make room.

Source: Linux drivers/block/xen-blkfront.c (talk_to_blkback, blkif_queue_rw_req, blkif_interrupt,
blkfront_connect).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from xenlab.commands import XenlabError
from xenlab.devices import blkif
from xenlab.devices.blkif import MAX_SEGMENTS_PER_REQUEST, SECTOR_SIZE, Request, Response, Segment
from xenlab.devices.machine import Domain
from xenlab.devices.ring import PAGE_SIZE, FrontRing, RingOverflowError, initialise
from xenlab.devices.trace import Trace
from xenlab.devices.xenbus import XenbusEnd, XenbusState

#: Segments a frontend puts into one indirect request (Linux: xen_blkif_max_segments).
MAX_INDIRECT_SEGMENTS = 32


class DiskFailedError(XenlabError):
    """A read or write that the backend answered with an error, or that was cut off (EIO)."""


@dataclass
class _Page:
    """A page of the pool: its frame, and its grant while there is one (0, a reserved reference: none)."""

    frame: int
    view: memoryview
    gref: int = 0


@dataclass
class Transfer:
    """A read or write under way; `data` is what to write, or where what is read arrives."""

    operation: int
    sector: int
    data: bytearray
    waiting: int = 0  # requests not yet answered
    status: int = blkif.OKAY

    @property
    def done(self) -> bool:
        """True once every request has been answered."""
        return self.waiting == 0


@dataclass
class _Part:
    """What one request moves: bytes `start` to `end` of a transfer, and the pages it uses meanwhile."""

    transfer: Transfer
    start: int
    end: int
    pages: list[_Page] = field(default_factory=list)
    tables: list[_Page] = field(default_factory=list)  # pages of an indirect request's segments


class BlockFrontend(XenbusEnd):
    """A guest's disk.

    Arguments: `domain`, the guest; `path`, its directory in xenstore; `persistent`, whether it wants grants
    to last. It connects as the machine runs. `sent` counts requests, `notifications` those events that they
    needed.
    """

    actor = "frontend"

    def __init__(
        self, domain: Domain, path: str, *, persistent: bool = True, trace: Trace | None = None
    ) -> None:
        super().__init__(domain, path, "backend", trace)
        self.ring: FrontRing[Request, Response] | None = None
        self.sectors = 0
        self.readonly = False
        self.sent = 0
        self.notifications = 0
        self._wants_persistent = persistent
        self._persistent = False
        self._max_segments = MAX_SEGMENTS_PER_REQUEST
        self._handle = int(path.rpartition("/")[2])
        self._ring_page: _Page | None = None
        self._pool: list[_Page] = []
        self._free_ids: list[int] = []
        self._in_flight: dict[int, _Part] = {}
        self._queue: deque[_Part] = deque()
        self.follow()

    # -- the handshake

    def other_changed(self, state: XenbusState) -> None:
        """Follow the backend: offer it a ring, use the disk once it is connected, close when it closes."""
        if state is XenbusState.INIT_WAIT and self.state is XenbusState.INITIALISING:
            self._offer()
        elif state is XenbusState.CONNECTED and self.state is XenbusState.INITIALISED:
            self._connect()
        elif state in (XenbusState.CLOSING, XenbusState.CLOSED) and self.state is not XenbusState.CLOSED:
            self._close()
        if state in (XenbusState.CLOSED, XenbusState.UNKNOWN) and self.state is XenbusState.CLOSED:
            self._free()

    def _offer(self) -> None:
        """Make a ring and an event channel, and say in xenstore where they are."""
        page = self._ring_page = self._new_page()
        page.gref = self.domain.grants.grant(page.frame, self.other_domid)
        initialise(page.view)
        self.ring = FrontRing(page.view, blkif.PROTOCOL)
        self._free_ids = list(reversed(range(self.ring.size)))
        self.port = self.domain.machine.events.alloc_unbound(self.domain.domid, self.other_domid)
        self.domain.listen(self.port, self.on_event)
        if self.trace is not None:
            self.trace.front = self.ring
        keys = {"ring-ref": page.gref, "event-channel": self.port, "protocol": "x86_64-abi"}
        self.switch(XenbusState.INITIALISED, keys | {"feature-persistent": int(self._wants_persistent)})

    def _connect(self) -> None:
        """Read what the backend offers, and begin."""
        self.sectors = self.other_key("sectors")
        self.readonly = bool(self.other_key("info") & blkif.VDISK_READONLY)
        self._persistent = self._wants_persistent and bool(self.other_key("feature-persistent", 0))
        indirect = min(self.other_key("feature-max-indirect-segments", 0), MAX_INDIRECT_SEGMENTS)
        self._max_segments = max(indirect, MAX_SEGMENTS_PER_REQUEST)
        self.switch(XenbusState.CONNECTED)

    def _close(self) -> None:
        """Fail what is under way and close; the ring stays until the backend has let go of it."""
        for part in [*self._in_flight.values(), *self._queue]:
            part.transfer.status, part.transfer.waiting = blkif.ERROR, 0
            self._pool += part.pages + part.tables
        self._in_flight.clear()
        self._queue.clear()
        self.switch(XenbusState.CLOSED)

    def _free(self) -> None:
        """Take back all pages and grants, now that the backend has unmapped them."""
        self.unfollow()
        self.ring = None
        if self.port:
            self.domain.close(self.port)
            self.port = 0
        for page in [*self._pool, *([self._ring_page] if self._ring_page else [])]:
            if page.gref == 0 or self.domain.grants.revoke(page.gref):
                self.domain.machine.memory.free(page.frame)
        self._pool, self._ring_page = [], None

    # -- reads and writes

    def read(self, sector: int, count: int) -> bytes:
        """Read sectors: submit, let the machine run, return the data. Raises `DiskFailedError`."""
        return bytes(self._finish(self.submit(blkif.READ, sector, bytes(count * SECTOR_SIZE))).data)

    def write(self, sector: int, data: bytes) -> None:
        """Write whole sectors: submit, let the machine run. Raises `DiskFailedError`."""
        self._finish(self.submit(blkif.WRITE, sector, data))

    def _finish(self, transfer: Transfer) -> Transfer:
        self.flush()
        self.domain.machine.run()
        if transfer.status != blkif.OKAY or not transfer.done:
            operation = blkif.OPERATIONS[transfer.operation].lower()
            answer = f"status {transfer.status}" if transfer.done else "no answer"
            raise DiskFailedError(f"{operation} at sector {transfer.sector} failed: {answer}")
        return transfer

    def submit(self, operation: int, sector: int, data: bytes) -> Transfer:
        """Queue a READ or WRITE of whole sectors; `flush` sends it off, with whatever else was queued.

        `data` says how much to read, or what to write. Raises `DiskFailedError` if the disk is not
        connected, or has no such sectors.
        """
        if self.state is not XenbusState.CONNECTED:
            raise DiskFailedError(f"the disk is {self.state.name}; it must be CONNECTED: let the machine run")
        count, rest = divmod(len(data), SECTOR_SIZE)
        if rest or not 0 <= sector <= sector + count <= self.sectors:
            raise DiskFailedError(
                f"sector(={sector}) and data(={len(data)} bytes) must be whole sectors within {self.sectors}"
            )
        transfer = Transfer(operation, sector, bytearray(data))
        step = self._max_segments * PAGE_SIZE
        for start in range(0, len(data), step):
            self._queue.append(_Part(transfer, start, min(start + step, len(data))))
            transfer.waiting += 1
        return transfer

    def flush(self) -> None:
        """Put as many queued requests on the ring as fit, push them all at once, notify if need be."""
        ring = self.ring
        assert ring is not None
        room = min(ring.free, len(self._queue))
        if not room:
            return
        first = ring.prod_pvt
        requests = [self._request(self._queue.popleft()) for _ in range(room)]
        ring.put(requests)
        notify = ring.push()
        self.sent += room
        if self.trace is not None:
            for number, request in enumerate(requests):
                self.trace.add(self.actor, "put", request=request.id, index=first + number)
            self.trace.add(self.actor, "push", notified=notify)
        if notify:
            self.notifications += 1
            self.domain.notify(self.port)

    def _request(self, part: _Part) -> Request:
        """Prepare the pages of one request, and the request."""
        transfer, start, end = part.transfer, part.start, part.end
        id = self._free_ids.pop()
        self._in_flight[id] = part
        segments = []
        for offset in range(start, end, PAGE_SIZE):
            length = min(PAGE_SIZE, end - offset)
            page = self._lend(readonly=transfer.operation == blkif.WRITE)
            if transfer.operation == blkif.WRITE:
                page.view[:length] = transfer.data[offset : offset + length]
            part.pages.append(page)
            segments.append(Segment(page.gref, 0, length // SECTOR_SIZE - 1))
        sector = transfer.sector + start // SECTOR_SIZE
        packed = blkif.pack_segments(segments)
        if len(segments) <= MAX_SEGMENTS_PER_REQUEST:
            fields = (transfer.operation, len(segments), self._handle, id, sector, packed)
            return blkif.REQUEST.build(fields)
        table = self._lend(readonly=True)  # one page: 32 segments at most, of 512 that it could hold
        table.view[: len(packed)] = packed
        part.tables.append(table)
        return blkif.Indirect(
            transfer.operation, len(segments), id, sector, (table.gref,), self._handle
        ).request()

    def on_event(self, _port: int) -> None:
        """Take responses until there are none, then use the slots that they have freed."""
        ring = self.ring
        assert ring is not None
        more = True
        while more:
            try:
                responses = ring.take()
            except RingOverflowError as error:
                self.fatal(error)
                return
            for response in responses:
                self._complete(response)
            more = ring.final_check()
        self.flush()

    def _complete(self, response: Response) -> None:
        """Finish one request: fetch what was read, give its pages back. Its id is the backend's word."""
        id, _, status = response
        part = self._in_flight.pop(id, None)
        if part is None:
            self.fatal(DiskFailedError(f"the backend answers request {id}, which is not under way"))
            return
        self._free_ids.append(id)
        transfer = part.transfer
        if status != blkif.OKAY:
            transfer.status = status
        for number, page in enumerate(part.pages):
            if transfer.operation == blkif.READ and status == blkif.OKAY:
                offset = part.start + number * PAGE_SIZE
                length = min(PAGE_SIZE, part.end - offset)
                transfer.data[offset : offset + length] = page.view[:length]
            self._take_back(page)
        for table in part.tables:
            self._take_back(table)
        transfer.waiting -= 1
        if self.trace is not None:
            self.trace.add(self.actor, "take response", request=id, detail=f"status {status}")

    # -- pages

    def _new_page(self) -> _Page:
        frame = self.domain.machine.memory.allocate(self.domain.domid)
        return _Page(frame, self.domain.machine.memory[frame])

    def _lend(self, *, readonly: bool) -> _Page:
        """Take a page from the pool and grant it, unless it has a persistent grant, for both directions."""
        page = self._pool.pop() if self._pool else self._new_page()
        if not page.gref:
            page.gref = self.domain.grants.grant(
                page.frame, self.other_domid, readonly=readonly and not self._persistent
            )
            self.note("grant a page", detail=f"grant {page.gref}")
        return page

    def _take_back(self, page: _Page) -> None:
        """Put a page back into the pool, its grant revoked unless that is to last."""
        self._pool.append(page)
        if self._persistent:
            return
        if self.domain.grants.revoke(page.gref):
            page.gref = 0
        else:
            self.fatal(DiskFailedError(f"the backend keeps grant {page.gref} mapped after its response"))
