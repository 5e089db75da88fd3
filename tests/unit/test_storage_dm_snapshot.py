"""Device-mapper's snapshots: the bytes of the exception store, what a first write costs, and a full store."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenlab.storage.blockdev import DiskError, MemoryDisk, StorageError
from xenlab.storage.dm_snapshot import ExceptionStore, Snapshot, SnapshotOrigin

CHUNK = 4096
PER_AREA = CHUNK // 16


def frozen(chunks=64, room=4096, steps=None):
    """An origin whose chunk n is full of the byte n, and a snapshot of it."""
    origin = SnapshotOrigin(MemoryDisk(chunks * CHUNK))
    for number in range(chunks):
        origin.device.write(number * CHUNK, bytes([number % 256]) * CHUNK)
    snapshot = Snapshot(origin, MemoryDisk(room * CHUNK), CHUNK, steps)
    return origin, snapshot


def test_the_bytes_are_those_the_kernel_writes():
    """dm-snap-persistent.c: struct disk_header, struct disk_exception, little endian; zeros end the table."""
    cow = MemoryDisk(64 * CHUNK)
    store = ExceptionStore(cow, CHUNK)
    for old in (7, 3):
        store.commit(old, store.allocate())
    assert struct.unpack("<IIII", cow.read(0, 16)) == (0x70416E53, 1, 1, 8)
    assert cow.read(0, 4) == b"SnAp"
    assert struct.unpack("<6Q", cow.read(CHUNK, 48)) == (7, 2, 3, 3, 0, 0)


def test_areas_lie_where_the_kernel_looks_for_them():
    """dm-snap-persistent.c: area_location: chunk 1 + area * (exceptions_per_area + 1)."""
    cow = MemoryDisk(3 * (PER_AREA + 2) * CHUNK)
    store = ExceptionStore(cow, CHUNK)
    for old in range(PER_AREA + 1):
        store.commit(old, store.allocate())
    second_area = 1 + (PER_AREA + 1)
    assert second_area not in store.exceptions.values()
    assert struct.unpack("<QQ", cow.read(second_area * CHUNK, 16)) == (PER_AREA, store.exceptions[PER_AREA])


@given(st.integers(0, 2 * PER_AREA + 3))
@settings(max_examples=25)
def test_a_store_read_again_is_the_one_that_was_written(count):
    cow = MemoryDisk(1024 * CHUNK)
    store = ExceptionStore(cow, CHUNK)
    for old in range(count):
        store.commit(1000 + old, store.allocate())
    again = ExceptionStore(cow, 512)  # the size on the device wins
    assert (again.chunk_size, again.exceptions) == (CHUNK, store.exceptions)
    assert again.status() == store.status()
    assert again.allocate() == store.allocate()


def test_the_first_write_copies_out_and_the_second_does_not():
    steps = []
    origin, snapshot = frozen(steps=steps.append)
    origin.write(5 * CHUNK, b"new")
    assert [(step.action, step.chunk, step.stored) for step in steps] == [
        ("read old", 5, 0),
        ("copy out", 5, 2),
        ("commit", 5, 2),
    ]
    steps.clear()
    origin.write(5 * CHUNK + 100, b"newer")
    assert steps == []
    assert snapshot.read(5 * CHUNK, CHUNK) == bytes([5]) * CHUNK


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 60 * CHUNK), st.binary(min_size=1, max_size=9000)),
        max_size=12,
    )
)
@settings(max_examples=40)
def test_origin_and_snapshot_are_two_disks(writes):
    origin, snapshot = frozen()
    plain = {False: bytearray(origin.read(0, origin.size)), True: bytearray(origin.read(0, origin.size))}
    for to_snapshot, at, data in writes:
        (snapshot if to_snapshot else origin).write(at, data)
        plain[to_snapshot][at : at + len(data)] = data
    assert origin.read(0, origin.size) == plain[False]
    assert snapshot.read(0, snapshot.size) == plain[True]


def test_several_snapshots_each_keep_their_own_day():
    origin, monday = frozen()
    origin.write(0, b"tuesday")
    tuesday = Snapshot(origin, MemoryDisk(64 * CHUNK), CHUNK)
    origin.write(0, b"midweek")
    assert (monday.read(0, 7), tuesday.read(0, 7), origin.read(0, 7)) == (bytes(7), b"tuesday", b"midweek")


def test_when_it_is_full_the_origin_goes_on_and_the_snapshot_is_lost_for_good():
    origin, snapshot = frozen(chunks=64, room=10)  # header, table, eight chunks
    for number in range(8):
        origin.write(number * CHUNK, b"new")
    assert snapshot.status() == "80/80 16"
    assert snapshot.read(0, 1) == bytes(1)
    origin.write(8 * CHUNK, b"one too many")
    assert origin.read(8 * CHUNK, 12) == b"one too many"
    assert snapshot.status() == "Invalid"
    with pytest.raises(DiskError):
        snapshot.read(0, 1)
    with pytest.raises(DiskError):
        snapshot.write(0, b"x")
    assert not ExceptionStore(snapshot._cow, CHUNK).valid  # it stands on the device


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b"ext4" + bytes(12), "must be 0x70416e53"),
        (struct.pack("<IIII", 0x70416E53, 1, 2, 8), "it must be 1"),
        (struct.pack("<IIII", 0x70416E53, 1, 1, 9), "must be a power of two"),
    ],
)
def test_a_device_that_holds_something_else_is_refused(header, said):
    cow = MemoryDisk(64 * CHUNK)
    cow.write(0, header)
    with pytest.raises(StorageError, match=said):
        ExceptionStore(cow, CHUNK)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 63), st.binary(min_size=1, max_size=9)), max_size=12))
@settings(max_examples=40)
def test_a_merge_puts_the_origin_back_to_what_the_snapshot_holds(writes):
    origin, monday = frozen()
    tuesday = None
    for number, (to_snapshot, chunk, data) in enumerate(writes):
        if number == len(writes) // 2:
            tuesday = Snapshot(origin, MemoryDisk(256 * CHUNK), CHUNK)
            then = origin.read(0, origin.size)
        (monday if to_snapshot else origin).write(chunk * CHUNK + 5, data)
    held = monday.read(0, monday.size)
    monday.merge()
    assert origin.read(0, origin.size) == held
    if tuesday is not None:
        assert tuesday.read(0, tuesday.size) == then


def test_a_snapshot_that_ran_full_cannot_be_merged():
    origin, snapshot = frozen(room=3)
    origin.write(0, bytes(2 * CHUNK))
    with pytest.raises(DiskError, match="the snapshot is invalid"):
        snapshot.merge()
