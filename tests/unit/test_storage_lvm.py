"""LVM's model: extents belong to one volume each, volumes are disks, and what a volume held a snapshot still reads."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenlab.hosts.compare import record
from xenlab.hosts.sim import SimDom0
from xenlab.storage.blockdev import DiskError, MemoryDisk
from xenlab.storage.lvm import Lvm, LvmError, run
from xenlab.storage.lvm.allocate import Area, allocate
from xenlab.storage.lvm.manager import max_snapshot_extents
from xenlab.storage.lvm.sizes import format_size, parse_size
from xenlab.storage.lvm.volumes import EXTENT_SIZE, MIB

CHUNK = 4096


def pool(*sizes_mib):
    """A group `vg` over disks of these sizes."""
    disks = {
        f"/dev/xvd{letter}": MemoryDisk(size * MIB) for letter, size in zip("bcdef", sizes_mib, strict=False)
    }
    lvm = Lvm(disks)
    lvm.create_vg("vg", list(disks))
    return lvm


def say(lvm, line):
    """Run a command; return its status and all it printed."""
    done = run(lvm, line.split())
    return done.status, done.stdout + done.stderr


# -- extents


def test_a_disk_gives_whole_extents_after_its_first_mebibyte():
    assert pool(2048).group("vg").extents == 511
    assert pool(5).group("vg").extents == 1


def test_a_volume_may_lie_on_several_disks_and_is_one_disk():
    lvm = pool(9, 9)
    volume = lvm.create_lv("vg", "wide", 4)
    assert [(part.pv.path, part.first, part.count) for part in volume.segments] == [
        ("/dev/xvdb", 0, 2),
        ("/dev/xvdc", 0, 2),
    ]
    seam = 2 * EXTENT_SIZE
    volume.write(seam - 3, b"across")
    assert volume.read(seam - 3, 6) == b"across"
    assert lvm.devices["/dev/xvdc"].read(MIB, 3) == b"oss"


AREAS = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 20)), min_size=1, max_size=8)


@given(AREAS, st.data())
@settings(max_examples=60)
def test_an_allocation_takes_what_is_needed_from_what_is_free_and_nothing_twice(sizes, data):
    free = [Area(pv, 100 * place, count) for place, (pv, count) in enumerate(sizes)]
    needed = data.draw(st.integers(1, sum(count for _, count in sizes)))
    chosen = allocate(needed, free)
    taken = [(area.pv, extent) for area in chosen for extent in range(area.first, area.first + area.count)]
    room = {(area.pv, extent) for area in free for extent in range(area.first, area.first + area.count)}
    assert len(taken) == len(set(taken)) == needed
    assert set(taken) <= room


@given(st.lists(st.sampled_from(["make", "remove", "grow"]), max_size=25), st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_no_extent_ever_belongs_to_two_volumes(actions, random):
    lvm = pool(101, 45, 73)
    group = lvm.group("vg")
    for action in actions:
        volumes = list(group.volumes.values())
        if action == "make" and group.free:
            lvm.create_lv("vg", None, random.randint(1, group.free))
        elif action == "remove" and volumes:
            lvm.remove_lv(random.choice(volumes))
        elif action == "grow" and volumes and group.free:
            volume = random.choice(volumes)
            lvm.extend_lv(volume, volume.extents + random.randint(1, group.free))
    held = [
        (part.pv.path, extent)
        for volume in group.volumes.values()
        for part in volume.segments
        for extent in range(part.first, part.first + part.count)
    ]
    assert len(held) == len(set(held)) == group.extents - group.free


def test_growing_keeps_the_data_and_joins_neighbouring_extents():
    lvm = pool(41)
    volume = lvm.create_lv("vg", "web", 2)
    volume.write(0, b"first")
    lvm.extend_lv(volume, 5)
    assert volume.read(0, 5) == b"first"
    assert len(volume.segments) == 1
    assert volume.size == 5 * EXTENT_SIZE


def test_a_new_volume_starts_with_zeros_where_a_file_system_would_be_looked_for():
    lvm = pool(41)
    lvm.create_lv("vg", "old", 1).write(0, b"x" * 8192)
    lvm.remove_lv(lvm.volume("vg/old"))
    assert lvm.create_lv("vg", "new", 1).read(0, 4096) == bytes(4096)


# -- snapshots


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30), st.integers(1, 3 * CHUNK)), max_size=15))
@settings(max_examples=40)
def test_a_snapshot_and_its_origin_are_two_disks_that_began_alike(writes):
    lvm = pool(41)
    origin = lvm.create_lv("vg", "web", 2)
    origin.write(0, bytes(range(256)) * 1024)
    snapshot = lvm.create_snapshot(origin, "monday", 3)
    size = 40 * CHUNK
    plain = {False: bytearray(origin.read(0, size)), True: bytearray(origin.read(0, size))}
    for number, (to_snapshot, chunk, length) in enumerate(writes):
        data = bytes([number + 1]) * length
        (snapshot if to_snapshot else origin).write(chunk * CHUNK + 7, data)
        plain[to_snapshot][chunk * CHUNK + 7 : chunk * CHUNK + 7 + length] = data
    assert origin.read(0, size) == plain[False][:size]
    assert snapshot.read(0, size) == plain[True][:size]


def test_only_the_first_write_to_a_chunk_costs_room():
    lvm = pool(41)
    web = lvm.create_lv("vg", "web", 2)
    monday = lvm.create_snapshot(web, "monday", 2)
    for _ in range(3):
        web.write(0, b"x" * 10 * CHUNK)
    assert monday.snapshot.status() == "96/16384 16"  # header, table and ten chunks of eight sectors


def test_a_full_snapshot_is_lost_and_its_origin_goes_on():
    lvm = pool(41)
    web = lvm.create_lv("vg", "web", 4)
    monday = lvm.create_snapshot(web, "monday", 1)
    web.write(0, b"x" * web.size)
    assert web.read(web.size - 1, 1) == b"x"
    with pytest.raises(DiskError):
        monday.read(0, 1)
    assert say(lvm, "lvs --noheadings -o lv_attr,data_percent vg/monday")[1].split() == [
        "swi-I-s---",
        "100.00",
    ]


def test_room_for_every_chunk_is_all_a_snapshot_can_take():
    lvm = pool(101)
    web = lvm.create_lv("vg", "web", 4)
    status, text = say(lvm, "lvcreate -s -L 80M -n monday vg/web")
    most = max_snapshot_extents(web.size, CHUNK, EXTENT_SIZE)
    assert status == 0
    assert "Reducing COW size 80.00 MiB down to maximum usable size 20.00 MiB." in text
    assert lvm.volume("vg/monday").extents == most == 5
    web.write(0, b"x" * web.size)
    assert lvm.volume("vg/monday").snapshot.store.valid


# -- what is refused


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("lvcreate -L 1G -n big vg", "has insufficient free space (10 extents): 256 required."),
        ("lvcreate -L 4M -n web vg", 'Logical Volume "web" already exists in volume group "vg"'),
        ("lvcreate -L 4M -n x nosuch", 'Volume group "nosuch" not found'),
        ("lvcreate -s -L 4M -n x vg/nosuch", "Snapshot origin LV nosuch not found in Volume group vg."),
        ("lvcreate -L 4M -n -x vg", 'Logical volume name "-x" is invalid.'),
        ("vgcreate vg /dev/xvdb", "A volume group called vg already exists."),
        ("vgcreate other /dev/xvdb", "Physical volume '/dev/xvdb' is already in volume group 'vg'"),
        ("pvremove /dev/xvdb", "PV /dev/xvdb is used by VG vg so please use vgreduce first."),
        ("lvremove vg/web", "Logical volume vg/web not removed."),
        ("lvs -o colour", "Unrecognised field: colour"),
    ],
)
def test_a_refusal_is_lvms_own_and_changes_nothing(line, said):
    lvm = pool(49)
    lvm.create_lv("vg", "web", 2)
    before = say(lvm, "lvs")[1] + say(lvm, "vgs")[1]
    status, text = say(lvm, line)
    assert status in (3, 5)
    assert said in text
    assert say(lvm, "lvs")[1] + say(lvm, "vgs")[1] == before


def test_a_volume_in_use_is_not_removed():
    lvm = pool(49)
    lvm.create_lv("vg", "web", 2).open_count = 1
    status, text = say(lvm, "lvremove -y vg/web")
    assert status == 5
    assert "in use" in text
    assert "web" in lvm.group("vg").volumes
    with pytest.raises(LvmError, match="in use"):
        lvm.remove_lv(lvm.volume("vg/web"))


def test_eighty_commands_are_answered_as_a_real_lvm_did():
    """Recorded on a real dom0: right commands and wrong ones, from a blank disk to a full snapshot and back."""
    text = Path(__file__).with_name("storage_lvm_recorded.txt").read_text().partition("\n\n")[2]
    recorded = [f"$ {part}".rstrip("\n") for part in text.removeprefix("$ ").split("\n$ ")]
    answers = record([part.splitlines()[0][2:] for part in recorded], SimDom0())
    assert len(answers) > 80
    assert [answer.text.rstrip("\n") for answer in answers] == recorded


# -- how it is printed


def test_tags_are_kept_and_printed():
    lvm = Lvm({"/dev/xvdb": MemoryDisk(49 * MIB)})
    say(lvm, "vgcreate --addtag xenlab vg /dev/xvdb")
    say(lvm, "lvcreate --addtag b --addtag a -l 1 -n web vg")
    assert say(lvm, "lvs --noheadings --separator | -o lv_tags,vg_tags")[1] == "  a,b|xenlab\n"


@pytest.mark.parametrize("text", ["4M", "4m", "4", "4096k", "8192s", "4194304b"])
def test_a_size_may_be_written_in_many_ways(text):
    assert parse_size("--size", text) == ("", 4 * MIB)


@given(st.integers(1, 1 << 50))
def test_a_printed_size_is_right_to_the_digits_it_shows(size):
    text = format_size(size)
    number = float(text.strip("<bkmgtp"))
    factor = {letter: 1024**power for power, letter in enumerate("bkmgtp")}[text[-1]]
    assert abs(number * factor - size) <= 0.0051 * factor
    assert text.startswith("<") == (round(100 * number) * factor > 100 * size)  # it was rounded up


def test_a_device_mapper_name_tells_group_from_volume():
    lvm = Lvm({"/dev/xvdb": MemoryDisk(49 * MIB)})
    lvm.create_vg("a-b", ["/dev/xvdb"])
    volume = lvm.create_lv("a-b", "c-d", 1)
    assert volume.dm_name == "a--b-c--d"
    assert lvm.volume("/dev/mapper/a--b-c--d") is volume
