"""The small processor does what its table says, traps where it must, and translation changes nothing but the speed."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenlab.commands import XenlabError
from xenlab.emulation import programs
from xenlab.emulation.assembler import assemble
from xenlab.emulation.cpu import Cpu
from xenlab.emulation.isa import BY_NAME, INSTRUCTIONS, MASK, decode, disassemble, encode
from xenlab.emulation.machine import Machine
from xenlab.emulation.mmu import PAGE, PRESENT, USER, WRITABLE, Mmu, map_page
from xenlab.emulation.translator import Translator
from xenlab.emulation.traps import Cause, Trap

WORD = st.integers(0, MASK)
REGISTER = st.integers(0, 15)

#: The arithmetic again, written independently of the instruction table, on numbers as long as they like.
ARITHMETIC = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "shl": lambda a, b: a * 2 ** (b % 32),
    "shr": lambda a, b: a // 2 ** (b % 32),
}


def machine_with(source, *, translated=False, memory=1024):
    machine = Machine(memory)
    machine.load(source)
    if translated:
        machine.cpu.engine = Translator()
    return machine


@pytest.mark.parametrize("translated", [False, True])
@given(st.sampled_from(sorted(ARITHMETIC)), WORD, WORD)
def test_arithmetic_is_that_of_whole_numbers_cut_to_32_bits(translated, name, a, b):
    machine = machine_with(f"{name} r1, r2, r3\n halt", translated=translated)
    machine.cpu.r[2], machine.cpu.r[3] = a, b
    machine.run()
    assert machine.cpu.r[1] == ARITHMETIC[name](a, b) % 2**32


@pytest.mark.parametrize("translated", [False, True])
@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("li r1, -2", MASK - 1),
        ("li r2, 5\n addi r1, r2, -6", MASK),
        ("li r2, -1\n muli r1, r2, -3", 3),
        ("li r2, -1\n andi r1, r2, 0xff00", 0xFF00),
        ("ori r1, r2, 0x8000", 0x8000),
        ("li r2, -1\n xori r1, r2, 0xffff", 0xFFFF0000),
        ("li r2, 3\n shli r1, r2, 31", 1 << 31),
        ("li r2, -1\n shri r1, r2, 28", 15),
        ("li r2, 7\n li r3, 0x100\n sw r2, [r3-1]\n lw r1, [r3-1]", 7),
        ("jal r1, on\non: add r0, r0, r0", 1),
        ("li r2, 3\n jr r2\n halt\n li r1, 9", 9),
    ],
)
def test_the_other_instructions(translated, source, expected):
    machine = machine_with(source + "\n halt", translated=translated)
    machine.run()
    assert machine.cpu.r[1] == expected


@given(st.sampled_from(["beq", "bne", "blt", "bge"]), WORD, WORD)
def test_branches_compare_without_signs(name, left, right):
    machine = machine_with(f"{name} r1, r2, far\n halt\nfar: li r3, 1\n halt")
    machine.cpu.r[1], machine.cpu.r[2] = left, right
    machine.run()
    wanted = {"beq": left == right, "bne": left != right, "blt": left < right, "bge": left >= right}[name]
    assert machine.cpu.r[3] == wanted


@given(st.sampled_from(sorted(BY_NAME)), REGISTER, REGISTER, st.integers(0, 0xFFFF))
def test_what_is_disassembled_assembles_to_the_same_instruction(name, d, a, i):
    word = encode(name, d, a, i)
    (again,) = assemble(disassemble(word)).words.values()
    assert disassemble(again) == disassemble(word)
    assert decode(word).instruction is BY_NAME[name]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("add r1, r2", r"line 1 \(add r1, r2\): add takes 3 operands \(d, a, b\), not 2"),
        ("fly r1", r"instruction\(='fly'\) must be one of: add, "),
        ("li r16, 1", r"register\(='r16'\) must be r0 to r15"),
        ("jmp nowhere", r"number\(='nowhere'\) must be a number, a character or a label"),
        ("lw r1, r2", r"place\(='r2'\) must be written as \[r2\] or \[r2\+8\]"),
        ("li r1, 70000", r"number\(=70000\) must be between -32768 and 65535"),
        ("a: a: halt", r"label\(='a'\) must be new"),
        ("rdsr r1, cr3", r"special register\(='cr3'\) must be one of: status, "),
        (".ascii hello", r"text\(=hello\) must stand in quotes"),
    ],
)
def test_a_mistake_in_a_program_is_named_with_its_line(line, words):
    with pytest.raises(XenlabError, match=words):
        assemble(line)


def test_directives_place_words_and_comments_may_hold_anything():
    program = assemble(
        """
        .equ SEVEN, 7
        .org 0x10
table:  .word SEVEN, 'a', table+1  ; 'one', "two"; three
        .ascii ";x"
        .space 2
end:    halt
        """
    )
    assert program.words == {
        16: 7, 17: 97, 18: 17, 19: ord(";"), 20: ord("x"), 21: 0, 22: 0, 23: 0, 24: 0xF0 << 24
    }  # fmt: skip
    assert program.labels["end"] == 24
    assert program.label_at(16) == "table"


# -- modes, traps, the timer

HANDLER = """
        li r1, handler
        wrsr tvec, r1
        {setup}
        li r1, user
        wrsr epc, r1
        li r1, {status}
        wrsr status, r1
        rett
user:   {user}
handler: rdsr r10, cause
        rdsr r11, epc
        rdsr r12, tval
        rdsr r13, status
        halt
"""


def trapped(user, setup="", status=2):
    machine = machine_with(HANDLER.format(user=user, setup=setup, status=status))
    assert machine.run(1000).cause == Cause.HALT
    return machine, assemble(HANDLER.format(user=user, setup=setup, status=status)).labels["user"]


@pytest.mark.parametrize("name", [each.name for each in INSTRUCTIONS.values() if each.privileged])
def test_every_privileged_instruction_traps_in_user_mode(name):
    operands = {"in": "r1, 0", "out": "0, r1", "rdsr": "r1, epc", "wrsr": "epc, r1"}.get(name, "")
    machine, user = trapped(f"{name} {operands}")
    assert machine.cpu.r[10:14] == [Cause.PRIVILEGED, user, machine.cpu.memory[user], 2]


def test_a_system_call_returns_behind_itself_and_a_fault_to_itself():
    machine, user = trapped("syscall")
    assert machine.cpu.r[10:12] == [Cause.SYSCALL, user + 1]
    machine, user = trapped("li r2, 0x4000\n lw r1, [r2]")
    assert machine.cpu.r[10:13] == [Cause.LOAD, user + 1, 0x4000]
    machine, user = trapped("li r2, 0x4000\n sw r1, [r2]")
    assert machine.cpu.r[10:13] == [Cause.STORE, user + 1, 0x4000]
    machine, user = trapped("jmp 0x4000")
    assert machine.cpu.r[10:13] == [Cause.FETCH, 0x4000, 0x4000]
    machine, user = trapped(".word 0x99000000")
    assert machine.cpu.r[10:13] == [Cause.ILLEGAL, user, 0x99000000]


@given(st.integers(1, 30), st.booleans())
def test_the_timer_comes_after_exactly_as_many_instructions(after, translated):
    source = f"li r1, on\n wrsr tvec, r1\n li r1, {after}\n li r3, 1\n wrsr timer, r1\n wrsr status, r3\n"
    machine = machine_with(source + "go: addi r2, r2, 1\n jmp go\non: halt", translated=translated)
    machine.run()
    # The first of them is the one that lets interrupts in; the others go round the loop of two.
    assert machine.cpu.r[2] == after // 2
    assert machine.cpu.retired == 5 + after


def test_an_interrupt_waits_until_it_is_let_in():
    source = "li r1, on\n wrsr tvec, r1\n li r1, 1\n wrsr timer, r1\n addi r2, r2, 1\n addi r2, r2, 1\n"
    machine = machine_with(source + "wrsr status, r1\n addi r2, r2, 1\non: halt")
    machine.run()
    assert machine.cpu.r[2] == 2


def test_a_trap_before_the_handlers_first_instruction_stops_the_machine():
    machine = machine_with("li r1, 0x4000\n wrsr tvec, r1\n syscall")
    assert machine.run().cause == Cause.DOUBLE


def test_a_leaky_processor_is_silent_about_status_in_user_mode_only():
    machine = Machine(1024, leaky=True)
    machine.load(
        HANDLER.format(user="li r1, 1\n wrsr status, r1\n rdsr r5, status\n rdsr r6, epc", setup="", status=2)
    )
    machine.run()
    assert machine.cpu.r[5] == 1  # interrupts are let in: `rett` did that, not the program
    assert machine.cpu.r[10] == Cause.PRIVILEGED  # but epc is still out of reach


# -- page tables


def paged(levels=2, entry_flags=PRESENT | WRITABLE | USER):
    memory, free = [0] * 4096, list(range(40, 20, -1))
    map_page(memory, 2, 0x120, 0x70 << 4 | entry_flags, levels, free)
    mmu = Mmu(memory, levels)
    mmu.root = 2
    return mmu


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
def test_a_walk_takes_one_reference_a_level(levels):
    mmu = paged(levels)
    address = 0x120 if levels > 1 else 0x20
    if levels == 1:
        map_page(mmu.memory, 2, 0x20, 0x70 << 4 | PRESENT, 1, [])
    assert mmu.page(address + 5, Cause.LOAD, supervisor=True) == 0x700
    assert mmu.references == levels


@pytest.mark.parametrize(
    ("flags", "cause", "supervisor", "allowed"),
    [
        (PRESENT, Cause.LOAD, True, True),
        (PRESENT, Cause.LOAD, False, False),
        (PRESENT | USER, Cause.FETCH, False, True),
        (PRESENT | USER, Cause.STORE, False, False),
        (PRESENT, Cause.STORE, True, False),
        (PRESENT | WRITABLE, Cause.STORE, True, True),
        (WRITABLE | USER, Cause.LOAD, True, False),
    ],
)
def test_an_entry_says_who_may_do_what(flags, cause, supervisor, allowed):
    mmu = paged(entry_flags=flags)
    if allowed:
        assert mmu.page(0x12F, cause, supervisor) == 0x700
        return
    with pytest.raises(Trap) as caught:
        mmu.page(0x12F, cause, supervisor)
    assert (caught.value.cause, caught.value.value) == (cause, 0x12F)


@pytest.mark.parametrize(("guest", "host"), [(1, 1), (2, 2), (3, 4), (4, 3), (4, 4)])
def test_a_nested_walk_takes_n_plus_m_plus_n_times_m_references(guest, host):
    memory, free = [0] * 65536, list(range(0xFF0, 0x800, -1))
    guest_free, address = list(range(0x20, 0x10, -1)), 0x120 if guest > 1 else 0x20

    class Guest:  # the guest's memory lies 0x100 frames further up
        def __getitem__(self, place):
            return memory[place + 0x1000]

        def __setitem__(self, place, word):
            memory[place + 0x1000] = word

        def __len__(self):
            return 0x400

    map_page(Guest(), 2, address, 0x30 << 4 | PRESENT, guest, guest_free)
    for frame in range(0x40 if host > 1 else 16):
        if host > 1 or frame < 16:
            map_page(memory, 0xFFF, frame << 4, (frame + 0x100) << 4 | PRESENT, host, free)
    if host == 1:
        memory[0xFFF << 4 | 3] = 0x130 << 4 | PRESENT  # a table of one level reaches no further than frame 15
        map_page(Guest(), 2, address, 3 << 4 | PRESENT, guest, guest_free)
    mmu = Mmu(memory, guest, host)
    mmu.root, mmu.nested_root = 2, 0xFFF
    assert mmu.page(address, Cause.LOAD, supervisor=True) == 0x1300
    assert mmu.references == guest + host + guest * host


# -- translation


def same_state(one: Cpu, other: Cpu):
    return (one.r, one.pc, one.retired, one.special, one.supervisor, one.memory) == (
        other.r, other.pc, other.retired, other.special, other.supervisor, other.memory
    )  # fmt: skip


PLAIN = [each for each in INSTRUCTIONS.values() if not each.system]


def random_program(seed: int) -> list[int]:
    """Words that jump about within the first pages, read and write there, and now and then are no instructions."""
    draw = random.Random(seed)
    words = []
    for _ in range(60):
        each = draw.choice(PLAIN)
        if draw.random() < 0.05:
            words.append(draw.choice([encode("syscall"), 0, encode("rdsr", draw.randrange(8), 0, 2)]))
        elif each.jumps or "[" in each.operands:
            words.append(encode(each.name, draw.randrange(8), draw.randrange(8), draw.randrange(80)))
        else:
            words.append(encode(each.name, draw.randrange(8), draw.randrange(8), draw.randrange(0x10000)))
    return words


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10**9), st.booleans(), st.integers(1, 300))
def test_the_translator_does_what_the_interpreter_does(seed, chained, limit):
    # Such programs write over themselves, run into empty memory and off its end: every trap must be precise.
    machines = []
    for engine in (None, Translator(chained=chained)):
        machine = Machine(512)
        for place, word in enumerate(random_program(seed)):
            machine.cpu.memory[place] = word
        machine.cpu.memory[200] = encode("addi", 9, 9, 1)
        machine.cpu.memory[201] = encode("rett")
        machine.cpu.special[1] = 200
        machine.cpu.special[6] = limit // 3
        machine.cpu.special[0] = 1
        if engine is not None:
            machine.cpu.engine = engine
        machine.cpu.run(limit)
        machines.append(machine.cpu)
    assert same_state(*machines)


@pytest.mark.parametrize("name", ["HELLO", "SUM", "SIEVE", "COLLATZ"])
@pytest.mark.parametrize("chained", [False, True])
def test_the_books_programs_translate_to_the_same_results(name, chained):
    source = getattr(programs, name)
    plain, translated = machine_with(source, memory=8192), machine_with(source, memory=8192)
    translated.cpu.engine = engine = Translator(chained=chained)
    for machine in (plain, translated):
        machine.run(2_000_000)
    assert same_state(plain.cpu, translated.cpu)
    assert plain.console == translated.console
    assert engine.misses == len(engine.cache)


def test_the_books_programs_are_right():
    sieve, longest = machine_with(programs.SIEVE, memory=8192), machine_with(programs.COLLATZ, memory=8192)
    sieve.run()
    assert sieve.cpu.r[5] == sum(all(n % k for k in range(2, n)) for n in range(2, 3000))
    longest.run(2_000_000)

    def steps(n):
        count = 0
        while n != 1:
            n = 3 * n + 1 if n % 2 else n // 2
            count += 1
        return count

    assert longest.cpu.r[6] == max(steps(n) for n in range(2, 2000))


def test_code_that_was_written_over_is_translated_anew():
    source = """
start:  li   r3, 2
loop:   addi r2, r2, 1      ; becomes addi r2, r2, 16
        lw   r4, [r0+other]
        sw   r4, [r0+loop]
        addi r3, r3, -1
        bne  r3, r0, loop
        halt
        .org 0x40
other:  addi r2, r2, 16
"""
    machine = machine_with(source, translated=True)
    machine.run()
    assert machine.cpu.r[2] == 17


def test_a_loop_becomes_a_loop_of_the_hosts_and_is_found_again():
    machine = machine_with(programs.SUM)
    machine.cpu.engine = engine = Translator()
    machine.cpu.memory[7] = 1000
    machine.run()
    assert machine.cpu.r[2] == 500500
    assert engine.misses <= 4
    assert any("continue" in each.source for each in engine.cache.values())
    assert all(frozenset({each.start}) <= each.addresses for each in engine.cache.values())
    assert PAGE == 16


def test_code_that_is_written_over_under_a_page_table_is_translated_anew():
    # The store changes the instruction right behind it, in the block that is running.
    source = """
        li   r1, 0x1f
        wrsr ptbr, r1
        jmp  go
        .org 0x10
go:     lw   r4, [r0+0x25]
        sw   r4, [r0+next]
next:   addi r2, r2, 1      ; becomes addi r2, r2, 16
        halt
        .org 0x25
        addi r2, r2, 16
"""
    machine = machine_with(source, translated=True)
    for digit in range(3):
        machine.cpu.memory[0x1E0 + digit] = digit << 4 | PRESENT | WRITABLE
    machine.cpu.memory[0x1F0] = 0x1E << 4 | PRESENT
    machine.run()
    assert machine.cpu.r[2] == 16
