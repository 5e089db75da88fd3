"""A kernel of a few lines is the ELF file that Xen's builder wants; mistakes in it are told before it is started."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenlab.commands import XenlabError
from xenlab.paravirt.driver import number, read, words
from xenlab.paravirt.hypercalls import NAMES, NUMBERS, in_words, number_of
from xenlab.paravirt.kernel import LOADED_AT, OS, VIRT_BASE, XEN_VERSION, Step, build, is_tiny, source
from xenlab.paravirt.kernel import read as read_elf
from xenlab.paravirt.policy import DOM0, Domain, Right, allowed

RING = Step("ring", "mov rax, cs")


def test_the_builder_finds_what_it_looks_for():
    image = read_elf(build([RING]))
    assert image.entry == LOADED_AT
    assert image.notes[XEN_VERSION] == b"xen-3.0\0"
    assert image.notes[OS] == b"xenlab-tiny\0"
    assert image.notes[VIRT_BASE] == bytes(8)
    ((address, code),) = image.segments
    assert address == LOADED_AT
    assert len(code) % 4096 == 0
    assert image.end == LOADED_AT + len(code)


def test_only_such_kernels_are_taken_for_such_kernels():
    assert is_tiny(build([RING]))
    assert not is_tiny(b"")
    assert not is_tiny(b"\x7fELF\x02\x01")
    assert not is_tiny(b"\x7fELF\x01\x01" + bytes(100))
    assert not is_tiny(build([RING]).replace(b"xenlab-tiny", b"another-one"))


@given(st.binary(max_size=300))
def test_no_file_whatsoever_makes_the_reader_fail(data):
    assert not is_tiny(b"\x7fELF\x02\x01" + data)


@pytest.mark.parametrize("name", ["", "two words", "a:b", "ring\n"])
def test_a_step_needs_a_name_that_can_be_printed(name):
    with pytest.raises(XenlabError, match="name"):
        Step(name, "nop")


def test_two_steps_of_one_name_are_refused():
    with pytest.raises(XenlabError, match="names of their own"):
        build([RING, RING])


def test_a_mistake_is_found_in_the_step_that_made_it():
    with pytest.raises(XenlabError, match="step wrong: the assembler says"):
        build([RING, Step("wrong", "mvo eax, 1")])
    with pytest.raises(XenlabError, match="step lost"):
        build([RING, Step("lost", "call nowhere")])


def test_steps_may_use_hypercalls_by_name_and_data_of_their_own():
    text = source([Step("version", "mov eax, xen_version\nlea rdi, [rip + mine]\nsyscall", "mine: .quad 0")])
    assert "mine: .quad 0" in text
    assert "{" not in text
    build([Step("version", "mov eax, xen_version\nlea rdi, [rip + mine]\nsyscall", "mine: .quad 0")])


def test_hypercalls_have_the_numbers_of_public_xen_h():
    assert (NUMBERS["mmu_update"], NUMBERS["multicall"], NUMBERS["iret"], NUMBERS["sched_op"]) == (
        1,
        13,
        23,
        29,
    )
    assert (NUMBERS["sysctl"], NUMBERS["domctl"], NUMBERS["hypfs_op"]) == (35, 36, 42)
    assert 11 not in NAMES
    assert len(NAMES) == len(NUMBERS)
    with pytest.raises(XenlabError, match="must be one of"):
        number_of("open")


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (0, "0"),
        (-1, "EPERM"),
        (2**64 - 16, "EBUSY"),
        (2**64 - 38, "ENOSYS"),
        (0x1000, "0x1000"),
        (2**63, hex(2**63)),
    ],
)
def test_results_are_told_by_name(result, said):
    assert in_words(result) == said


def test_answers_are_read_and_told():
    answers = read(
        "one 0000000000000001\r\nno ffffffffffffffff\r\ntext two words\r\nthat was all\n".replace("\r", "")
    )
    assert answers == {"one": "0" * 15 + "1", "no": "f" * 16, "text": "two words"}
    assert words(answers) == {"one": "1", "no": "EPERM", "text": "two words"}
    assert number(answers["one"]) == 1
    with pytest.raises(XenlabError, match="16 hexadecimal digits"):
        number(answers["text"])


# -- who may


@pytest.mark.parametrize("right", list(Right))
@pytest.mark.parametrize("target", [0, 1, 7, None])
def test_dom0_may_everything(right, target):
    assert allowed(right, DOM0, target)


@pytest.mark.parametrize(
    ("right", "may"),
    [
        (Right.EVERYBODY, {1, 5, 7}),
        (Right.ITSELF, {1, 5}),
        (Right.XENSTORE, {5}),
        (Right.DEVICE_MODEL, {5}),
        (Right.CONTROL, set()),
    ],
)
def test_a_guest_may_what_the_class_says(right, may):
    guest = Domain(1, emulates_for=5)
    assert {target for target in (1, 5, 7) if allowed(right, guest, target)} == may


def test_the_domain_of_xenstore_may_look_at_all_others():
    assert allowed(Right.XENSTORE, Domain(3, xenstore=True), 7)
    assert not allowed(Right.CONTROL, Domain(3, xenstore=True), 7)


def test_the_elf_header_says_where_its_program_headers_are():
    elf = build([RING])
    assert struct.unpack_from("<HHI", elf, 16) == (2, 62, 1)
    assert struct.unpack_from("<Q", elf, 32) == (64,)
