"""A guest under a monitor is the guest on a bare machine: same output, same registers, same memory, same instant."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenlab.commands import XenlabError
from xenlab.emulation.assembler import assemble
from xenlab.emulation.cpu import interpret
from xenlab.emulation.isa import INSTRUCTIONS, SPECIAL, encode
from xenlab.emulation.machine import Machine
from xenlab.emulation.translator import Translator
from xenlab.emulation.traps import Cause
from xenlab.fullvirt.assisted import Assisted
from xenlab.fullvirt.guestos import MEMORY, image
from xenlab.fullvirt.trapping import TrapAndEmulate

MONITORS = {
    "trapping": TrapAndEmulate,
    "translating": lambda memory=MEMORY: TrapAndEmulate(memory, translating=True),
    "translating on a leaky processor": lambda memory=MEMORY: TrapAndEmulate(
        memory, leaky=True, translating=True
    ),
    "assisted": Assisted,
}
OUTPUT = "Nib OS\nAaBbCcDdEeFf"


def bare(program=None, **options):
    machine = Machine(MEMORY, **options)
    machine.load(program or image())
    return machine


def as_seen(virtual, registers, pc, memory):
    special = [word for name, word in zip(SPECIAL, virtual.special, strict=True) if name != "timer"]
    return registers, pc, virtual.supervisor, special, virtual.retired, list(memory)


@pytest.mark.parametrize("engine", [None, Translator(chained=False), Translator()])
def test_the_guest_runs_on_a_bare_machine(engine):
    machine = bare()
    if engine:
        machine.cpu.engine = engine
    assert machine.run().cause == Cause.HALT
    assert machine.console == OUTPUT


@pytest.mark.parametrize("kind", MONITORS)
def test_the_unmodified_guest_ends_in_the_same_state_under_every_monitor(kind):
    machine, monitor = bare(), MONITORS[kind]()
    machine.run()
    monitor.load(image())
    assert monitor.run().cause == Cause.HALT
    assert monitor.console == OUTPUT
    cpu = machine.cpu
    assert as_seen(cpu, cpu.r, cpu.pc, cpu.memory) == as_seen(
        monitor.virtual, monitor.cpu.r, monitor.cpu.pc, [monitor.memory[at] for at in range(MEMORY)]
    )


@pytest.mark.parametrize("kind", MONITORS)
def test_the_guest_never_has_the_real_machine(kind):
    monitor = MONITORS[kind]()
    monitor.load(image())
    outside = [at for at in range(len(monitor.cpu.memory)) if at >> 4 not in monitor.memory.p2m]
    own = set(range(0x40 * 16))
    before = {at: monitor.cpu.memory[at] for at in outside if at not in own}
    while monitor.step(1) is None:
        assert kind == "assisted" or not monitor.cpu.supervisor
    assert {at: monitor.cpu.memory[at] for at in outside if at not in own} == before
    assert monitor.machine.console == ""  # the real serial port


def test_a_leaky_processor_spoils_trap_and_emulate_and_nothing_else():
    monitor = TrapAndEmulate(leaky=True)
    monitor.load(image())
    monitor.run()
    assert monitor.console == "Nib OS\nABCDEFabcdef"  # interrupts were never let in: the tasks took no turns
    machine = bare(leaky=True)
    machine.run()
    assert machine.console == OUTPUT


def test_exits_are_counted_by_reason_and_logged():
    trapping, assisted = TrapAndEmulate(), Assisted()
    for monitor in (trapping, assisted):
        monitor.load(image())
        monitor.run()
        assert sum(monitor.exits.values()) == len(monitor.log)
    assert trapping.exits["page fault of the guest's"] == 12  # two tasks, six pages each
    assert trapping.exits["system call"] == 14  # six letters and an end, twice
    assert trapping.exits["write to a page table"] >= 12 - 2
    assert set(assisted.exits) == {"input or output", "page missing in the nested table", "halt"}
    assert assisted.exits["input or output"] == 7 + 2 * 12
    assert sum(assisted.exits.values()) * 5 < sum(trapping.exits.values())


def test_shadows_that_run_out_of_frames_are_built_again():
    monitor = TrapAndEmulate()
    monitor.shadow._frames[:] = monitor.shadow._frames[:8]
    monitor.shadow.drop()
    monitor.shadow.switch()
    monitor.load(image())
    monitor.run()
    assert monitor.console == OUTPUT
    assert monitor.exits["page missing in the shadow"] > 49


@pytest.mark.parametrize("kind", MONITORS)
def test_memory_that_a_guest_does_not_have_faults_as_on_a_bare_machine(kind):
    source = (
        "li r1, on\n wrsr tvec, r1\n li r2, 0x400\n lw r3, [r2]\non: rdsr r4, cause\n rdsr r5, tval\n halt"
    )
    monitor = MONITORS[kind]()
    monitor.load(assemble(source))
    monitor.run()
    assert monitor.cpu.r[4:6] == [Cause.LOAD, 0x400]


def test_a_guest_that_does_not_end_is_named_and_odd_memory_refused():
    monitor = TrapAndEmulate()
    monitor.load(assemble("loop: jmp loop"))
    with pytest.raises(XenlabError, match=r"limit\(=500\) must be enough"):
        monitor.run(500)
    with pytest.raises(XenlabError, match=r"memory\(=100\) must be a multiple of 16 words"):
        TrapAndEmulate(100)


ANY = list(INSTRUCTIONS.values())
#: Goes on behind what trapped, in the other mode if the cause is odd.
MAD_HANDLER = """
        .org 0x50
        rdsr r10, epc
        addi r10, r10, 1
        andi r10, r10, 63
        wrsr epc, r10
        rdsr r11, cause
        andi r11, r11, 1
        shli r11, r11, 2
        ori  r11, r11, 2
        wrsr status, r11
        rett
"""


def random_kernel(draw: random.Random) -> list[int]:
    """Words of a kernel gone mad: any instruction, privileged ones too, and stores to its own page tables."""
    words = []
    while len(words) < 78:
        each = draw.choice(ANY)
        d, a = draw.randrange(8), draw.randrange(8)
        if each.name == "halt":
            continue
        if each.name == "sw":
            words.append(
                encode("sw", d, 8, draw.randrange(0x20, 0xA0))
            )  # r8 is 0: among it code and page tables
        elif each.jumps or each.name == "lw":
            words.append(encode(each.name, d, draw.choice([a, 8]), draw.randrange(0xB0)))
        elif each.name in ("rdsr", "wrsr"):
            words.append(encode(each.name, d, a, draw.randrange(8)))
        elif each.name in ("in", "out"):
            words.append(encode(each.name, d, a, draw.choice([0x3F8, 0x3FD, 0x80])))
        elif each.name == "li":
            words.append(encode("li", d, 0, entry(draw)))
        else:
            words.append(encode(each.name, d, a, draw.randrange(0x10000)))
    return words


def entry(draw: random.Random) -> int:
    """An entry of a page table, for a frame near by; or a small number."""
    return draw.choice([draw.randrange(12) << 4 | draw.choice([7, 7, 7, 5, 3, 1, 0]), draw.randrange(100)])


def start_mad(cpu, registers, memory, seed):
    """A machine with such a kernel, paging on or off, its page tables (frames 6 and 7) within its own reach."""
    draw = random.Random(seed)
    for at, word in [*enumerate(random_kernel(draw)), *assemble(MAD_HANDLER).words.items()]:
        memory[at] = word
    for page in range(16):
        memory[0x70 | page] = page << 4 | draw.choice([7, 7, 5, 3])
        memory[0x60 | page] = 7 << 4 | 1
    registers[:8] = [entry(draw) for _ in range(8)]
    cpu.special[:7] = [draw.choice([0, 1]), 0x50, 0, 0, 0, 0, draw.randrange(20)]
    if draw.random() < 0.8:
        cpu.special[5] = cpu.mmu.root = 6


def without_tlb(cpu, most):
    """A processor that walks its tables for every access. What one with a TLB does before a flush is its own affair."""
    cpu.flush()
    interpret(cpu, min(1, most))


@pytest.mark.parametrize("kind", MONITORS)
@settings(max_examples=250, deadline=None)
@given(seed=st.integers(0, 10**9), limit=st.integers(1, 400))
def test_no_kernel_can_tell_that_it_is_monitored(kind, seed, limit):
    machine = Machine(MEMORY)
    start_mad(machine.cpu, machine.cpu.r, machine.cpu.memory, seed)
    machine.cpu.engine = without_tlb
    machine.cpu.run(limit)
    monitor = MONITORS[kind]()
    start_mad(monitor.virtual, monitor.cpu.r, monitor.memory, seed)
    if isinstance(monitor, TrapAndEmulate):
        monitor.shadow.switch()
    else:
        monitor.cpu.engine = without_tlb
    while monitor.retired < limit and monitor.step(limit - monitor.retired) is None:
        pass
    cpu = machine.cpu
    assert as_seen(cpu, cpu.r, cpu.pc, cpu.memory) == as_seen(
        monitor.virtual, monitor.cpu.r, monitor.cpu.pc, [monitor.memory[at] for at in range(MEMORY)]
    )
    assert machine.console == monitor.console
