"""Xen's checks of PV page tables: its counts add up whatever guests ask for, and its refusals are in its words."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from xenlab.memory.entries import Entry, Flag
from xenlab.memory.frames import COW, FREE, Frame, PageType
from xenlab.memory.machine import Machine
from xenlab.memory.paging import XEN_SLOTS, Refused

FRAMES, PAGES = 24, 9
RO, RW = Flag.PRESENT, Flag.PRESENT | Flag.RW
frames = st.integers(0, FRAMES + 1)
domids = st.integers(1, 2)
entries = st.builds(
    Entry, frames, st.sampled_from([RO, RO, RW, RW, RW, Flag(0), RW | Flag.PCD, RW | Flag.ACCESSED])
)


def all_of(machine):
    """Everything that a call could change, and that matters."""
    f = machine.frames
    arrays = (f.owner, f.references, f.type_count, f.pinned, f.allocated, f.m2p)
    roles = [
        (int(t), bool(v)) if n else None for t, v, n in zip(f.type, f.validated, f.type_count, strict=True)
    ]
    tables = {mfn: table.tolist() for mfn, table in machine.paging.tables.items() if f.owner[mfn] != FREE}
    return [array.tolist() for array in arrays], roles, tables, dict(machine.paging.roots)


def entries_in(machine, mfn):
    """The entries of a table that are there."""
    table = machine.paging.table(mfn)
    return [(slot, machine.paging.entry(mfn, slot)) for slot in range(512) if table[slot] & 1]


class Guests(RuleBasedStateMachine):
    """Two guests that ask for anything at all, in any order."""

    @initialize()
    def start(self):
        self.machine = Machine(FRAMES, xen=2)
        for domid in (1, 2):
            self.machine.add(domid, PAGES, room=PAGES + 2)
        self.lent = []

    def attempt(self, call, *arguments):
        before = all_of(self.machine)
        try:
            call(*arguments)
        except Refused:
            assert all_of(self.machine) == before

    @rule(domid=domids, mfn=frames, slot=st.sampled_from([0, 1, 2, 256, 511]), entry=entries)
    def write(self, domid, mfn, slot, entry):
        self.attempt(self.machine.paging.write, domid, mfn, slot, entry)

    @rule(domid=domids, mfn=frames, level=st.integers(1, 4))
    def pin(self, domid, mfn, level):
        self.attempt(self.machine.paging.pin, domid, mfn, level)

    @rule(domid=domids, mfn=frames)
    def unpin(self, domid, mfn):
        self.attempt(self.machine.paging.unpin, domid, mfn)

    @rule(domid=domids, mfn=frames)
    def new_root(self, domid, mfn):
        self.attempt(self.machine.paging.new_root, domid, mfn)

    @rule(domid=domids, pfn=st.integers(0, PAGES - 1), level=st.integers(1, 4), entry=entries)
    def build_upwards(self, domid, pfn, level, entry):
        """Make a table of what is likely to be one, so that deeper trees come about."""
        mfn = self.machine.frame_of(domid, pfn)
        if mfn is not None:
            self.attempt(self.machine.paging.write, domid, mfn, 0, entry)
            self.attempt(self.machine.paging.pin, domid, mfn, level)

    @rule(domid=domids, pfn=st.integers(0, PAGES + 1))
    def release(self, domid, pfn):
        self.attempt(self.machine.release, domid, [pfn])

    @rule(domid=domids, pfn=st.integers(0, PAGES + 1))
    def populate(self, domid, pfn):
        if self.machine.frame_of(domid, pfn) is None:
            self.machine.populate(domid, [pfn])

    @rule(domid=domids, pfn=st.integers(0, PAGES), readonly=st.booleans())
    def lend(self, domid, pfn, readonly):
        if self.machine.frame_of(domid, pfn) is not None:
            self.attempt(
                lambda: self.lent.append((self.machine.lend(domid, pfn, readonly=readonly), readonly))
            )

    @precondition(lambda self: self.lent)
    @rule(data=st.data())
    def give_back(self, data):
        mfn, readonly = self.lent.pop(data.draw(st.integers(0, len(self.lent) - 1)))
        self.machine.give_back(mfn, readonly=readonly)

    @invariant()
    def every_count_is_the_uses_there_are(self):
        """Count all uses anew, from the tables' contents."""
        f, paging = self.machine.frames, self.machine.paging
        references, uses = Counter(), Counter()
        for mfn in range(FRAMES):
            frame = f[mfn]
            references[mfn] += frame.allocated + frame.pinned
            uses[mfn] += frame.pinned
            if frame.type.is_table and frame.type_count:
                for slot, entry in entries_in(self.machine, mfn):
                    xens = frame.type is PageType.L4 and slot in XEN_SLOTS
                    if not xens and (frame.type is PageType.L1 or entry.mfn != mfn):
                        references[entry.mfn] += 1
                        uses[entry.mfn] += frame.type is not PageType.L1 or entry.writable
        for root in paging.roots.values():
            references[root] += 1
            uses[root] += 1
        for mfn, readonly in self.lent:
            references[mfn] += 1
            uses[mfn] += not readonly
        for mfn in range(FRAMES):
            assert (f.references[mfn], f.type_count[mfn]) == (references[mfn], uses[mfn]), mfn
            assert (f.owner[mfn] == FREE) == (references[mfn] == 0)

    @invariant()
    def no_table_is_writable(self):
        f = self.machine.frames
        tables = {mfn for mfn in range(FRAMES) if f[mfn].type.is_table and f.type_count[mfn]}
        for mfn in tables:
            if f[mfn].type is PageType.L1:
                for _, entry in entries_in(self.machine, mfn):
                    assert not (entry.writable and entry.mfn in tables)
        assert not tables & {mfn for mfn, readonly in self.lent if not readonly}

    @invariant()
    def m2p_undoes_p2m(self):
        for domid, domain in self.machine.domains.items():
            for pfn in domain.pages.tolist():
                mfn = self.machine.frame_of(domid, pfn)
                assert self.machine.page_of(mfn) == pfn
                assert self.machine.frames.owner[mfn] == domid

    def teardown(self):
        if not hasattr(self, "machine"):
            return
        for mfn, readonly in self.lent:
            self.machine.give_back(mfn, readonly=readonly)
        for domid in list(self.machine.domains):
            self.machine.remove(domid)
        assert self.machine.frames.free == FRAMES - 2


TestGuests = Guests.TestCase
TestGuests.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


# -- one rule each ----------------------------------------------------------------------------------------------------


@pytest.fixture
def machine():
    machine = Machine(32, xen=2)
    machine.add(1, pages=8)
    machine.add(2, pages=8)
    return machine


def refusal(call, *arguments):
    with pytest.raises(Refused) as caught:
        call(*arguments)
    return caught.value.code, list(caught.value.log)


def mfn(machine, pfn, domid=1):
    return machine.frame_of(domid, pfn)


def test_the_words_for_a_frame_are_those_of_a_real_xen():
    # "XenPage 000000000003fc59: caf=c000000000000002, taf=e400000000000002": `xl debug-keys q` on a box.
    shared_info = Frame(0x3FC59, 1, 2, PageType.WRITABLE, 2, validated=True, allocated=True, xen_heap=True)
    assert shared_info.words == "caf=c000000000000002 taf=e400000000000002"


def test_a_page_of_another_domain_cannot_be_mapped(machine):
    xen, foreign = machine.paging, mfn(machine, 0, domid=2)
    xen.pin(1, mfn(machine, 0), 1)
    code, log = refusal(xen.write, 1, mfn(machine, 0), 0, Entry(foreign, RO))
    assert code == "EBUSY"
    assert log[0] == "pg_owner d1 l1e_owner d1, but real_pg_owner d2"
    assert log[1].startswith(f"Error getting mfn {foreign:05x} (pfn 00000) from L1 entry ")


def test_a_page_that_nobody_has_cannot_be_mapped(machine):
    machine.paging.pin(1, mfn(machine, 0), 1)
    code, log = refusal(machine.paging.write, 1, mfn(machine, 0), 0, Entry(31, RO))
    assert code == "EBUSY"
    assert log[0] == "pg_owner d1 l1e_owner d1, but real_pg_owner d-1"


def test_what_is_no_memory_cannot_be_mapped(machine):
    machine.paging.pin(1, mfn(machine, 0), 1)
    refused = refusal(machine.paging.write, 1, mfn(machine, 0), 0, Entry(0xFEE00, RW))
    assert refused == ("EPERM", ["d1 non-privileged attempt to map MMIO space fee00"])


def test_a_page_that_is_mapped_for_writing_cannot_become_a_table(machine):
    xen, table, page = machine.paging, mfn(machine, 0), mfn(machine, 1)
    xen.pin(1, table, 1)
    xen.write(1, table, 5, Entry(page, RW))
    assert refusal(xen.pin, 1, page, 1) == (
        "EINVAL",
        [
            f"Bad type (saw e400000000000001 != exp 2000000000000000) for mfn {page:05x} (pfn 00001)",
            f"Error -22 while pinning mfn {page:05x}",
        ],
    )
    xen.write(1, table, 5, Entry(page, RO))  # once it is read-only, it can
    xen.pin(1, page, 1)


def test_a_table_that_lacks_one_entry_is_refused_as_a_whole(machine):
    xen, table = machine.paging, mfn(machine, 0)
    xen.write(1, table, 0, Entry(mfn(machine, 1), RW))
    xen.write(1, table, 3, Entry(mfn(machine, 2), RW | Flag.PCD))
    code, log = refusal(xen.pin, 1, table, 1)
    assert code == "EINVAL"
    assert log == [
        "Bad L1 flags 10",
        "Failure -22 in promote_l1_table: slot 0x3",
        f"Error while validating mfn {table:05x} (pfn 00000) for type 2000000000000000: "
        "caf=8000000000000002 taf=2000000000000001",
        f"Error -22 while pinning mfn {table:05x}",
    ]
    assert machine.frames[mfn(machine, 1)].type_count == 0


def test_a_pin_holds_once(machine):
    xen, table = machine.paging, mfn(machine, 0)
    xen.pin(1, table, 1)
    assert refusal(xen.pin, 1, table, 1) == ("EINVAL", [f"mfn {table:05x} already pinned"])
    xen.unpin(1, table)
    assert refusal(xen.unpin, 1, table) == ("EINVAL", [f"mfn {table:05x} not pinned"])


def test_xens_own_part_of_the_root_is_not_the_guests_to_change(machine):
    xen, root = machine.paging, mfn(machine, 0)
    xen.pin(1, root, 4)
    refused = refusal(xen.write, 1, root, 256, Entry(0, Flag(0)))
    assert refused == ("EINVAL", ["L4 update in Xen-private area, slot 0x100"])


def test_a_table_may_map_itself_to_be_read_only(machine):
    xen, root = machine.paging, mfn(machine, 0)
    xen.pin(1, root, 4)
    xen.write(1, root, 300, Entry(root, RO))
    refused = refusal(xen.write, 1, root, 301, Entry(root, RW))
    assert refused == ("EINVAL", ["Attempt to create linear p.t. with write perms"])
    xen.unpin(1, root)
    assert machine.frames[root].references == 1


def test_a_table_in_use_keeps_what_hangs_below_it_when_its_pin_goes(machine):
    xen, (root, l3, page) = machine.paging, (mfn(machine, pfn) for pfn in range(3))
    xen.write(1, root, 0, Entry(l3, RW))
    xen.pin(1, root, 4)
    xen.new_root(1, root)
    xen.unpin(1, root)
    assert machine.frames[l3].type is PageType.L3
    assert machine.frames[l3].type_count == 1
    other = mfn(machine, 4)
    xen.new_root(1, other)
    assert machine.frames[l3].type_count == 0
    assert refusal(xen.new_root, 2, page)[1][-1] == f"Error while installing new baseptr {page:05x}"


def test_a_change_of_harmless_flags_takes_no_new_check(machine):
    xen, table, page = machine.paging, mfn(machine, 0), mfn(machine, 1)
    xen.pin(1, table, 1)
    xen.write(1, table, 0, Entry(page, RW))
    machine.frames.owner[page] = COW  # it would not pass a check now
    xen.write(1, table, 0, Entry(page, RW | Flag.ACCESSED | Flag.DIRTY))
    assert machine.frames[page].type_count == 1


def test_a_lent_page_comes_back_to_xen_only_when_it_is_given_back(machine):
    lent = machine.lend(1, 3)
    before = machine.frames.free
    assert machine.release(1, [3]) == 1
    assert (machine.frame_of(1, 3), machine.frames.free) == (None, before)
    assert refusal(machine.paging.pin, 1, lent, 1)[0] == "EINVAL"
    machine.give_back(lent)
    assert machine.frames.free == before + 1


def test_a_page_table_cannot_be_lent_for_writing(machine):
    machine.paging.pin(1, mfn(machine, 3), 1)
    assert refusal(machine.lend, 1, 3)[0] == "EINVAL"
    machine.give_back(machine.lend(1, 3, readonly=True), readonly=True)
