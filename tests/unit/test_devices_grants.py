"""Grant tables: what is granted can be mapped, by whom it is granted to, and is not revoked while it is."""

import struct

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from xenlab.devices.grants import GTF, GrantError, Grants, GrantStatus, GrantTable, Memory

GUEST, DOM0, OTHER = 1, 0, 2


@pytest.fixture
def grants() -> Grants:
    grants = Grants(Memory())
    for domid in (DOM0, GUEST, OTHER):
        grants.add_domain(domid)
    return grants


def lend(grants: Grants, *, to: int = DOM0, readonly: bool = False) -> tuple[int, int]:
    frame = grants.memory.allocate(GUEST)
    return frame, grants.tables[GUEST].grant(frame, to, readonly=readonly)


def test_an_entry_is_8_bytes_flags_domid_frame(grants):
    frame, gref = lend(grants, to=OTHER, readonly=True)
    page, offset = grants.tables[GUEST].at(gref)
    assert offset == 8 * gref
    assert bytes(page[offset : offset + 8]) == struct.pack("<HHI", 1 | 4, OTHER, frame)


def test_the_first_eight_references_are_reserved_and_a_page_holds_512(grants):
    table = grants.tables[GUEST]
    assert len(table) == 512
    assert [table.grant(1, DOM0) for _ in range(504)] == list(range(8, 512))
    assert table.grant(1, DOM0) == 512  # a second page
    assert len(table) == 1024


def test_a_table_at_its_limit_is_out_of_space():
    table = GrantTable(Memory(), GUEST, max_frames=1)
    for _ in range(504):
        table.grant(1, DOM0)
    with pytest.raises(GrantError, match="out of space") as caught:
        table.grant(1, DOM0)
    assert caught.value.status is GrantStatus.NO_SPACE


def test_mapping_marks_the_entry_and_unmapping_the_last_clears_it(grants):
    _, gref = lend(grants)
    table = grants.tables[GUEST]
    read = grants.map(DOM0, GUEST, gref, readonly=True)
    assert table.entry(gref)[0] == GTF.PERMIT_ACCESS | GTF.READING
    write = grants.map(DOM0, GUEST, gref)
    assert table.entry(gref)[0] == GTF.PERMIT_ACCESS | GTF.READING | GTF.WRITING
    grants.unmap(DOM0, write)
    assert table.entry(gref)[0] == GTF.PERMIT_ACCESS | GTF.READING
    assert not table.revoke(gref)
    grants.unmap(DOM0, read)
    assert table.entry(gref)[0] == GTF.PERMIT_ACCESS
    assert table.revoke(gref)


def test_both_domains_see_the_same_bytes_until_it_is_unmapped(grants):
    frame, gref = lend(grants)
    mapping = grants.map(DOM0, GUEST, gref)
    mapping.view[:3] = b"xen"
    grants.memory[frame][3:5] = b"!!"
    assert bytes(mapping.view[:5]) == b"xen!!"
    grants.unmap(DOM0, mapping)
    with pytest.raises(ValueError, match="released"):
        mapping.view[0]
    with pytest.raises(GrantError, match="invalid mapping handle"):
        grants.unmap(DOM0, mapping)


def test_a_read_only_mapping_cannot_be_written(grants):
    _, gref = lend(grants, readonly=True)
    with pytest.raises(TypeError):
        grants.map(DOM0, GUEST, gref, readonly=True).view[0] = 1


def refused(grants: Grants, *args: int, **how: bool) -> GrantStatus:
    with pytest.raises(GrantError) as caught:
        grants.map(*args, **how)
    return caught.value.status


def test_xen_refuses_every_mapping_that_was_not_granted(grants):
    _, gref = lend(grants)
    _, readonly = lend(grants, readonly=True)
    stolen = grants.tables[GUEST].grant(grants.memory.allocate(OTHER), DOM0)
    nowhere = grants.tables[GUEST].grant(1 << 31, DOM0)
    assert refused(grants, DOM0, 9, gref) is GrantStatus.BAD_DOMAIN
    assert refused(grants, DOM0, GUEST, 512) is GrantStatus.BAD_GNTREF
    assert refused(grants, DOM0, GUEST, -1) is GrantStatus.BAD_GNTREF
    assert refused(grants, DOM0, GUEST, 400) is GrantStatus.GENERAL_ERROR  # never granted
    assert refused(grants, OTHER, GUEST, gref) is GrantStatus.GENERAL_ERROR  # to someone else
    assert refused(grants, DOM0, GUEST, readonly) is GrantStatus.GENERAL_ERROR
    assert refused(grants, DOM0, GUEST, stolen) is GrantStatus.BAD_PAGE
    assert refused(grants, DOM0, GUEST, nowhere) is GrantStatus.BAD_PAGE
    for gref in (stolen, nowhere, readonly):  # and leaves no mark on the entries
        assert not grants.tables[GUEST].entry(gref)[0] & (GTF.READING | GTF.WRITING)


def test_an_entry_rewritten_while_it_is_mapped_still_means_the_page_that_was_mapped(grants):
    """Xen keeps its own record of a mapped entry (active_grant_entry): the guest cannot switch the frame."""
    frame, gref = lend(grants)
    first = grants.map(DOM0, GUEST, gref)
    page, offset = grants.tables[GUEST].at(gref)
    struct.pack_into("<I", page, offset + 4, grants.memory.allocate(OTHER))
    second = grants.map(DOM0, GUEST, gref)
    second.view[0] = 7
    assert first.view[0] == grants.memory[frame][0] == 7


def test_an_entry_rewritten_for_someone_else_while_it_is_mapped_lets_nobody_else_in(grants):
    _, gref = lend(grants)
    grants.map(DOM0, GUEST, gref)
    page, offset = grants.tables[GUEST].at(gref)
    struct.pack_into("<H", page, offset + 2, OTHER)
    assert refused(grants, OTHER, GUEST, gref) is GrantStatus.GENERAL_ERROR


def test_messages_are_those_of_the_header():
    assert [status.message for status in GrantStatus][:4] == [
        "okay",
        "undefined error",
        "unrecognised domain id",
        "invalid grant reference",
    ]
    assert (GrantStatus.NO_SPACE, GrantStatus.NO_SPACE.message) == (-13, "out of space")


class GrantMachine(RuleBasedStateMachine):
    """Grant, map, unmap, revoke in any order, against a plain dictionary of what is mapped how often."""

    def __init__(self) -> None:
        super().__init__()
        self.grants = Grants(Memory())
        self.grants.add_domain(DOM0)
        self.table = self.grants.add_domain(GUEST)
        self.frame = self.grants.memory.allocate(GUEST)
        self.open: dict[int, list] = {}

    @rule()
    def grant(self) -> None:
        gref = self.table.grant(self.frame, DOM0)
        assert gref not in self.open
        self.open[gref] = []

    @rule(which=st.integers(0, 5), readonly=st.booleans())
    def map(self, which: int, readonly: bool) -> None:
        gref = 8 + which
        if gref in self.open:
            self.open[gref].append(self.grants.map(DOM0, GUEST, gref, readonly=readonly))
        else:
            assert refused(self.grants, DOM0, GUEST, gref) is GrantStatus.GENERAL_ERROR

    @rule(which=st.integers(0, 5), newest=st.booleans())
    def unmap(self, which: int, newest: bool) -> None:
        if self.open.get(8 + which):
            self.grants.unmap(DOM0, self.open[8 + which].pop(-1 if newest else 0))

    @rule(which=st.integers(0, 5))
    def revoke(self, which: int) -> None:
        if 8 + which in self.open:
            assert self.table.revoke(8 + which) == (not self.open[8 + which])
            if not self.open[8 + which]:
                del self.open[8 + which]

    @invariant()
    def flags_tell_what_is_mapped(self) -> None:
        for gref, mappings in self.open.items():
            flags = self.table.entry(gref)[0]
            assert bool(flags & GTF.READING) == bool(mappings)
            assert bool(flags & GTF.WRITING) == any(not mapping.readonly for mapping in mappings)


TestGrantMachine = GrantMachine.TestCase
TestGrantMachine.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
