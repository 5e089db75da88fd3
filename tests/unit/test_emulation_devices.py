"""The serial port, real x86 code under hooks, and what the page says of a run."""

import platform

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenlab.commands import XenlabError
from xenlab.emulation import native, programs, x86
from xenlab.emulation.isa import encode
from xenlab.emulation.machine import Machine
from xenlab.emulation.speed import ways
from xenlab.emulation.story import dispatches, steps
from xenlab.emulation.uart import DATA, DLAB, IER, LCR, LSR, SCR, Uart
from xenlab.emulation.view import Stepper, Translating, X86Stepper, show_speeds
from xenlab.emulation.x86 import X86Machine


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_a_serial_port_passes_on_what_is_sent_and_received(sent, received):
    uart = Uart()
    for byte in sent:
        assert uart.read(LSR) & 0x20
        uart.write(DATA, byte)
    assert bytes(uart.sent) == sent
    uart.receive(received)
    taken = bytearray()
    while uart.read(LSR) & 1:
        taken.append(uart.read(DATA))
    assert bytes(taken) == received
    assert uart.read(DATA) == 0


def test_the_divisor_hides_the_data_register_and_bytes_are_bytes():
    uart = Uart()
    uart.write(LCR, DLAB | 3)
    uart.write(DATA, 12)
    uart.write(IER, 1)
    assert (uart.read(DATA), uart.read(IER)) == (12, 1)
    uart.write(LCR, 3)
    uart.write(IER, 5)
    uart.write(SCR, 0x1AB)
    assert (uart.text, uart.read(IER), uart.read(SCR)) == ("", 5, 0xAB)


def test_ports_without_a_device_read_as_an_open_bus():
    machine = Machine()
    machine.load("in r1, 0x80\n out 0x80, r1\n halt")
    machine.run()
    assert machine.cpu.r[1] == 0xFFFFFFFF


def test_a_machine_that_does_not_halt_or_has_no_room_is_named():
    machine = Machine(16)
    with pytest.raises(XenlabError, match=r"program\(=word at 0x10\) must fit into memory of 16 words"):
        machine.load(".space 17")
    machine = Machine()
    machine.load("loop: jmp loop")
    with pytest.raises(XenlabError, match="did not halt within as many"):
        machine.run(100)
    with pytest.raises(XenlabError, match=r"memory\(=17\) must be a multiple of 16 words"):
        Machine(17)


# -- x86


def test_x86_code_assembles_and_disassembles():
    code = x86.assemble("mov al, 'A'  # a letter\nnext: out dx, al\njmp next")
    assert [line.text for line in x86.disassemble(code)] == ["mov al, 0x41", "out dx, al", "jmp 0x1002"]
    assert x86.disassemble(code)[1].address == x86.CODE + 2


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("nop\nbogus eax\nhlt", r"line 2 \(bogus eax\): Invalid mnemonic"),
        ("jmp nowhere", r"the program: Cannot find a symbol"),
    ],
)
def test_a_mistake_in_x86_code_is_named(source, words):
    with pytest.raises(XenlabError, match=words):
        x86.assemble(source)


def test_hooks_see_instructions_memory_and_ports():
    machine = X86Machine(
        "mov edi, 0x2000; mov dword ptr [rdi], 7; mov eax, [rdi]; mov dx, 0x3fd; in al, dx; hlt"
    )
    assert machine.run() == "hlt"
    assert len(machine.steps) == len(machine.lines) == 6
    assert [access.words for step in machine.steps for access in step.accesses] == [
        "write 4 bytes at 0x2000: 0x7",
        "read 4 bytes at 0x2000: 0x7",
        "in port 0x3fd: 0x60",
    ]
    assert machine.registers["rax"] == 0x60


def test_cpuid_is_answered_by_us_and_other_leaves_by_unicorn():
    machine = X86Machine(x86.WHO)
    machine.run()
    assert machine.console == x86.VENDOR.decode()
    other = X86Machine("mov eax, 1; cpuid; hlt")
    other.run()
    assert other.registers["rdx"] != 0


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("mov rax, [0x9000]", "failed at 0x1000: Invalid memory read"),
        ("ud2", "failed at 0x1000: Invalid instruction"),
        ("jmp 0x9000", "failed at 0x9000: Invalid memory fetch"),
    ],
)
def test_x86_code_that_goes_astray_is_named(source, words):
    with pytest.raises(XenlabError, match=words):
        X86Machine(source).run()


def test_a_program_longer_than_a_page_is_refused():
    with pytest.raises(XenlabError, match=r"program\(=4097 bytes\) must fit into a page of 4096"):
        X86Machine(b"\x90" * 4097)


def test_every_way_comes_to_the_same_result():
    done = [way for way in ways(300) if not way.missing]
    assert len({way.result for way in done}) == 1
    assert len(done) >= 5
    if platform.machine() == "x86_64":
        assert native.collatz(300)() == done[0].result


# -- on the page


def test_a_story_tells_what_each_instruction_did():
    machine = Machine()
    machine.load(programs.SUM)
    told = list(steps(machine))
    assert told[-1].does == "the machine stops"
    assert told[4].does == "r2 = 0 + 1 = 1"
    assert told[5].does == "1 < 10? Yes: go on at 0x003"
    assert len(told) == machine.cpu.retired + 1


@given(st.lists(st.integers(0, 0xFFFFFFFF), min_size=1, max_size=12))
def test_a_story_can_be_told_of_any_words(words):
    machine = Machine(64)
    for place, word in enumerate(words):
        machine.cpu.memory[place] = word
    machine.cpu.special[1] = 60
    machine.cpu.memory[60] = encode("halt")
    assert all(step.does for step in steps(machine, 30))


def test_a_translated_story_adds_up():
    machine = Machine()
    machine.load(programs.SUM)
    told = dispatches(machine)
    assert sum(each.ran for each in told) == told[-1].executed == machine.cpu.retired + 1
    assert told[-1].decoded == 10
    assert [each.known for each in told] == [False, False, *[True] * 8, False]
    chained = Machine()
    chained.load(programs.SUM)
    assert len(dispatches(chained, chained=True)) == 3


def test_the_widgets_say_what_the_machines_do():
    stepper = Stepper(programs.HELLO)
    assert stepper.steps[-1]["console"] == "Xen"
    assert "port 0x3f8 is told 88" in stepper.describe()
    assert "<code>in r3, 0x3fd</code>" in stepper.picture()
    real = X86Stepper(x86.WHO)
    assert real.steps[-1]["console"] == "XenlabNibble"
    assert "out port 0x3f8: 0x58" in real.describe()
    translating = Translating(programs.SUM, chained=True)
    assert "while done" in translating.picture()
    assert translating.steps[-1]["executed"] == 34


def test_the_figure_of_speeds_names_what_is_missing(capsys):
    from xenlab.emulation.speed import Speed

    show_speeds(
        [Speed("one", 1.5, 2e6, 3), Speed("two", 0.001, None, 3), Speed("three", missing="no such thing")]
    )
    said = capsys.readouterr().out
    assert "one: 1,500 ms; two: 1 ms" in said
    assert "three: not measured here. no such thing" in said
