"""A malicious frontend: every attack is refused, and neither the disk nor a neighbour is harmed."""

import random
import re
import struct

import pytest

from xenlab.devices import blkif
from xenlab.devices.blkback import BlockBackend
from xenlab.devices.blkfront import DiskFailedError
from xenlab.devices.blkif import Indirect, Request, Response, Segment, pack_segments
from xenlab.devices.machine import Machine
from xenlab.devices.ring import REQ_PROD, RSP_PROD, U32
from xenlab.devices.vbd import attach
from xenlab.devices.xenbus import Device, XenbusState, plug
from xenlab.storage.blockdev import MemoryDisk

SECTORS = 256


def image(seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(SECTORS * 512)


def disk_of(data: bytes) -> MemoryDisk:
    disk = MemoryDisk(len(data))
    disk.write(0, data)
    return disk


class Attack:
    """A guest that does what it likes with its pages, ring and grants; a neighbour who must not notice."""

    def __init__(self, mode: str = "w", persistent: bool = False) -> None:
        self.machine = Machine()
        self.guest = self.machine.create(1, "mallory")
        self.data = image()
        self.disk = disk_of(self.data)
        self.vbd = attach(self.machine, self.guest, self.disk, mode=mode, persistent=persistent)
        self.neighbour = attach(self.machine, self.machine.create(2, "alice"), disk_of(image(seed=7)))
        self.ring = self.vbd.front.ring
        self.back: BlockBackend = self.vbd.back
        self.guest.disable_upcalls()  # its honest driver is out of the game
        self.frame, self.page, self.gref = self.new_page()
        self.page[:] = b"M" * 4096

    def new_page(self):
        frame = self.machine.memory.allocate(1)
        return frame, self.machine.memory[frame], self.guest.grants.grant(frame, 0)

    def request(self, operation: int = blkif.WRITE, **changes: object) -> Request:
        """A good request for one page, to be spoilt."""
        return Request(operation, 1, 51712, 99, 0, pack_segments([Segment(self.gref)]))._replace(**changes)

    def send(self, *requests: Request) -> list[int]:
        """Put requests past the driver; return the statuses that come back."""
        self.ring.put(requests)
        self.ring.push()
        return self.kick()

    def kick(self) -> list[int]:
        self.guest.notify(self.vbd.front.port)
        self.machine.run()
        return [response.status for response in self.ring.take()]

    def assert_harmless(self) -> None:
        assert self.disk.read(0, len(self.data)) == self.data
        self.assert_neighbour_is_served()

    def assert_neighbour_is_served(self) -> None:
        assert self.neighbour.front.read(0, SECTORS) == image(seed=7)

    def assert_still_served(self) -> None:
        assert self.send(self.request(blkif.READ, sector_number=8)) == [blkif.OKAY]
        assert bytes(self.page) == self.data[8 * 512 : 16 * 512]


@pytest.fixture
def attack() -> Attack:
    return Attack()


def segment(first: int, last: int) -> bytes:
    return struct.pack("<IBB2x", 8, first, last)


@pytest.mark.parametrize("operation", [blkif.READ, blkif.WRITE])
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sector_number": SECTORS}, "sectors 256 to 263 must all be on the disk of 256"),
        ({"sector_number": SECTORS - 7}, "sectors 249 to 256 must all be on the disk"),
        ({"sector_number": 2**64 - 1}, "must all be on the disk"),  # would wrap in 64 bits
        ({"nr_segments": 0}, "must have one segment at least"),
        ({"nr_segments": 12}, r"nr_segments\(=12\) must be at most 11"),
        ({"nr_segments": 255}, r"nr_segments\(=255\) must be at most 11"),
        ({"seg": segment(0, 8)}, "a segment from sector 0 to 8 must lie in a page"),
        ({"seg": segment(5, 4)}, "a segment from sector 5 to 4"),
        ({"seg": segment(255, 255)}, "a segment from sector 255 to 255"),
        ({"seg": pack_segments([Segment(300)])}, "grant 300 of d1 is not an open grant to d0"),
        ({"seg": pack_segments([Segment(4000)])}, "invalid grant reference"),
        ({"seg": pack_segments([Segment(U32)])}, "invalid grant reference"),
    ],
)
def test_a_request_that_makes_no_sense_is_answered_with_an_error(attack, operation, changes, reason):
    assert attack.send(attack.request(operation, **changes)) == [blkif.ERROR]
    assert re.search(reason, attack.back.refused[0])
    assert bytes(attack.page) == b"M" * 4096
    attack.assert_harmless()
    attack.assert_still_served()


@pytest.mark.parametrize("operation", [blkif.WRITE_BARRIER, blkif.RESERVED_1, blkif.DISCARD, 7, 255])
def test_an_operation_that_was_not_offered_is_not_supported(attack, operation):
    assert attack.send(attack.request(operation)) == [blkif.EOPNOTSUPP]
    attack.assert_harmless()
    attack.assert_still_served()


@pytest.mark.parametrize("ahead", [33, 1000, 1 << 31, U32])
def test_a_producer_index_that_cannot_be_stops_this_ring_and_no_other(attack, ahead):
    attack.ring.put([attack.request()])
    attack.ring.shared[REQ_PROD] = ahead
    assert attack.kick() == []
    assert f"claims {ahead} entries" in attack.back.halted
    assert attack.back.served == 0
    attack.ring.shared[REQ_PROD] = 1  # repentance comes too late
    assert attack.kick() == []
    attack.assert_harmless()
    attack.vbd.detach()  # but it can be unplugged
    assert attack.back.state is XenbusState.CLOSED


def test_indices_of_the_backend_are_its_own_whatever_the_page_says(attack):
    attack.ring.shared[RSP_PROD] = 77
    attack.ring.put([attack.request(blkif.READ)])
    attack.ring.push()
    attack.guest.notify(attack.vbd.front.port)
    attack.machine.run()
    assert attack.back.served == 1
    assert attack.ring.shared[RSP_PROD] == 1
    attack.assert_harmless()


def test_a_page_revoked_before_it_is_mapped_is_refused(attack):
    attack.ring.put([attack.request()])
    attack.ring.push()
    assert attack.guest.grants.revoke(attack.gref)
    assert attack.kick() == [blkif.ERROR]
    assert "is not an open grant" in attack.back.refused[0]
    attack.assert_harmless()


def test_a_page_cannot_be_revoked_while_the_backend_has_it(attack, monkeypatch):
    attempts = []
    check = attack.back._move

    def revoke_meanwhile(*args: object) -> None:
        attempts.append(attack.guest.grants.revoke(attack.gref))
        check(*args)

    monkeypatch.setattr(attack.back, "_move", revoke_meanwhile)
    assert attack.send(attack.request(blkif.READ)) == [blkif.OKAY]
    assert attempts == [False]
    assert bytes(attack.page) == attack.data[:4096]
    assert attack.guest.grants.revoke(attack.gref)  # now it can


def test_nobody_elses_memory_can_be_granted_read_only_pages_not_be_written_grants_to_others_not_be_used(
    attack,
):
    theirs = attack.machine.memory.allocate(2)
    before = bytes(attack.machine.memory[theirs])
    for gref in (
        attack.guest.grants.grant(theirs, 0),
        attack.guest.grants.grant(attack.frame, 0, readonly=True),
        attack.guest.grants.grant(attack.frame, 2),
    ):
        assert attack.send(attack.request(blkif.READ, seg=pack_segments([Segment(gref)]))) == [blkif.ERROR]
    assert bytes(attack.machine.memory[theirs]) == before
    assert bytes(attack.page) == b"M" * 4096
    attack.assert_harmless()


def test_one_bad_segment_of_many_and_not_a_byte_is_written(attack):
    seg = pack_segments([Segment(attack.gref)] * 10 + [Segment(400)])
    assert attack.send(attack.request(nr_segments=11, seg=seg)) == [blkif.ERROR]
    attack.assert_harmless()
    assert not attack.guest.grants.entry(attack.gref)[0] & 0b11000  # and every page was unmapped
    attack.assert_still_served()


def test_a_read_only_disk_stays_as_it_is():
    attack = Attack(mode="r")
    table = attack.new_page()
    table[1][:8] = pack_segments([Segment(attack.gref)])
    indirect = Indirect(blkif.WRITE, 1, 99, 0, (table[2],)).request()
    assert attack.send(attack.request(), indirect) == [blkif.ERROR] * 2
    attack.assert_harmless()
    attack.assert_still_served()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"indirect_op": blkif.INDIRECT}, r"indirect_op\(=6\) must be READ or WRITE"),
        ({"indirect_op": blkif.FLUSH_DISKCACHE}, "must be READ or WRITE"),
        ({"nr_segments": 0}, r"nr_segments\(=0\) must be from 1 to 256"),
        ({"nr_segments": 257}, "must be from 1 to 256"),
        ({"nr_segments": 65535}, "must be from 1 to 256"),
        ({"indirect_grefs": (400,)}, "not an open grant"),
        ({"sector_number": SECTORS}, "must all be on the disk"),
        ({"nr_segments": 2}, "a segment from sector 0 to 0|invalid|not an open grant"),  # the second is zeros
    ],
)
def test_an_indirect_request_is_believed_no_more_than_any_other(attack, changes, reason):
    _, table, gref = attack.new_page()
    table[:8] = pack_segments([Segment(attack.gref)])
    request = Indirect(blkif.WRITE, 1, 99, 0, (gref,))._replace(**changes).request()
    assert attack.send(request) == [blkif.ERROR]
    assert re.search(reason, attack.back.refused[0])
    attack.assert_harmless()
    attack.assert_still_served()


# -- double fetch: the slot changes between the check and the use (XSA-155)


class Careless(BlockBackend):
    """A backend that checks a request, and then reads it from the shared page again to do it."""

    def _transfer(self, operation, sector, segments):
        self._check(operation, sector, segments)
        raw = self.ring.page[self.ring.offset(self.ring.cons - 1) :]
        (again,) = blkif.REQUEST.reader(112)(raw[:112])
        mappings = [self._map(gref, readonly=True) for gref, _, _ in again.segments]
        self._move(again.operation, again.sector_number, [mapping.view for mapping in mappings])
        for mapping in mappings:
            self._release(mapping)


def attack_between_check_and_use(kind: type[BlockBackend], monkeypatch) -> Attack:
    """Write sector 100, and change the slot to a write to sector 0 as soon as the backend has checked it."""
    attack = Attack()
    attack.back.__class__ = kind
    check = attack.back._check

    def check_and_be_betrayed(*args: object) -> None:
        check(*args)
        attack.ring._write(attack.ring.page, attack.ring.offset(0), attack.request(sector_number=0))

    monkeypatch.setattr(attack.back, "_check", check_and_be_betrayed)
    assert attack.send(attack.request(sector_number=96)) == [blkif.OKAY]
    return attack


def test_a_slot_changed_after_the_check_changes_nothing(monkeypatch):
    attack = attack_between_check_and_use(BlockBackend, monkeypatch)
    assert attack.disk.read(0, 4096) == attack.data[:4096]
    assert attack.disk.read(96 * 512, 4096) == b"M" * 4096
    attack.assert_neighbour_is_served()


def test_and_this_test_would_notice_a_backend_that_reads_twice(monkeypatch):
    attack = attack_between_check_and_use(Careless, monkeypatch)
    assert attack.disk.read(0, 4096) == b"M" * 4096


def test_segments_of_an_indirect_request_are_read_once_too(attack, monkeypatch):
    _, table, gref = attack.new_page()
    table[:8] = pack_segments([Segment(attack.gref)])
    check = attack.back._check

    def check_and_be_betrayed(*args: object) -> None:
        check(*args)
        table[:8] = pack_segments([Segment(8, 0, 255)])

    monkeypatch.setattr(attack.back, "_check", check_and_be_betrayed)
    assert attack.send(Indirect(blkif.READ, 1, 99, 0, (gref,)).request()) == [blkif.OKAY]
    assert bytes(attack.page) == attack.data[:4096]


# -- the handshake


@pytest.mark.parametrize(
    "keys",
    [
        {"ring-ref": "rubbish", "event-channel": 1},
        {"ring-ref": 400, "event-channel": 1},
        {"ring-ref": -1, "event-channel": 1},
        {"event-channel": 1},
        {"ring-ref": "good", "event-channel": 99},
        {"ring-ref": "good", "event-channel": "1; rm -rf /"},
    ],
)
def test_a_handshake_of_nonsense_closes_this_device_with_a_reason_and_no_other(keys):
    machine = Machine()
    neighbour = attach(machine, machine.create(2, "alice"), disk_of(image()))
    guest = machine.create(1, "mallory")
    device = Device("vbd", 51712, frontend=1)
    plug(machine.dom0.store, device, {}, {"mode": "w"})
    back = BlockBackend(machine.dom0, device.backend_path, MemoryDisk(1 << 20))
    gref = guest.grants.grant(machine.memory.allocate(1), 0)
    for key, value in keys.items():
        guest.store.write(f"device/vbd/51712/{key}", gref if value == "good" else value)
    guest.store.write("device/vbd/51712/state", int(XenbusState.INITIALISED))
    machine.run()
    assert back.state is XenbusState.CLOSING
    assert machine.dom0.store.read("error/backend/vbd/1/51712/error")
    assert guest.grants.revoke(gref)  # nothing stays mapped
    assert neighbour.front.read(0, SECTORS) == image()


# -- and the other way round: a malicious backend


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (Response(31, blkif.READ, 0), "answers request 31, which is not under way"),
        (Response(2**64 - 1, blkif.READ, 0), "which is not under way"),
    ],
)
def test_a_response_nobody_waits_for_closes_the_frontend(response, reason):
    machine = Machine()
    guest = machine.create(1, "web")
    vbd = attach(machine, guest, disk_of(image()))
    vbd.back._serve = lambda request: response
    with pytest.raises(DiskFailedError):
        vbd.front.read(0, 1)
    assert reason in machine.dom0.store.read("/local/domain/1/error/device/vbd/51712/error")
    assert vbd.front.state is vbd.back.state is XenbusState.CLOSED


def test_a_backend_that_keeps_a_page_after_its_response_is_left():
    machine = Machine()
    vbd = attach(machine, machine.create(1, "web"), disk_of(image()), persistent=False)
    vbd.back._release = lambda mapping: None
    vbd.front.read(0, 1)  # this one still arrives
    assert "keeps grant" in machine.dom0.store.read("/local/domain/1/error/device/vbd/51712/error")
    assert vbd.front.state is XenbusState.CLOSED


def test_more_responses_than_a_ring_can_hold_close_the_frontend():
    machine = Machine()
    vbd = attach(machine, machine.create(1, "web"), disk_of(image()))
    vbd.back.ring.shared[RSP_PROD] = 1000
    machine.dom0.notify(vbd.back.port)
    machine.run()
    assert vbd.front.state is XenbusState.CLOSED
