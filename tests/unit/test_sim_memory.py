"""Memory of the simulated host: its frames, its balloons and their limits, and xen-mfndump, as a box has them."""

import numpy as np
import pytest

from xenlab.hosts.sim import MachineSpec, SimDom0
from xenlab.memory import mfndump
from xenlab.memory.frames import FREE, INVALID

GUEST = """name = "{}"
type = "{}"
kernel = "/var/lib/xenlab-guest/vmlinux"
ramdisk = "/var/lib/xenlab-guest/initrd.gz"
memory = {}
extra = "quiet xenlab.workload=meminfo"
"""


@pytest.fixture
def dom0():
    return SimDom0()


def run(dom0, line, status=0):
    done = dom0.run(line.split())
    assert done.status == status, done
    return done.stdout + done.stderr


def start(dom0, name="web", memory=128, extra="", kind="pv"):
    dom0.put((GUEST.format(name, kind, memory) + extra).encode(), f"/root/{name}.cfg")
    run(dom0, f"xl create /root/{name}.cfg")
    dom0.wait(4)


def has(dom0, name="web"):
    return int(run(dom0, f"xl list {name}").split()[-4])


def console(dom0, name="web"):
    return dom0.get(f"/var/log/xen/console/guest-{name}.log").decode()


def frames(dom0):
    return dom0.world.machine.memory.frames


def test_every_frame_has_one_owner_and_all_of_them_add_up(dom0):
    start(dom0)
    start(dom0, "db", 96)
    run(dom0, "xl mem-set web 80")
    dom0.wait(3)
    for name in ("web", "db"):
        p2m = mfndump.read_p2m(run(dom0, f"xen-mfndump dump-p2m {run(dom0, f'xl domid {name}').strip()}"))
        m2p = mfndump.read_m2p(run(dom0, "xen-mfndump dump-m2p"))
        pages = np.flatnonzero(p2m.mfns != INVALID)
        assert len(pages) == {"web": 80, "db": 96}[name] * 256
        assert np.array_equal(m2p[p2m.mfns[pages]], pages)
    run(dom0, "xl destroy web")
    run(dom0, "xl destroy db")
    assert int(np.count_nonzero(frames(dom0).owner == FREE)) // 256 == 625


def test_a_guest_grows_no_further_than_it_was_built_for(dom0):
    start(dom0)
    run(dom0, "xl mem-max web 200")
    run(dom0, "xl mem-set web 180")
    dom0.wait(5)
    assert has(dom0) == 128
    assert "184320" in run(dom0, "xenstore-read /local/domain/1/memory/target")


def test_maxmem_leaves_room_to_grow(dom0):
    start(dom0, extra="maxmem = 192\n")
    assert "MemTotal 92" in console(dom0)  # the room costs Linux page tables and page descriptors
    run(dom0, "xl mem-set web 192")
    dom0.wait(5)
    assert has(dom0) == 192


def test_a_guest_that_is_set_too_low_runs_out_of_memory_and_crashes(dom0):
    start(dom0)
    run(dom0, "xl mem-set web 40")
    dom0.wait(5)
    assert "Kernel panic - not syncing: System is deadlocked on memory" in console(dom0)
    assert run(dom0, "xl list web", status=1) == "web is an invalid domain identifier (rc=-6)\n"


def test_who_gets_no_memory_gives_up_until_another_target_is_set():
    dom0 = SimDom0(MachineSpec(memory_mib=674))
    start(dom0, extra="maxmem = 192\n")
    start(dom0, "db", 128)
    run(dom0, "xl mem-set web 192")
    dom0.wait(20)
    reached = has(dom0)
    assert 128 < reached < 192
    run(dom0, "xl destroy db")
    dom0.wait(60)
    run(dom0, "xl mem-set web 192")
    dom0.wait(20)
    assert has(dom0) == reached
    run(dom0, "xl mem-set web 190")
    dom0.wait(5)
    assert has(dom0) == 190


def test_the_rings_that_dom0_shares_with_a_guest_are_pages_of_the_guest(dom0):
    start(dom0)
    p2m = mfndump.read_p2m(run(dom0, "xen-mfndump dump-p2m 1"))
    for path in ("store", "console"):
        assert int(run(dom0, f"xenstore-read /local/domain/1/{path}/ring-ref")) in p2m.mfns


def test_a_table_in_use_is_shown_entry_by_entry(dom0):
    start(dom0)
    p2m = mfndump.read_p2m(run(dom0, "xen-mfndump dump-p2m 1"))
    (root,) = (pfn for pfn, level in p2m.tables.items() if level == 4)
    assert p2m.types[root] == mfndump.PINNED | 4
    told = run(dom0, f"xen-mfndump dump-ptes 1 {p2m.mfns[root]:x}")
    assert f"pfn: {root:#x}, mfn: {p2m.mfns[root]:#x}, L4 table [pinned] [mapped]" in told
    assert mfndump.read_ptes(told)[511] & 1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("dump-p2m 77", "Failed to obtain info for domain 77\n"),
        ("dump-ptes 77 0", "Failed to obtain info for domain 77\n"),
        ("dump-ptes 1 12", "pfn 0xffffffffffffffff out of range for domain 1\n"),
        ("dump-ptes 1 ffffffff", "Failed to map live M2P table"),
        ("dump-p2m 0", "Could not map domain 0 memory information\n"),
        (
            "dump-p2m 2",
            "(95 = Operation not supported): Internal error\nCould not map domain 2 memory information\n",
        ),
    ],
)
def test_what_cannot_be_shown_says_so_in_the_words_of_a_box(dom0, words, complaint):
    start(dom0)
    start(dom0, "pvh", kind="pvh")
    assert run(dom0, f"xen-mfndump {words}", status=1).endswith(complaint)


@pytest.mark.parametrize("words", ["", "dump-p2m", "dump-ptes 1", "dump-m2p 1", "nosuch"])
def test_a_wrong_call_of_xen_mfndump_shows_how_it_is_called(dom0, words):
    assert "Usage: xen-mfndump <command> [args]\n" in run(dom0, f"xen-mfndump {words}", status=1)
