"""A PV guest's real code under the model of Xen: what it may, what faults, what it costs, and how it ends."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenlab.commands import XenlabError
from xenlab.hosts.sim.store_for_domain import DIRECTORY, READ, WRITE, answer
from xenlab.hosts.sim.xenstore import Xenstore
from xenlab.memory.builder import Area
from xenlab.memory.machine import Machine
from xenlab.paravirt.cpuid import MACHINE, PV_GUEST, names
from xenlab.paravirt.driver import read, words
from xenlab.paravirt.guest import PvGuest
from xenlab.paravirt.hypervisor import CRASH, CYCLES, POWEROFF
from xenlab.paravirt.kernel import Step
from xenlab.paravirt.processor import Endless
from xenlab.paravirt.space import PAGE, PageFault, Space
from xenlab.paravirt.trials import COSTS, PAGE_TABLES, TIMES


def tell(*steps):
    """The words a guest answers with, and the guest."""
    guest = PvGuest.alone(steps)
    assert guest.run() == POWEROFF
    return words(read(guest.printed)), guest


def test_a_long_text_fills_the_ring_many_times():
    text = "x" * 3000
    answers, guest = tell(Step("long", "lea rax, [rip + text]", f'text: .asciz "{text}"', text=True))
    assert answers == {"long": text}
    assert guest.xen.entries["hypercall sched_op"] >= 2  # it lets dom0 read, and ends


def test_steps_go_on_after_a_fault_with_the_stack_as_it_was():
    answers, _ = tell(Step("spoil", "sub rsp, 24; hlt"), Step("call", "call frame_of; mov eax, 7"))
    assert answers == {"spoil": "#GP", "call": "7"}


def test_a_fault_in_the_handler_s_reach_is_told_by_its_name():
    answers, _ = tell(
        Step("undefined", "ud2"), Step("null", "mov rax, [0]; mov rax, [0x7fff00000000]"), Step("hlt", "hlt")
    )
    assert answers == {"undefined": "#UD", "null": "#PF", "hlt": "#GP"}


def test_a_division_by_zero_has_no_handler_and_ends_the_guest():
    assert PvGuest.alone([Step("divide", "mov ecx, 0; mov eax, 1; div ecx")]).run() == CRASH


def test_a_guest_without_an_end_is_stopped_after_so_many_instructions():
    guest = PvGuest.alone([Step("loop", "stay:\njmp stay")])
    with pytest.raises(Endless, match="did not end"):
        guest.run(limit=10_000)
    assert guest.processor.executed >= 10_000


def test_a_kernel_that_does_not_fit_is_refused():
    with pytest.raises(XenlabError, match="must be at least"):
        PvGuest.alone([Step("ring", "mov rax, cs")], mebibytes=2)


def test_a_bad_pointer_is_an_error_and_not_a_fault():
    answers, _ = tell(
        Step("read", "mov eax, domctl; mov rdi, 0xffff82d040000000; syscall"),
        Step(
            "write", "mov eax, xen_version; mov edi, 1; mov rbx, [rip + info]; mov rsi, [rbx + 88]; syscall"
        ),
    )
    assert answers == {
        "read": "EFAULT",
        "write": "EFAULT",
    }  # the root table is read-only for Xen's copying, too


def test_a_wrong_version_is_told_before_the_right_is_asked_for():
    answers, _ = tell(
        Step("old", "mov eax, domctl; lea rdi, [rip + old_op]; syscall", "old_op: .long 3, 0x14\n.space 128"),
        Step(
            "nobody",
            "mov eax, domctl; lea rdi, [rip + no_op]; syscall",
            "no_op: .long 3, 0x15\n.quad 77\n.space 128",
        ),
    )
    assert answers == {"old": "EACCES", "nobody": "ESRCH"}


def test_interrupts_may_be_kept_out_in_vain():
    answers, _ = tell(
        Step("ask", "mov eax, physdev_op; mov edi, 6; lea rsi, [rip + level]; syscall", "level: .long 1"),
        Step("cli", "cli; pushfq; pop rax; and eax, 0x200"),
        Step("port", "mov eax, 0; in al, 0x60"),
    )
    assert answers == {"ask": "0", "cli": "0x200", "port": "0xff"}


def test_a_multicall_does_every_call_and_keeps_each_result():
    calls = "calls: .quad xen_version, 9, 0, 0, 0, 0, 0, 0\n.quad 55, 9, 0, 0, 0, 0, 0, 0\n"
    answers, guest = tell(
        Step("all", "mov eax, multicall; lea rdi, [rip + calls]; mov esi, 2; syscall", calls),
        Step("one", "mov rax, [rip + calls + 8]"),
        Step("two", "mov rax, [rip + calls + 64 + 8]"),
    )
    assert answers == {"all": "0", "one": "0x40011", "two": "ENOSYS"}
    assert guest.xen.entries["multicall xen_version"] == guest.xen.entries["multicall 55"] == 1


def test_batches_save_entries_to_xen():
    _, guest = tell(*(trial.step for trial in COSTS))
    entries = guest.xen.entries
    assert entries["hypercall xen_version"] == entries["multicall xen_version"] == TIMES
    assert entries["hypercall multicall"] == entries["hypercall mmu_update"] == 1
    assert entries["instruction mov from cr0"] == entries["write to a page table"] == TIMES


def test_the_clock_counts_what_was_executed_and_what_xen_took():
    answers, guest = tell(COSTS[0].step)
    (cycles,) = (int(answer, 16) for answer in answers.values())
    assert TIMES * CYCLES["instruction"] < cycles < TIMES * CYCLES["instruction"] + 10 * TIMES
    assert guest.processor.executed > 3 * TIMES


def test_what_xen_says_of_the_processor_is_less_than_there_is():
    there, told = (names("1d", leaves[1].edx) for leaves in (MACHINE, PV_GUEST))
    assert told < there
    assert there - told == {"pse", "sep", "mtrr", "pge", "pse36"}
    assert b"".join(part.to_bytes(4, "little") for part in PV_GUEST[0x40000000][1:]) == b"XenVMMXenVMM"


def test_after_all_trials_the_frames_are_as_xen_counts_them():
    guest = PvGuest.alone([trial.step for trial in PAGE_TABLES])
    machine = guest.space.machine
    free = machine.frames.free
    guest.run()
    guest.space.close()
    machine.remove(1)
    assert machine.frames.free == free + 4096


# -- addresses


def space():
    machine = Machine(256)
    machine.add(1, 64)
    made = Space(machine, 1)
    made.build([Area(0, 0, 64)], first=60)
    return made


@given(st.integers(0, 60 * PAGE - 1), st.binary(min_size=1, max_size=9000))
@settings(max_examples=60)
def test_what_is_written_is_read_or_nothing_is_allowed(at, data):
    made = space()
    if at + len(data) <= 60 * PAGE:
        made.write(at, data)
        assert made.read(at, len(data)) == data
    else:
        with pytest.raises(PageFault) as fault:
            made.write(at, data)
        assert fault.value.address == 60 * PAGE
        assert fault.value.write


def test_a_change_of_the_tables_is_seen_where_it_is():
    made = space()
    table = int(made.p2m[63])
    entry = made.machine.paging.entry(table, 5)
    made.machine.paging.write(1, table, 5, type(entry).of(0))
    assert made.look_up() == {5}
    assert 5 not in made.mapped
    assert made.look_up() == set()


# -- xenstore, as a guest sees it


@pytest.fixture
def store():
    tree = Xenstore()
    for domid in (1, 2):
        tree.make(f"/local/domain/{domid}", ("n0", f"r{domid}"))
        tree.write(f"/local/domain/{domid}/name", f"guest{domid}")
        tree.make(f"/local/domain/{domid}/data", (f"n{domid}",))
    return tree


@pytest.mark.parametrize(
    ("kind", "payload", "said"),
    [
        (READ, b"name\0", b"guest1"),
        (READ, b"/local/domain/1/name\0", b"guest1"),
        (READ, b"/local/domain/2/name\0", b"EACCES\0"),
        (READ, b"nothing\0", b"ENOENT\0"),
        (READ, b"/local/domain/2/nothing\0", b"EACCES\0"),
        (DIRECTORY, b"/local/domain/1\0", b"name\0data\0"),
        (DIRECTORY, b"/local/domain\0", b"EACCES\0"),
        (WRITE, b"name\0king", b"EACCES\0"),
        (WRITE, b"data/key\0value", b"OK\0"),
        (WRITE, b"/local/domain/2/data/key\0value", b"EACCES\0"),
        (8, b"1\01\01\0", b"EACCES\0"),
        (99, b"", b"ENOSYS\0"),
    ],
)
def test_a_guest_reads_its_own_and_writes_where_it_may(store, kind, payload, said):
    assert answer(store, 1, kind, payload)[1] == said


def test_what_a_guest_wrote_is_there(store):
    answer(store, 1, WRITE, b"data/key\0value")
    assert store.read("/local/domain/1/data/key") == "value"
    assert answer(store, 1, READ, b"data/key\0") == (READ, b"value")
    assert answer(store, 2, READ, b"/local/domain/1/data/key\0")[1] == b"EACCES\0"
