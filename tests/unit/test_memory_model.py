"""Balloons conserve frames, sharing frees and copies them, limits are libxl's, and every address finds its page."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenlab.memory import Balloon, Entry, Machine, OutOfFrames, Refused, Sharing
from xenlab.memory import balloon as balloons
from xenlab.memory import walk as walks
from xenlab.memory.builder import DIRECT, KERNEL, Area, build, lay_out
from xenlab.memory.entries import Flag, address_of, slots
from xenlab.memory.frames import COW, Frames
from xenlab.memory.limits import LimitError, Limits

# -- frames -----------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 1500), max_size=6), st.randoms(use_true_random=False))
def test_no_frame_is_given_out_twice(sizes, random):
    frames = Frames(4096, xen=100)
    given_out = {}
    for domid, size in enumerate(sizes, 1):
        if size > frames.free:
            with pytest.raises(OutOfFrames):
                frames.allocate(domid, size)
            continue
        given_out[domid] = frames.allocate(domid, size).tolist()
        assert len(set(given_out[domid])) == size
        if random.random() < 0.4:
            for mfn in given_out.pop(domid):
                frames.put(mfn)
    kept = [mfn for mfns in given_out.values() for mfn in mfns]
    assert len(set(kept)) == len(kept)
    assert frames.free == 4096 - 100 - len(kept)
    assert not set(kept) & set(range(100))


def test_whole_extents_go_first_and_from_the_top():
    frames = Frames(2048, xen=1)
    assert frames.allocate(1, 1024).tolist() == [*range(1536, 2048), *range(1024, 1536)]
    assert frames.allocate(2, 2).tolist() == [1, 2]


# -- balloons ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(1, 2), st.integers(0, 60)), max_size=12), st.integers(1, 9))
@settings(deadline=None)
def test_balloons_conserve_frames(targets, batch):
    machine = Machine(100, xen=10)
    drivers = {}
    for domid in (1, 2):
        machine.add(domid, pages=40, room=60)
        drivers[domid] = Balloon(machine, domid, needs=5, batch=batch)
    for domid, target in targets:
        drivers[domid].target = target
        for _, driver in balloons.run([drivers[domid]], seconds=60, batch_seconds=0.1):
            has = machine.pages_of(driver.domid)
            assert driver.current == has == len(machine.domains[driver.domid].pages)
            assert driver.current + len(driver.pages) == 60
            assert machine.frames.free + machine.pages_of(1) + machine.pages_of(2) == 90
            assert has >= 5
        assert driver.current == target or driver.gave_up


def test_a_guest_that_gets_no_frames_asks_four_times_and_lets_it_rest():
    machine = Machine(50)
    machine.add(1, pages=20, room=40)
    machine.add(2, pages=30)
    driver = Balloon(machine, 1)
    driver.target = 40
    assert [driver.step() for _ in range(5)] == [2, 4, 8, None, None]
    machine.release(2, range(25))
    assert driver.step() is None  # nobody tells it that there is memory now
    driver.target = 40  # nor does the same target wake it
    assert driver.step() is None
    driver.target = 39
    assert driver.step() is None
    assert driver.current == 39


def test_the_page_given_last_comes_back_first():
    machine = Machine(50)
    web = machine.add(1, pages=20)
    driver = Balloon(machine, 1)
    driver.target = 12
    driver.step()
    driver.target = 13
    driver.step()
    assert web.pages.tolist() == [*range(13)]


def test_xens_maximum_stops_a_balloon_whatever_it_wants():
    machine = Machine(100)
    machine.add(1, pages=20, room=40, max_pages=30)
    driver = Balloon(machine, 1)
    driver.target = 40
    assert driver.step() == 0.0
    assert driver.current == 30
    assert machine.log == ["Over-allocation for d1: 31 > 30"]


def test_a_balloon_cannot_grow_a_guest_beyond_what_it_was_built_for():
    machine = Machine(100)
    machine.add(1, pages=20, room=40)
    driver = Balloon(machine, 1)
    driver.target = 60
    assert [driver.step() for _ in range(2)] == [0.0, None]
    assert driver.current == driver.target == 40


# -- limits -----------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2**21)), max_size=10))
def test_target_static_maximum_and_xens_maximum_keep_their_order(calls):
    limits = Limits(3, 2**20, 2**19, 2**19 + 1024)
    for is_target, kb in calls:
        try:
            limits = limits.set_target(kb) if is_target else limits.set_static_max(kb)
        except LimitError:
            continue
        assert limits.target_kb <= limits.static_max_kb
        assert limits.target_kb + 1024 <= limits.max_kb


def test_dom0_keeps_its_least():
    with pytest.raises(LimitError, match="New target 65536 for dom0 is below the minimum threshold"):
        Limits(0, 393216, 393216, 393216).set_target(65536)


# -- sharing ----------------------------------------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(st.sampled_from("nsw"), st.integers(1, 3), st.integers(0, 3), st.integers(1, 3)),
        max_size=40,
    )
)
@settings(deadline=None)
def test_sharing_conserves_frames_and_never_lets_two_write_to_one(calls):
    machine = Machine(30)
    for domid in (1, 2, 3):
        machine.add(domid, pages=4, translated=True)
    sharing, pages = Sharing(machine), [(domid, pfn) for domid in (1, 2, 3) for pfn in range(4)]
    for call, domid, pfn, other in calls:
        if call == "n":
            sharing.nominate(domid, pfn)
        elif call == "w":
            sharing.write(domid, pfn)
        else:
            with contextlib.suppress(Refused):  # not both are nominated
                sharing.share((domid, pfn), (other, pfn))
        behind = {page: machine.frame_of(*page) for page in pages}
        assert 30 - machine.frames.free == len(set(behind.values())) == 12 - sharing.saved
        for page, mfn in behind.items():
            alone = list(behind.values()).count(mfn) == 1
            shared = machine.frames.owner[mfn] == COW
            assert shared or (alone and machine.page_of(mfn) == page[1])
            assert machine.frames[mfn].type_count == (list(behind.values()).count(mfn) if shared else 0)
    for domid in (1, 2, 3):
        sharing.forget(domid)
        machine.remove(domid)
    assert machine.frames.free == 30


def test_a_pv_guest_cannot_share_for_its_tables_are_its_own():
    machine = Machine(10)
    machine.add(1, pages=4)
    with pytest.raises(Refused, match="-EOPNOTSUPP"):
        Sharing(machine).nominate(1, 0)


def test_a_page_that_a_backend_maps_cannot_be_shared():
    machine = Machine(10)
    machine.add(1, pages=4, translated=True)
    machine.lend(1, 0)
    machine.lend(1, 1, readonly=True)
    for pfn, code in ((0, "EINVAL"), (1, "E2BIG")):
        with pytest.raises(Refused, match=f"-{code}"):
            Sharing(machine).nominate(1, pfn)


# -- addresses --------------------------------------------------------------------------------------------------------


@given(st.tuples(*[st.integers(0, 511)] * 4), st.integers(0, 4095))
def test_an_address_is_its_parts(parts, offset):
    address = address_of(*parts, offset)
    assert tuple(slots(address).values()) == parts
    assert address & 0xFFF == offset
    assert address >> 47 in (0, (1 << 17) - 1)  # canonical


@pytest.fixture(scope="module")
def guest():
    """A guest whose memory lies in pieces, with the tables that dom0 makes for it."""
    machine = Machine(4096, xen=64)
    machine.add(9, pages=700)
    web = machine.add(1, pages=1200)
    layout = build(machine, 1, [Area(KERNEL, 0, 900), Area(DIRECT, 0, 1200)], first=600)
    return machine, web, layout


@given(st.integers(0, 1199), st.integers(0, 4095))
def test_every_page_is_found_at_its_address(guest, pfn, offset):
    machine, web, layout = guest
    walk = walks.direct(
        DIRECT + (pfn << 12) + offset, machine.paging.roots[1], machine.paging.entry, machine.page_of
    )
    assert (walk.pfn, walk.mfn, len(walk.steps)) == (pfn, web.p2m[pfn], 4)
    assert walk.machine_address == int(web.p2m[pfn]) << 12 | offset
    assert walk.writable == (pfn not in layout.levels)


def test_the_kernels_area_and_the_direct_one_meet_in_the_same_frames(guest):
    machine, _, _ = guest
    root, read = machine.paging.roots[1], machine.paging.entry
    for pfn in (0, 511, 512, 899):
        ends = [
            walks.direct(base + (pfn << 12), root, read, machine.page_of).mfn for base in (KERNEL, DIRECT)
        ]
        assert ends[0] == ends[1]


def test_an_address_without_a_page_tells_where_the_way_ends(guest):
    machine, _, _ = guest
    root, read = machine.paging.roots[1], machine.paging.entry
    with pytest.raises(walks.NotMapped, match=r"address\(=0x1000\) must be mapped: entry 0 of the L4 table"):
        walks.direct(0x1000, root, read, machine.page_of)
    with pytest.raises(walks.NotMapped, match="of the L1 table") as caught:
        walks.direct(KERNEL + (900 << 12), root, read, machine.page_of)
    assert [step.level for step in caught.value.walk.steps] == [4, 3, 2, 1]


def test_the_builders_tables_are_refused_if_one_of_them_is_mapped_for_writing():
    machine = Machine(64)
    web = machine.add(1, pages=16)
    layout = lay_out(web.p2m, [Area(KERNEL, 0, 16)], first=12)
    layout.tables[15][13] |= np.uint64(Flag.RW)
    for pfn, table in layout.tables.items():
        machine.paging.tables[int(web.p2m[pfn])] = table
    with pytest.raises(Refused) as caught:
        machine.paging.pin(1, int(web.p2m[12]), 4)
    assert "Failure -16 in promote_l1_table: slot 0xd" in caught.value.log
    assert machine.frames.type_count.sum() == 0


def test_two_stages_of_tables_take_24_reads():
    machine = Machine(256)
    web = machine.add(1, pages=64, translated=True)
    guest = lay_out(np.arange(64), [Area(KERNEL, 0, 64)], first=8)  # its tables hold its own page numbers
    host = lay_out(web.p2m, [Area(0, 0, 64)], first=0)  # tables of Xen's, by page number
    of_frame = {int(web.p2m[pfn]): table for pfn, table in guest.tables.items()}
    host_tables = {int(web.p2m[pfn]): table for pfn, table in host.tables.items()}
    walk = walks.nested(
        KERNEL + (33 << 12) + 5,
        guest.root,
        lambda table, slot: Entry.of(int(of_frame[table][slot])),
        int(web.p2m[host.root]),
        lambda table, slot: Entry.of(int(host_tables[table][slot])),
    )
    assert (walk.pfn, walk.mfn) == (33, web.p2m[33])
    assert [step.stage for step in walk.steps] == [2, 2, 2, 2, 1] * 4 + [2] * 4


def test_a_large_page_ends_the_walk_early():
    tables = {
        (1, 0): Entry(2, Flag.PRESENT),
        (2, 0): Entry(3, Flag.PRESENT),
        (3, 1): Entry(512, Flag.PRESENT | Flag.PSE),
    }
    walk = walks.direct(0x2A3000, 1, lambda t, s: tables[t, s], {512 + 0xA3: 7}.get)
    assert (walk.mfn, walk.pfn, len(walk.steps)) == (512 + 0xA3, 7, 3)
