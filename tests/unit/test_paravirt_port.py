"""The ported guest does what the unported one does, with fewer exits, and its page tables are checked."""

import pytest

from xenlab.emulation.assembler import assemble
from xenlab.emulation.isa import decode
from xenlab.emulation.mmu import PAGE, PRESENT, USER, WRITABLE
from xenlab.emulation.traps import Cause
from xenlab.fullvirt.guestos import KERNEL, TASK, TASK_AT, image
from xenlab.paravirt.compare import GROUPS, compare
from xenlab.paravirt.monitor import Paravirtual
from xenlab.paravirt.port import BATCHED, P2M, PORTED, REFUSED, counted, difference, ported

OUTPUT = "Nib OS\nAaBbCcDdEeFf"


def run(kernel=PORTED, task=TASK):
    monitor = Paravirtual()
    monitor.load(image(kernel, task))
    return monitor, monitor.run()


@pytest.mark.parametrize("kernel", [PORTED, BATCHED], ids=["one by one", "batched"])
def test_the_ported_guest_prints_what_the_unported_one_does(kernel):
    monitor, end = run(kernel)
    assert end.cause == Cause.HALT
    assert monitor.console == OUTPUT
    assert REFUSED not in monitor.cpu.r


@pytest.mark.parametrize("leaky", [False, True])
def test_it_needs_no_trap_of_the_processors(leaky):
    """So it runs on a processor that leaks, too: this is what paravirtualization was for."""
    monitor = Paravirtual(leaky=leaky)
    monitor.load(ported())
    monitor.run()
    assert monitor.console == OUTPUT
    assert not any("privileged" in reason for reason in monitor.exits)


@pytest.mark.parametrize("kernel", [PORTED, BATCHED], ids=["one by one", "batched"])
def test_nothing_privileged_is_left_in_the_kernel(kernel):
    program = assemble(kernel)
    for address in program.lines:
        if ".word" in program.lines[address] or ".ascii" in program.lines[address]:
            continue
        found = decode(program.words[address]).instruction
        assert found is None or not found.privileged, program.lines[address]


def test_the_tasks_are_not_changed():
    old, new = image(), ported()
    length = len(assemble(TASK).words)
    assert [new.words[TASK_AT + n] for n in range(length)] == [old.words[TASK_AT + n] for n in range(length)]


def test_hypercalls_save_exits_and_batches_more():
    trapping, single, batched, assisted = compare()
    assert trapping.total > 1.5 * single.total
    assert single.total > 1.4 * batched.total
    assert batched.total > assisted.total
    assert {each.console for each in compare()} == {OUTPUT}


def test_every_exit_belongs_to_one_group():
    for outcome in compare():
        assert sum(outcome.grouped.values()) == outcome.total
        assert set(outcome.grouped) == set(GROUPS)


def test_a_multicall_makes_the_calls_that_it_holds():
    (single, _), (batched, _) = run(PORTED), run(BATCHED)
    assert batched.exits["hypercall: multicall"] == batched.calls.count("multicall")
    for name in ("mmu_update", "console_write"):
        assert single.calls.count(name) == batched.calls.count(name)


def test_the_difference_leads_from_one_kernel_to_the_other():
    changes = difference(around=1000)
    assert [each.text for each in changes if each.sign in " -"] == KERNEL.splitlines()
    assert [each.text for each in changes if each.sign in " +"] == PORTED.splitlines()
    out, into = counted(changes)
    assert len(KERNEL.splitlines()) - out == len(PORTED.splitlines()) - into


# -- page tables


@pytest.fixture
def booted():
    """A monitor whose guest has made its tables and runs its first task; and a way to make it call."""
    monitor = Paravirtual()
    monitor.load(ported())
    while monitor.virtual.supervisor:
        assert monitor.step(10_000) is None

    def machine(place):
        return monitor.memory.real(place)

    return monitor, machine


def test_the_guest_can_read_its_tables_and_not_write_them(booted):
    monitor, machine = booted
    entry = monitor.cpu.memory[machine(0x100 + 0x14)]  # its own mapping of the task's root table
    assert entry & PRESENT
    assert not entry & WRITABLE
    assert monitor._update(machine(0x114), entry | WRITABLE) == REFUSED
    assert monitor.cpu.memory[machine(0x114)] == entry


def test_a_frame_that_is_not_the_guests_is_not_mapped(booted):
    monitor, machine = booted
    stranger = next(frame for frame in range(1, 256) if frame not in monitor.memory.p2m)
    before = monitor.cpu.memory[machine(0x120)]
    assert monitor._update(machine(0x120), stranger << 4 | PRESENT | USER) == REFUSED
    assert monitor._update(stranger << 4, 7) == REFUSED
    assert monitor.cpu.memory[machine(0x120)] == before


def test_a_writable_page_does_not_become_a_table(booted):
    monitor, _ = booted
    free = monitor.memory.p2m[0x30]
    assert monitor._new_user_table(free) == REFUSED
    assert free not in monitor._roots


def test_a_page_becomes_a_table_once_nobody_can_write_to_it(booted):
    monitor, machine = booted
    free = monitor.memory.p2m[0x30]
    assert monitor._update(machine(0x100 + 0x30), free << 4 | PRESENT | USER) == 0
    assert monitor._new_user_table(free) == 0
    assert monitor._update(machine(0x100 + 0x30), free << 4 | PRESENT | USER | WRITABLE) == REFUSED


def test_a_task_sees_nothing_of_the_kernel():
    """The kernel is in user mode as the task is: only its own tables keep the task out."""
    spy = TASK.replace(
        "        li   r4, 0x900            ; six",
        "        lw   r4, [r2+0x20]\n        li   r4, 0x900 ; six",
        1,
    )
    assert spy != TASK
    monitor, end = run(task=spy)
    assert end.cause == Cause.HALT
    assert monitor.console == "Nib OS\n"  # both tasks faulted, and were ended


def test_an_unknown_hypercall_and_a_bad_address_are_refused():
    strange = PORTED.replace(
        "boot:   li   r9, trap\n",
        "boot:   li   r8, 99\n        syscall\n        sw   r8, [r2+0x3b0]\n"
        "        li   r9, 0x7000\n        li   r10, 1\n        li   r8, 0\n        syscall\n"
        "        sw   r8, [r2+0x3b1]\n"
        "        li   r9, trap\n",
    )
    monitor, _ = run(strange)
    assert [monitor.memory[0x3B0], monitor.memory[0x3B1]] == [REFUSED, REFUSED]
    assert monitor.console == OUTPUT


def test_a_fault_in_the_kernel_stops_the_machine():
    _, end = run("boot:   lw   r8, [r2+0x7000]\n")
    assert end.cause == Cause.DOUBLE


def test_the_guest_knows_the_machines_frames():
    monitor, _ = run()
    assert [monitor.memory[P2M + page] for page in range(64)] == list(monitor.memory.p2m)
    assert monitor.memory.p2m[0] != 0
    assert PAGE == 16
