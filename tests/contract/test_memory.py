"""Memory moved between domains while they run, on the simulator and on a real Xen alike."""

import numpy as np
import pytest

from xenlab.commands import CommandFailed
from xenlab.domains.model import State
from xenlab.memory.builder import DIRECT, KERNEL
from xenlab.memory.driver import Memory, read_meminfo
from xenlab.memory.frames import INVALID
from xenlab.memory.mfndump import NO_FRAME
from xenlab.memory.walk import NotMapped

pytestmark = pytest.mark.timeout(400)
MIB = 256  # frames


@pytest.fixture(scope="module")
def mem(host):
    """A guest that prints each second what memory it has; tests that change it put it back."""
    domain = host.create(name="mem", workload="meminfo")
    domain.wait_for("meminfo:", 120)
    yield domain
    host.run(["xl", "destroy", "mem"], check=False)  # the last test has ended it


@pytest.fixture(scope="module")
def memory(host):
    return Memory(host)


def settle(host, domain, mebibytes):
    """Wait until a domain has so much memory, and has printed so since."""
    for _ in range(40):
        if domain.row.memory == mebibytes and read_meminfo(domain.console()).current == mebibytes * 1024:
            return
        host.wait(0.5)
    raise AssertionError(f"it has {domain.row.memory} MiB")


def test_the_guest_tells_what_linux_has_and_what_the_balloon_has_left_it(mem):
    seen = read_meminfo(mem.console())
    assert seen.current == 128 * 1024
    assert 0 < seen.free < seen.total < seen.current


def test_what_the_balloon_gives_linux_loses_and_the_host_gains(host, memory, mem):
    seen, free = read_meminfo(mem.console()), memory.free()
    memory.set_target("mem", 100)
    settle(host, mem, 100)
    assert seen.total - read_meminfo(mem.console()).total == 28 * 1024
    assert memory.free() - free == 28
    row = memory.table().loc["mem"]
    assert (row.has, row.target, row.static_max, row.xen_max) == (100, 100, 128, 101)
    memory.set_target("mem", 128)
    settle(host, mem, 128)
    assert read_meminfo(mem.console()).total == seen.total
    assert memory.free() == free


def test_a_target_can_be_followed_while_it_is_reached(host, memory, mem):
    looks = memory.watch("mem", mem.console, 3, target=110)
    assert (looks.has.iloc[0], looks.has.iloc[-1]) == (128, 110)
    assert looks.total.iloc[-1] < looks.has.iloc[-1]
    memory.set_target("mem", 128)
    settle(host, mem, 128)


def test_dom0s_limits_are_those_that_xen_was_started_with(memory):
    row = memory.table().loc["Domain-0"]
    assert (row.has, row.xen_max) == (384, 384)


ABOVE = (
    "libxl_mem.c:278:libxl_set_memory_target: {}memory_dynamic_max must be less than or equal to "
    "memory_static_max\n"
)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (
            "mem-set mem 4096",
            ABOVE.format("Domain @:") + "\ncannot set domid @ dynamic max memory to : 4096\n",
        ),
        ("mem-set 0 1000", ABOVE.format("") + "\ncannot set domid 0 dynamic max memory to : 1000\n"),
        (
            "mem-set 0 64",
            "libxl_mem.c:287:libxl_set_memory_target: New target 65536 for dom0 is below the minimum threshold\n"
            "cannot set domid 0 dynamic max memory to : 64\n",
        ),
        (
            "mem-max mem 64",
            "libxl_mem.c:59:libxl_domain_setmaxmem: Domain @:memory_static_max must be greater than or or equal to "
            "memory_dynamic_max: Success\ncannot set domid @ static max memory to : 64\n",
        ),
        ("mem-set mem lots", "invalid memory size: lots\n"),
        ("mem-max mem 64MB", "invalid memory size: 64MB\n"),
        (
            "mem-set 9999 64",
            "libxl_dom.c:1216:libxl__userdata_path: unable to find domain info for domain 9999: Success\n"
            "cannot set domid 9999 dynamic max memory to : 64\n",
        ),
    ],
)
def test_what_is_refused_is_refused_in_these_words(host, mem, words, complaint):
    done = host.run(["xl", *words.split()], check=False)
    assert done.status == 1
    assert done.stderr.removeprefix("libxl: error: ") == complaint.replace("@", str(mem.id))


def test_m2p_undoes_p2m(memory, mem):
    p2m, m2p = memory.p2m("mem"), memory.m2p()
    pages = np.flatnonzero(p2m.mfns != INVALID)
    assert len(pages) == 128 * MIB
    assert np.array_equal(m2p[p2m.mfns[pages]], pages)


def test_pages_in_the_balloon_have_no_frame(host, memory, mem):
    memory.set_target("mem", 120)
    settle(host, mem, 120)
    p2m = memory.p2m("mem")
    assert len(p2m.mfns) == 128 * MIB
    assert np.count_nonzero(p2m.types == NO_FRAME) == 8 * MIB
    memory.set_target("mem", 128)
    settle(host, mem, 128)


def test_every_frame_of_a_domain_is_found(host, memory, mem):
    owners = memory.owners()
    for row in host.domains().itertuples():
        if row.Index in ("mem", "Domain-0"):
            assert np.count_nonzero(owners == row.id) == row.memory * MIB


def test_a_kernels_addresses_lead_through_four_tables_to_its_pages(memory, mem):
    walk, p2m = memory.walker("mem"), memory.p2m("mem")
    for pfn in (0, 5, 0x1000):
        found = walk(DIRECT + (pfn << 12) + 0x123)
        assert (found.pfn, found.mfn) == (pfn, p2m.mfns[pfn])
        assert found.machine_address == int(p2m.mfns[pfn]) << 12 | 0x123
        assert [p2m.tables[int(np.flatnonzero(p2m.mfns == step.table)[0])] for step in found.steps] == [
            4,
            3,
            2,
            1,
        ]
    assert walk(KERNEL + (0x1000 << 12)).mfn == p2m.mfns[0x1000]  # the kernel's code, mapped twice


def test_page_tables_are_mapped_read_only(host, memory, mem):
    """What the whole of direct paging is about. Paused: a guest that runs gives tables back, and writes there then."""
    host.xl("pause", "mem")
    try:
        walk, p2m = memory.walker("mem"), memory.p2m("mem")
        for pfn in list(p2m.tables)[::20]:
            assert not walk(DIRECT + (pfn << 12)).writable
    finally:
        host.xl("unpause", "mem")


def test_a_kernel_page_is_a_users_to_the_processor_and_marked_by_xen(memory, mem):
    letters = memory.walker("mem")(DIRECT + (5 << 12)).steps[-1].entry.letters
    assert "U" in letters
    assert "K" in letters


def test_an_address_that_nothing_maps_is_a_fault(memory, mem):
    with pytest.raises(NotMapped, match="must be mapped"):
        memory.walker("mem")(0xFFFF900000000000)


def test_a_frame_that_holds_no_table_is_not_shown_as_one(memory, mem):
    with pytest.raises(CommandFailed, match="is not a PT"):
        memory.entries("mem", int(memory.p2m("mem").mfns[5]))


def test_a_guest_grows_no_further_than_it_was_built_for(host, memory, mem):
    """Linux plugs in empty memory for it on the box, which nobody brings online, and its p2m is large from then on."""
    memory.set_static_max("mem", 200)
    memory.set_target("mem", 180)
    host.wait(3)
    row = memory.table().loc["mem"]
    assert (row.has, row.target, row.static_max, row.xen_max) == (128, 180, 200, 181)
    memory.set_target("mem", 128)
    memory.set_static_max("mem", 128)


def test_a_guest_that_is_set_too_low_runs_out_of_memory(host, memory, mem):
    """The last test: it ends the guest."""
    memory.set_target("mem", 40)
    for _ in range(60):
        if mem.state is State.ABSENT:
            break
        host.wait(0.5)
    assert mem.state is State.ABSENT
    assert "Kernel panic - not syncing: System is deadlocked on memory" in mem.console()
