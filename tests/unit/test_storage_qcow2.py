"""qcow2 images against QEMU's own programs, and against a plain row of bytes.

qemu-img and qemu-io (package qemu-utils) are the oracle: what we write, they check and read; what they write,
we read.
"""

import io
import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from xenlab.storage.blockdev import DiskError, MemoryDisk, StorageError
from xenlab.storage.qcow2 import (
    Image,
    Kind,
    Qcow2Error,
    commit,
    create_image,
    format_image,
    golden_image_space,
    layers,
    open_disk,
    open_image,
    served_by,
)
from xenlab.storage.qcow2.refcounts import pack_counts, unpack_counts

K = 1024


def qemu(*argv: object) -> str:
    program = shutil.which(str(argv[0]))
    assert program, f"{argv[0]} is missing: apt-get install qemu-utils"
    done = subprocess.run([program, *map(str, argv[1:])], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


def assert_clean(path: Path) -> None:
    """No errors, no leaked clusters."""
    report = json.loads(qemu("qemu-img", "check", "--output=json", path))
    assert not {key for key in report if key in ("corruptions", "leaks", "check-errors") and report[key]}, (
        report
    )


def raw(path: Path) -> bytes:
    """The virtual disk as QEMU reads it."""
    out = path.with_suffix(".raw")
    qemu("qemu-img", "convert", "-O", "raw", path, out)
    return out.read_bytes()


def contents(disk: Image) -> bytes:
    return disk.read(0, disk.size)


# ---- the file as such


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ("cluster_size=65536", {}),
        ("compat=0.10", {"version": 2}),
        ("cluster_size=4096", {"cluster_size": 4 * K}),
        ("cluster_size=2M", {"cluster_size": 2048 * K}),
        ("refcount_bits=1", {"refcount_bits": 1}),
        ("refcount_bits=64", {"refcount_bits": 64}),
    ],
)
@pytest.mark.parametrize("size", [1, 10_000_000_000])
def test_an_empty_image_is_byte_for_byte_that_of_qemu_img(tmp_path, options, arguments, size):
    qemu("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, tmp_path / "theirs", size)
    create_image(tmp_path / "ours", size, **arguments).close()
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_an_empty_image_with_a_backing_file_too(tmp_path):
    create_image(tmp_path / "golden", 1024 * K).close()
    qemu("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", "golden", tmp_path / "theirs")
    create_image(tmp_path / "ours", backing_file="golden").close()
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


@given(st.binary(min_size=8, max_size=64), st.sampled_from([1, 2, 4, 8, 16, 32, 64]))
def test_refcounts_of_every_width_survive_packing(block, bits):
    block = block[: len(block) // 8 * 8]
    assert pack_counts(unpack_counts(block, bits), bits) == block


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0, b"QFI\xfa", "not a qcow2 file"),
        (4, b"\0\0\0\4", r"version\(=4\) must be 2 or 3"),
        (20, b"\0\0\0\x30", r"cluster_bits\(=48\) must be 9 to 21"),
        (32, b"\0\0\0\1", "encrypted"),
        (36, b"\xff\0\0\0", r"l1_size\(=4278190080\) must be 1 to"),
        (36, b"\0\0\0\0", r"l1_size\(=0\) must be 1 to"),
        (56, b"\xff\0\0\0", "a refcount table of"),
        (104, b"\2", r"compression_type\(=2\)"),
        (72, b"\0\0\0\0\0\0\0\x10", "uses extended L2 entries, not read here"),
        (72, b"\x80\0\0\0\0\0\0\0", "uses bit 63, not read here"),
        (100, b"\0\0\0\x20", "damaged header"),
        (116, b"\xff\0\0\0", "runs past the header"),
    ],
)
def test_a_header_that_cannot_be_honoured_is_refused(at, value, message):
    file = io.BytesIO()
    format_image(file, 1024 * K)
    file.getbuffer()[at : at + len(value)] = value
    with pytest.raises(Qcow2Error, match=message):
        Image(file)


def test_a_dirty_image_is_read_but_not_written(tmp_path):
    create_image(tmp_path / "a", 1024 * K).close()
    data = bytearray((tmp_path / "a").read_bytes())
    data[79] = 1  # the dirty bit
    (tmp_path / "a").write_bytes(data)
    with open_image(tmp_path / "a") as image:
        assert image.read(0, 10) == bytes(10)
    with pytest.raises(Qcow2Error, match="qemu-img check -r all"):
        open_image(tmp_path / "a", writable=True)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 16 * K), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4))
@example([(8728, b"\x80\x00\x00\x0b\x9d\xce\xda\xc5")])  # a zero cluster that is kept far past the end
def test_a_damaged_image_raises_nothing_but_a_storage_error(damages):
    file = io.BytesIO()
    format_image(file, 64 * K, cluster_size=512)
    image = Image(file)
    for at in range(0, 64 * K, 8 * K):
        image.write(at, b"data" * 300)
    for at, value in damages:
        at %= len(file.getbuffer()) - len(value)
        file.getbuffer()[at : at + len(value)] = value
    try:
        damaged = Image(file)
        if damaged.size <= 64 * K:
            damaged.read(0, damaged.size)
            damaged.write(0, bytes(damaged.size))
            damaged.make_empty()
    except StorageError:
        pass


# ---- reading what QEMU wrote


def test_it_reads_data_zero_and_compressed_clusters(tmp_path):
    path = tmp_path / "theirs.qcow2"
    qemu("qemu-img", "create", "-q", "-f", "qcow2", path, "1M")
    qemu(
        *("qemu-io", "-f", "qcow2"),
        *("-c", "write -P 0x11 60k 10k", "-c", "write -c -P 0x22 128k 64k", "-c", "write -z 192k 64k"),
        *("-c", "write -c -P 0x33 256k 64k", "-c", "write -P 0x44 1020k 4k", path),
    )
    with open_image(path) as image:
        kinds = [image.lookup(at * 64 * K).kind for at in range(6)]
        data = contents(image)
    assert kinds == [Kind.DATA, Kind.DATA, Kind.COMPRESSED, Kind.ZERO, Kind.COMPRESSED, Kind.UNALLOCATED]
    assert data == raw(path)
    assert data[60 * K : 70 * K] == b"\x11" * 10 * K


@pytest.mark.parametrize(
    "options", ["compat=0.10", "compression_type=zstd", "cluster_size=512", "refcount_bits=2"]
)
def test_it_reads_a_compressed_image_of_any_make_and_writes_into_it(tmp_path, options):
    source, path = tmp_path / "source", tmp_path / "theirs.qcow2"
    noise = random.Random(1)
    expected = bytearray(
        b"".join(noise.randbytes(700) + bytes(3000) for _ in range(100)).ljust(400 * K, b"x")
    )
    source.write_bytes(expected)
    qemu("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", "-o", options, source, path)
    with open_image(path, writable=True) as image:
        assert contents(image) == expected
        for at in (0, 100_000, 399 * K):
            image.write(at, b"written by us")
            expected[at : at + 13] = b"written by us"
    assert_clean(path)
    assert raw(path) == expected


def test_a_write_to_an_image_with_an_internal_snapshot_leaves_the_snapshot_alone(tmp_path):
    path = tmp_path / "theirs.qcow2"
    qemu("qemu-img", "create", "-q", "-f", "qcow2", path, "1M")
    qemu("qemu-io", "-f", "qcow2", "-c", "write -P 0x11 0 1M", path)
    qemu("qemu-img", "snapshot", "-c", "before", path)
    steps = []
    with open_image(path, writable=True) as image:
        image.on_step = steps.append
        image.write(70 * K, b"after")
        with pytest.raises(Qcow2Error, match="internal snapshots"):
            image.make_empty()
    assert [step.action for step in steps] == [
        "copy L2 table",
        "allocate",
        "copy up",
        "write",
        "map",
        "release",
    ]
    assert_clean(path)
    assert raw(path)[70 * K : 70 * K + 6] == b"after\x11"
    qemu("qemu-img", "snapshot", "-a", "before", path)
    assert raw(path) == b"\x11" * 1024 * K


def test_a_preallocated_zero_cluster_is_written_in_its_place(tmp_path):
    path = tmp_path / "theirs.qcow2"
    qemu("qemu-img", "create", "-q", "-f", "qcow2", path, "128k")
    qemu("qemu-io", "-f", "qcow2", "-c", "write -P 1 0 64k", "-c", "write -z 0 64k", path)
    with open_image(path, writable=True) as image:
        place = image.lookup(0)
        assert (place.kind, place.offset > 0) == (Kind.ZERO, True)
        image.write(10, b"data")
        assert image.lookup(0).offset == place.offset
        assert image.read(0, 20) == bytes(10) + b"data" + bytes(6)
    assert_clean(path)


def test_dirty_bitmaps_are_given_up_when_we_write(tmp_path):
    path = tmp_path / "theirs.qcow2"
    qemu("qemu-img", "create", "-q", "-f", "qcow2", path, "1M")
    qemu("qemu-img", "bitmap", "--add", path, "backup")
    with open_image(path, writable=True) as image:
        assert image.header.autoclear == 0
        image.write(0, b"x")
    assert raw(path)[:1] == b"x"


# ---- writing what QEMU checks

SIZE = 120 * K
write_operations = st.lists(
    st.tuples(st.integers(0, SIZE - 1), st.integers(1, 20 * K), st.integers(1, 255)), min_size=1, max_size=8
)


@settings(max_examples=25, deadline=None)
@given(
    write_operations,
    st.sampled_from([512, 4 * K, 64 * K]),
    st.sampled_from([1, 16, 64]),
    st.one_of(st.none(), st.integers(0, 4 * SIZE // 3)),
)
def test_random_writes_equal_a_plain_bytearray(operations, cluster_size, refcount_bits, backing_size):
    backing, before = None, bytes(SIZE)
    if backing_size is not None:
        before = random.Random(backing_size).randbytes(backing_size)
        backing = MemoryDisk(backing_size)
        backing.write(0, before)
    oracle = bytearray(before[:SIZE].ljust(SIZE, b"\0"))
    file = io.BytesIO()
    format_image(file, SIZE, cluster_size=cluster_size, refcount_bits=refcount_bits)
    image = Image(file, backing=backing)
    for offset, length, value in operations:
        data = bytes([value]) * min(length, SIZE - offset)
        image.write(offset, data)
        oracle[offset : offset + len(data)] = data
    assert contents(image) == oracle
    assert contents(Image(io.BytesIO(file.getvalue()), backing=backing)) == oracle  # it is all in the file
    if backing is not None:
        assert backing.read(0, backing.size) == before


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    write_operations,
    write_operations,
    st.sampled_from([(512, 4 * K), (64 * K, 64 * K), (8 * K, 512)]),
    st.booleans(),
)
def test_a_chain_we_wrote_is_clean_and_reads_the_same_in_qemu(
    tmp_path, lower, upper, cluster_sizes, committing
):
    for old in tmp_path.iterdir():
        old.unlink()
    oracle = bytearray(SIZE)

    def run(image, operations):
        for offset, length, value in operations:
            data = bytes([value]) * min(length, SIZE - offset)
            image.write(offset, data)
            oracle[offset : offset + len(data)] = data

    golden, top = tmp_path / "golden.qcow2", tmp_path / "top.qcow2"
    with create_image(golden, SIZE, cluster_size=cluster_sizes[0]) as image:
        run(image, lower)
    with create_image(top, backing_file="golden.qcow2", cluster_size=cluster_sizes[1]) as image:
        run(image, upper)
    if committing:
        with open_image(top, writable=True, backing_writable=True) as image:
            commit(image)
            assert {extent.depth for extent in served_by(image)} <= {1, None}
        assert raw(golden) == oracle
    assert_clean(golden)
    assert_clean(top)
    assert raw(top) == oracle


def test_refcount_table_and_l2_tables_grow_with_the_image(tmp_path):
    """512-byte clusters and 64-bit counts: a refcount table of one cluster counts 2 MiB, of two 4 MiB."""
    path = tmp_path / "ours.qcow2"
    with create_image(path, 8 * K * K, cluster_size=512, refcount_bits=64) as image:
        for at in range(0, 5 * K * K, 128 * K):
            image.write(at, bytes([at // (128 * K) + 1]) * 128 * K)
        assert image.header.refcount_table_clusters > 2
        assert image.file_length - image.allocated < 64 * K  # little is left unused
    assert_clean(path)
    assert raw(path)[5 * K * K - 1] == 40


def test_an_l1_table_longer_than_a_refcount_block_counts_is_laid_out(tmp_path):
    with create_image(tmp_path / "ours.qcow2", 1 << 32, cluster_size=512) as image:
        image.write((1 << 32) - 5, b"end")
    assert_clean(tmp_path / "ours.qcow2")


# ---- chains


def qemu_map(path: Path) -> list[tuple[int, int, int | None, str]]:
    """`qemu-img map` in our words; extents it splits for their place in the file are put together."""
    found: list[tuple[int, int, int | None, str]] = []
    for part in json.loads(qemu("qemu-img", "map", "--output=json", path)):
        serving = "data" if part["data"] else "zero" if part["present"] else "nobody"
        depth = part["depth"] if part["present"] else None
        if found and found[-1][2:] == (depth, serving):
            start, length, *_ = found.pop()
            found.append((start, length + part["length"], depth, serving))
        else:
            found.append((part["start"], part["length"], depth, serving))
    return found


def test_who_serves_a_block_agrees_with_qemu_img_map(tmp_path):
    with create_image(tmp_path / "golden.qcow2", 512 * K) as image:
        image.write(0, b"g" * 300 * K)
    with create_image(
        tmp_path / "web.qcow2", 1024 * K, backing_file="golden.qcow2", cluster_size=4 * K
    ) as image:
        image.write(64 * K, b"w" * 8 * K)
        image.write(700 * K, b"w")
    qemu("qemu-io", "-f", "qcow2", "-c", "write -z 100k 8k", tmp_path / "web.qcow2")
    with create_image(tmp_path / "today.qcow2", backing_file="web.qcow2") as image:
        image.write(0, b"t")
        assert [getattr(layer, "name", "") for layer in layers(image)] == [
            "today.qcow2",
            "web.qcow2",
            "golden.qcow2",
        ]
        ours = [(extent.start, extent.length, extent.depth, extent.serving) for extent in served_by(image)]
    assert ours == qemu_map(tmp_path / "today.qcow2")
    assert {depth for _, _, depth, _ in ours} == {0, 1, 2, None}


def test_qemu_writes_over_our_image_and_we_read_it_through_a_raw_bottom(tmp_path):
    (tmp_path / "bottom.raw").write_bytes(b"b" * 256 * K)
    create_image(tmp_path / "top.qcow2", backing_file="bottom.raw", backing_format="raw").close()
    qemu(
        "qemu-io",
        "-f",
        "qcow2",
        "-c",
        "write -P 0x5a 1k 70k",
        "-c",
        "write -c -P 0x5b 128k 64k",
        tmp_path / "top.qcow2",
    )
    with open_image(tmp_path / "top.qcow2") as image:
        assert contents(image) == raw(tmp_path / "top.qcow2")
        assert [extent.serving for extent in served_by(image)] == ["data", "compressed", "data"]
        with pytest.raises(Qcow2Error, match="read-only"):
            image.write(0, b"x")
    with open_disk(tmp_path / "top.qcow2") as found:
        assert isinstance(found, Image)


def test_commit_makes_the_same_bytes_below_as_qemu_img_commit(tmp_path):
    with create_image(tmp_path / "golden.qcow2", 300_000) as image:
        image.write(0, random.Random(3).randbytes(150_000))
    with create_image(tmp_path / "top.qcow2", backing_file="golden.qcow2") as image:
        image.write(100_000, b"t" * 90_000)
    (tmp_path / "theirs").mkdir()
    for name in ("golden.qcow2", "top.qcow2"):
        shutil.copy(tmp_path / name, tmp_path / "theirs" / name)
    qemu("qemu-img", "commit", "-q", tmp_path / "theirs" / "top.qcow2")
    with open_image(tmp_path / "top.qcow2", writable=True, backing_writable=True) as image:
        before = image.allocated
        assert commit(image) == 2 * 64 * K
        assert image.allocated < before
    assert raw(tmp_path / "golden.qcow2") == raw(tmp_path / "theirs" / "golden.qcow2")
    ours, theirs = tmp_path / "top.qcow2", tmp_path / "theirs" / "top.qcow2"
    assert ours.stat().st_size == theirs.stat().st_size  # both have given their room back
    assert_clean(tmp_path / "golden.qcow2")
    assert_clean(tmp_path / "top.qcow2")


def test_the_steps_of_a_first_write_and_of_a_second():
    file, steps = io.BytesIO(), []
    format_image(file, 1024 * K)
    image = Image(file, backing=MemoryDisk(1024 * K), on_step=steps.append)
    image.write(70 * K, b"first")
    assert [(step.action, step.cluster) for step in steps] == [
        ("new L2 table", 0),
        ("allocate", 1),
        ("copy up", 1),
        ("write", 1),
        ("map", 1),
    ]
    steps.clear()
    image.write(71 * K, b"second")
    assert [(step.action, step.length) for step in steps] == [("write", 6)]


def test_errors_name_the_way_out(tmp_path):
    create_image(tmp_path / "a.qcow2", 1024 * K).close()
    with pytest.raises(StorageError, match=r"cannot create .*File exists"):
        create_image(tmp_path / "a.qcow2", 1024 * K)
    with pytest.raises(StorageError, match=r"cannot open .*No such file"):
        open_image(tmp_path / "missing.qcow2")
    with pytest.raises(StorageError, match="size must be given"):
        create_image(tmp_path / "b.qcow2")
    with pytest.raises(Qcow2Error, match=r"cluster_size\(=1000\)"):
        format_image(io.BytesIO(), 1, cluster_size=1000)
    with create_image(tmp_path / "top.qcow2", backing_file="a.qcow2") as image:
        with pytest.raises(DiskError, match="must lie within"):
            image.read(1024 * K - 1, 2)
        with pytest.raises(StorageError, match="backing_writable=True"):
            commit(image)
    with open_image(tmp_path / "a.qcow2") as image, pytest.raises(StorageError, match="no backing file"):
        commit(image)
    create_image(tmp_path / "one.qcow2", 512).close()
    create_image(tmp_path / "two.qcow2", 512, backing_file="one.qcow2").close()
    qemu("qemu-img", "rebase", "-u", "-F", "qcow2", "-b", "two.qcow2", tmp_path / "one.qcow2")
    with pytest.raises(StorageError, match="runs in a circle"):
        open_image(tmp_path / "one.qcow2")


# ---- golden images


def test_the_space_formula_agrees_with_real_images(tmp_path):
    """Three guests each rewrite 5 % of an image in 512-byte blocks at random places; clusters are 4 KiB."""
    size, guests, blocks = 4 * K * K, 3, 8192
    own = []
    for guest in range(guests):
        noise = random.Random(guest)
        with create_image(tmp_path / f"{guest}.qcow2", size, cluster_size=4 * K) as image:
            empty = image.allocated
            for block in noise.sample(range(blocks), blocks // 20):
                image.write(block * 512, b"x" * 512)
            tables = -(-image.header.clusters // image.header.l2_entries) * 4 * K
            own.append(image.allocated - empty - tables)
    space = golden_image_space(size, guests, 0.05, cluster_size=4 * K, write_size=512)
    assert sum(own) == pytest.approx(space.own, rel=0.03)
    assert space.copies == 3 * size


@given(st.floats(0, 1), st.integers(1, 50), st.integers(1, 6))
def test_sharing_never_loses_more_than_the_shared_layers(ratio, guests, depth):
    space = golden_image_space(1 << 30, guests, ratio, depth=depth)
    assert space.own <= space.copies
    assert space.total <= space.copies + space.shared
    assert 1 <= space.lookups <= depth + 1


def test_saving_falls_with_writes_and_grows_with_guests():
    saved = [golden_image_space(1 << 30, 20, ratio).saved for ratio in (0, 0.01, 0.1, 1)]
    assert saved == sorted(saved, reverse=True)
    assert saved[0] == pytest.approx(0.95)
    assert golden_image_space(1 << 30, 40, 0.01).saved > golden_image_space(1 << 30, 20, 0.01).saved
    with pytest.raises(Qcow2Error, match=r"write_ratio\(=2\)"):
        golden_image_space(1, 1, 2)
