"""The backend of a paravirtual disk: it serves a guest's requests from a disk, and believes nothing it reads.

The ring is the guest's page, and so are the pages that its requests name. A request is copied before it is
looked at; every number in it is checked; every page is mapped through Xen, which checks the grant. What
does not pass is answered with an error, and nothing else is harmed: not the disk, not other guests. An
index that makes no sense stops this one ring for good.

Sources: Linux drivers/block/xen-blkback (blkback.c: __do_block_io_op, dispatch_rw_block_io; xenbus.c:
frontend_changed, connect); XSA-155 (double fetch).
"""

from __future__ import annotations

from collections.abc import Sequence

from xenlab.commands import XenlabError
from xenlab.devices import blkif
from xenlab.devices.blkif import SECTOR_SIZE, SECTORS_PER_PAGE, Request, Response, Segment
from xenlab.devices.evtchn import EventChannelError
from xenlab.devices.grants import GrantError, Mapping
from xenlab.devices.machine import Domain
from xenlab.devices.ring import BackRing, RingOverflowError
from xenlab.devices.trace import Trace
from xenlab.devices.xenbus import XenbusEnd, XenbusError, XenbusState
from xenlab.storage.blockdev import BlockDevice

#: Segments an indirect request may have (Linux xen-blkback/common.h).
MAX_INDIRECT_SEGMENTS = 256
#: Grants that stay mapped, if the frontend wants persistent ones (Linux: xen_blkif_max_pgrants).
MAX_PERSISTENT_GRANTS = 1056


class RefusedError(XenlabError):
    """A request that a backend answers with an error."""


class BlockBackend(XenbusEnd):
    """One guest's disk, served from `disk`.

    Arguments: `domain`, where the backend runs; `path`, its directory in xenstore, made by the toolstack;
    `disk`, anything with a size, `read` and `write`: a file, a logical volume, a qcow2 image. Mode ``r`` in
    the directory makes it read-only.

    `served` counts requests, `refused` holds the reason for each one refused, `halted` the reason why the
    ring was stopped.
    """

    actor = "backend"

    def __init__(self, domain: Domain, path: str, disk: BlockDevice, trace: Trace | None = None) -> None:
        super().__init__(domain, path, "frontend", trace)
        self.disk = disk
        self.readonly = self.store.read(f"{path}/mode") == "r"
        self.sectors = disk.size // SECTOR_SIZE
        self.ring: BackRing[Request, Response] | None = None
        self.served = 0
        self.refused: list[str] = []
        self.halted = ""
        self._ring_page: Mapping | None = None
        self._persistent = False
        self._kept: dict[int, Mapping] = {}
        self.follow()
        features = {
            "feature-flush-cache": 1,
            "feature-persistent": 1,
            "feature-max-indirect-segments": MAX_INDIRECT_SEGMENTS,
        }
        self.switch(XenbusState.INIT_WAIT, features)

    # -- the handshake

    def other_changed(self, state: XenbusState) -> None:
        """Follow the frontend: connect when it has made a ring, close when it closes."""
        if state in (XenbusState.INITIALISED, XenbusState.CONNECTED) and self.state is XenbusState.INIT_WAIT:
            try:
                self._connect()
            except (XenbusError, GrantError, EventChannelError) as error:
                self._disconnect()
                self.fatal(error)
        elif state is XenbusState.CLOSING:
            self.switch(XenbusState.CLOSING)
        elif state is XenbusState.CLOSED and self.state is not XenbusState.CLOSED:
            self._disconnect()
            self.switch(XenbusState.CLOSED)
            self.unfollow()

    def _connect(self) -> None:
        self._persistent = bool(self.other_key("feature-persistent", 0))
        self._ring_page = self.domain.map(self.other_domid, self.other_key("ring-ref"))
        self.ring = BackRing(self._ring_page.view, blkif.PROTOCOL)
        events = self.domain.machine.events
        self.port = events.bind_interdomain(
            self.domain.domid, self.other_domid, self.other_key("event-channel")
        )
        if self.trace is not None:
            self.trace.back = self.ring
        self.note("map the ring", detail=f"grant {self._ring_page.gref}")
        self.domain.listen(self.port, self.on_event)
        properties = {
            "sectors": self.sectors,
            "sector-size": SECTOR_SIZE,
            "physical-sector-size": SECTOR_SIZE,
            "info": blkif.VDISK_READONLY if self.readonly else 0,
        }
        self.switch(XenbusState.CONNECTED, properties)

    def _disconnect(self) -> None:
        if self.port:
            self.domain.close(self.port)
            self.port = 0
        for mapping in self._kept.values():
            self.domain.unmap(mapping)
        self._kept.clear()
        self.ring = None
        if self._ring_page is not None:
            self.domain.unmap(self._ring_page)
            self._ring_page = None

    # -- requests

    def on_event(self, _port: int) -> None:
        """Serve requests until there are none, and sleep; or stop the ring if its indices make no sense."""
        ring = self.ring
        if ring is None or self.halted:
            return
        step = ring.size if self.trace is None else 1  # a trace shows one request after the other
        more = True
        while more:
            answered = ring.prod_pvt
            try:
                while requests := ring.take(step):
                    self._note(requests, "take", ring.cons)
                    ring.put([self._serve(request) for request in requests])
                    self._note(requests, "respond", ring.prod_pvt)
            except RingOverflowError as error:
                self.halted = str(error)
                self.note("halt", detail=self.halted)
                return
            notify = ring.push()
            if ring.prod_pvt != answered:
                self.note("push responses", notified=notify)
            if notify:
                self.domain.notify(self.port)
            more = ring.final_check()

    def _note(self, requests: Sequence[Request], action: str, end: int) -> None:
        """Note what was done with some requests, whose entries lie just before index `end`."""
        if self.trace is not None:
            for index, request in enumerate(requests, end - len(requests)):
                self.trace.add(self.actor, action, request=request.id, index=index)

    def _serve(self, request: Request) -> Response:
        """Do what a request asks, if it may; return the response."""
        try:
            status = self._dispatch(request)
        except XenlabError as error:  # a refusal of ours, of Xen's (a grant), or of the disk's
            self.refused.append(str(error))
            status = blkif.ERROR
            self.note("refuse", request=request.id, detail=str(error))
        else:
            self.served += 1
        return blkif.RESPONSE.build((request.id, request.operation, status))

    def _dispatch(self, request: Request) -> int:
        operation = request.operation
        if operation in (blkif.READ, blkif.WRITE):
            self._transfer(operation, request.sector_number, request.segments)
        elif operation == blkif.INDIRECT:
            indirect = blkif.Indirect.of(request)
            self._transfer(indirect.indirect_op, indirect.sector_number, self._indirect_segments(indirect))
        elif operation != blkif.FLUSH_DISKCACHE:  # writes are done at once and in order: nothing to flush
            self.refused.append(f"operation {_operation(operation)} is not supported")
            return blkif.EOPNOTSUPP
        return blkif.OKAY

    def _check(self, operation: int, sector: int, segments: Sequence[Segment]) -> None:
        """Refuse a read or write that makes no sense, or that this guest may not do (xen_vbd_translate)."""
        if operation not in (blkif.READ, blkif.WRITE):
            raise RefusedError(f"indirect_op(={operation}) must be READ or WRITE")
        if not segments:
            raise RefusedError("a read or write must have one segment at least")
        count = 0
        for _, first, last in segments:
            if not first <= last < SECTORS_PER_PAGE:
                raise RefusedError(f"a segment from sector {first} to {last} must lie in a page: 0 to 7")
            count += last - first + 1
        if operation == blkif.WRITE and self.readonly:
            raise RefusedError("the disk is read-only")
        if sector + count > self.sectors:
            last = sector + count - 1
            raise RefusedError(f"sectors {sector} to {last} must all be on the disk of {self.sectors}")

    def _transfer(self, operation: int, sector: int, segments: Sequence[Segment]) -> None:
        """Move sectors between disk and guest; all checks and mappings come before the first byte."""
        self._check(operation, sector, segments)
        mappings: list[Mapping] = []
        try:
            for segment in segments:
                mappings.append(self._map(segment.gref, readonly=operation == blkif.WRITE))
            parts = [
                mapping.view[first * SECTOR_SIZE : (last + 1) * SECTOR_SIZE]
                for mapping, (_, first, last) in zip(mappings, segments, strict=True)
            ]
            self._move(operation, sector, parts)
        finally:
            for mapping in mappings:
                self._release(mapping)

    def _move(self, operation: int, sector: int, parts: Sequence[memoryview]) -> None:
        """Read or write sectors from `sector` on, from or into these pieces of mapped pages."""
        size = sum(map(len, parts))
        if operation == blkif.WRITE:
            self.disk.write(sector * SECTOR_SIZE, b"".join(parts))
        else:
            data = memoryview(self.disk.read(sector * SECTOR_SIZE, size))
            for part in parts:
                part[:], data = data[: len(part)], data[len(part) :]
        if self.trace is not None:
            action = f"disk {_operation(operation).lower()}"
            self.trace.add(self.actor, action, detail=f"{size // SECTOR_SIZE} sectors from {sector}")

    def _indirect_segments(self, indirect: blkif.Indirect) -> list[Segment]:
        """Copy the segments of an indirect request from the pages that hold them."""
        if not 0 < indirect.nr_segments <= MAX_INDIRECT_SEGMENTS:
            raise RefusedError(
                f"nr_segments(={indirect.nr_segments}) must be from 1 to {MAX_INDIRECT_SEGMENTS}"
            )
        segments: list[Segment] = []
        for gref in indirect.indirect_grefs:
            page = self._map(gref, readonly=True)
            missing = indirect.nr_segments - len(segments)
            segments += blkif.unpack_segments(page.view, min(missing, blkif.SEGMENTS_PER_INDIRECT_PAGE))
            self._release(page)
        return segments

    # -- the guest's pages

    def _map(self, gref: int, *, readonly: bool) -> Mapping:
        """Map a page of the guest; a persistent grant stays mapped, for writing, to serve both ways."""
        if gref in self._kept:
            return self._kept[gref]
        keep = self._persistent and len(self._kept) < MAX_PERSISTENT_GRANTS
        mapping = self.domain.map(self.other_domid, gref, readonly=readonly and not keep)
        if keep:
            self._kept[gref] = mapping
        self.note("map a page", detail=f"grant {gref}")
        return mapping

    def _release(self, mapping: Mapping) -> None:
        if self._kept.get(mapping.gref) is not mapping:
            self.domain.unmap(mapping)


def _operation(number: int) -> str:
    return blkif.OPERATIONS[number] if number < len(blkif.OPERATIONS) else str(number)
