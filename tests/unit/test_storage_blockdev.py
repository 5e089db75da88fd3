"""The plainest disks: what was written is read, zeros elsewhere, and nothing outside."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenlab.storage.blockdev import DiskError, FileDisk, MemoryDisk, StorageError, pieces

SIZE = 200_000
WRITES = st.lists(st.tuples(st.integers(0, SIZE - 1), st.binary(max_size=3000)), max_size=10)


@given(WRITES)
@settings(max_examples=40)
def test_a_disk_in_memory_is_a_bytearray_of_its_size(writes):
    disk, plain = MemoryDisk(SIZE), bytearray(SIZE)
    for offset, data in writes:
        fitting = data[: SIZE - offset]
        disk.write(offset, fitting)
        plain[offset : offset + len(fitting)] = fitting
    assert disk.read(0, SIZE) == plain


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.integers(1, 4096))
def test_pieces_cover_a_range_once_and_never_cross_a_boundary(offset, length, unit):
    at = offset
    for index, start, step in pieces(offset, length, unit):
        assert index * unit + start == at
        assert 0 < step <= unit - start
        at += step
    assert at == offset + length


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (SIZE, 1), (SIZE - 1, 2)])
def test_nothing_lies_outside_a_disk(offset, length):
    with pytest.raises(DiskError, match="must lie within the disk's 200000 bytes"):
        MemoryDisk(SIZE).read(offset, length)
    with pytest.raises(DiskError, match="must lie within"):
        MemoryDisk(SIZE).write(offset, bytes(length))


def test_a_file_is_a_disk(tmp_path):
    path = tmp_path / "raw.img"
    path.write_bytes(bytes(4096))
    with FileDisk(path, writable=True) as disk:
        disk.write(512, b"xen")
        assert (disk.size, disk.read(511, 5)) == (4096, b"\0xen\0")
    assert path.read_bytes()[512:515] == b"xen"


def test_a_file_opened_for_reading_is_not_written(tmp_path):
    path = tmp_path / "raw.img"
    path.write_bytes(bytes(4096))
    with FileDisk(path) as disk, pytest.raises(DiskError, match="open it with writable=True"):
        disk.write(0, b"x")
    with pytest.raises(StorageError, match="cannot open"):
        FileDisk(tmp_path / "missing.img")
