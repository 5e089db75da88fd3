"""A kernel of a few lines as a PV guest: real Xen and the model answer everything it tries in the same way."""

import pytest

from xenlab.commands import CommandFailed
from xenlab.domains.model import State
from xenlab.paravirt.driver import Failed, run
from xenlab.paravirt.kernel import Step
from xenlab.paravirt.trials import COSTS, INSTRUCTIONS, PAGE_TABLES, tried
from xenlab.xenoserver.powers import OTHER, POWERS, RIGHTS
from xenlab.xenoserver.powers import tried as powers_tried

pytestmark = pytest.mark.timeout(200)


def test_instructions_in_ring_3(host):
    answers = tried(host, INSTRUCTIONS)
    assert list(answers.values()) == [
        *("0xe033", "0x80050033", "0x8005003b", "0x200", "0x200", "#GP", "#GP", "#GP", "#GP"),
        *("0xffff800000000000", "#PF", "0x54474354", "0x566e6558", "0x178bfbfd", "0x1789c3f5"),
    ]


def test_page_tables_are_checked(host):
    answers = tried(host, PAGE_TABLES)
    assert list(answers.values()) == [
        *("#PF", "0", "0", "#PF", "0", "EBUSY", "EBUSY", "EPERM", "EBUSY", "0", "0", "EINVAL", "0", "0", "1"),
        *("EBUSY", "EINVAL"),
    ]


def test_a_trap_costs_far_more_than_a_call_and_a_batch_least(host):
    """The model's cycles are those of a box; nothing here holds for a processor with VT-x or AMD-V of its own."""
    runs = [[int(answer, 16) for answer in tried(host, COSTS).values()] for _ in range(10)]
    trap, call, many, emulated, entry, batch = map(min, zip(*runs, strict=True))  # what else runs only adds
    assert trap > 3 * call > 3 * many * 0.5
    assert emulated > 1.3 * entry > 1.3 * batch


def test_what_only_dom0_may_is_refused_to_a_guest(host):
    tries = powers_tried(host, POWERS)
    assert [each.guest for each in tries] == [
        *("EPERM",) * 7,
        "<denied>",
        *("EPERM",) * 3,
        "EBUSY",
        *("EACCES",) * 4,
    ]
    assert {each.dom0 for each in tries} == {True, None}
    assert OTHER not in host.domains().index


def test_what_every_guest_may_is_granted(host):
    assert [each.guest for each in powers_tried(host, RIGHTS)] == [
        "0x40011",
        "0x1000",
        "xenlab-curious",
        "OK",
    ]


def test_a_fault_without_a_handler_ends_the_guest(host):
    with pytest.raises(Failed, match="must come to its end"):
        run(host, [Step("divide", "mov ecx, 0; mov eax, 1; div ecx")], "xenlab-crash")
    log = host.get("/var/log/xen/xl-xenlab-crash.log").decode()
    assert "has shut down, reason code 3 0x3" in log


def test_a_guest_that_never_ends_goes_on_until_it_is_destroyed(host):
    with pytest.raises(CommandFailed):
        host.xl("list", "xenlab-endless")
    from xenlab.paravirt.kernel import build

    host.put(build([Step("loop", "stay:\njmp stay")]), "/var/lib/xenlab/endless.elf")
    guest = host.create(
        'name = "xenlab-endless"\ntype = "pv"\nkernel = "/var/lib/xenlab/endless.elf"\nmemory = 16\n'
    )
    before = guest.row.seconds
    for _ in range(3):
        host.wait(1)
        assert guest.state in (State.RUNNING, State.RUNNABLE)  # it never waits for anything but a pCPU
    assert guest.row.seconds > before
    guest.destroy()
    assert guest.state is State.ABSENT
