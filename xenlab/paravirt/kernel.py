"""A PV guest's kernel of a few lines, for real Xen: assembled from text, packed as Xen's builder wants it.

A kernel is a row of steps. Each is a few lines of x86-64 assembler that leave a result in rax; the guest prints it with
the step's name on its console, goes on to the next step, and powers itself off after the last. `tiny.s` is all the
rest: it finds the console, prints, asks xenstore, and knows frames from addresses.

Xen's builder wants an ELF file with notes that say what the kernel expects: ``xen/include/public/elfnote.h``. Memory
begins at address 0, and page n of it lies at address 4096 n.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from xenlab.commands import XenlabError
from xenlab.paravirt.hypercalls import NUMBERS

#: Where the kernel is loaded, and entered.
LOADED_AT = 0x100000
PAGE = 4096
#: What the note GUEST_OS says; by it a simulated host knows a kernel of this kind.
GUEST_OS = "xenlab-tiny"
#: Numbers of the notes (XEN_ELFNOTE_*).
ENTRY, VIRT_BASE, PADDR_OFFSET, XEN_VERSION, OS, LOADER, PAE_MODE = 1, 3, 4, 5, 6, 8, 9


@dataclass(frozen=True)
class Step:
    """One thing that the guest tries.

    Args:
        name: What it is called on the console: letters, digits, ``-`` and ``_``.
        code: Assembler in Intel's syntax, its result in rax. Names of hypercalls stand for their numbers; from `tiny.s`
            it may use ``info``, ``page``, ``ask``, ``frame_of`` and ``entry_of``. Every register may be used.
        data: More assembler, for what the code reads and writes.
        text: Is rax the address of a text, and not a number?

    """

    name: str
    code: str
    data: str = ""
    text: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w-]+", self.name):
            raise XenlabError(f"name(={self.name!r}) must be letters, digits, '-' and '_'")


@dataclass(frozen=True)
class Image:
    """An ELF file as a builder sees it: where to begin, what to put where, and what its notes say."""

    entry: int
    segments: Sequence[tuple[int, bytes]]
    notes: Mapping[int, bytes]

    @property
    def end(self) -> int:
        """The first address behind it."""
        return max(address + len(data) for address, data in self.segments)


def source(steps: Iterable[Step]) -> str:
    """The whole kernel as text.

    >>> "mov rax, cs" in source([Step("ring", "mov rax, cs")])
    True
    """
    steps = list(steps)
    if len({step.name for step in steps}) < len(steps):
        raise XenlabError("steps must have names of their own, each another")
    code = "\n\n".join(_code(number, step) for number, step in enumerate(steps))
    names = "\n".join(f'name_{number}: .asciz "{step.name} "' for number, step in enumerate(steps))
    data = "\n.align 8\n".join([names, *(step.data.strip() for step in steps if step.data)])
    parts = {"{steps}": code, "{data}": data}
    return "\n".join(parts.get(line, line) for line in _frame().splitlines()) + "\n"


def build(steps: Iterable[Step]) -> bytes:
    """The kernel as an ELF file; raises `XenlabError` where the assembler does not understand a step.

    >>> build([Step("ring", "mov rax, cs")])[:4]
    b'\\x7fELF'
    >>> build([Step("ring", "mov rax, nowhere, cs")])
    Traceback (most recent call last):
    ...
    xenlab.commands.XenlabError: step ring: the assembler says: Invalid operand (KS_ERR_ASM_INVALIDOPERAND)
    """
    steps = tuple(steps)
    try:
        code = _assemble(source(steps))
    except XenlabError:
        for step in steps:
            _try(step)
        raise
    return _pack(code)


def read(elf: bytes) -> Image:
    """Read an ELF file as Xen's builder does; raises `XenlabError` if it is no 64-bit one with notes for Xen.

    >>> image = read(build([Step("ring", "mov rax, cs")]))
    >>> hex(image.entry), image.notes[OS]
    ('0x100000', b'xenlab-tiny\\x00')
    """
    if elf[:6] != b"\x7fELF\x02\x01":
        raise XenlabError("a kernel must be a 64-bit ELF file")
    at, _, _, _, size, count = struct.unpack_from("<QQIHHH", elf, 32)
    segments: list[tuple[int, bytes]] = []
    notes: dict[int, bytes] = {}
    for number in range(count):
        kind, _, offset, address, _, length, room = struct.unpack_from("<IIQQQQQ", elf, at + number * size)
        if kind == _LOAD:
            segments.append((address, elf[offset : offset + length].ljust(room, b"\0")))
        elif kind == _NOTE:
            notes |= _read_notes(elf[offset : offset + length])
    if ENTRY not in notes or not segments:
        raise XenlabError("a kernel must have something to load, and a note for Xen where it is entered")
    return Image(int.from_bytes(notes[ENTRY], "little"), tuple(segments), notes)


def is_tiny(data: bytes) -> bool:
    """Is this file a kernel that `build` made?"""
    try:
        return read(data).notes.get(OS) == GUEST_OS.encode() + b"\0"
    except (XenlabError, struct.error):
        return False


# -- assembling

_LOAD, _NOTE = 1, 4  # PT_LOAD, PT_NOTE


@lru_cache
def _frame() -> str:
    return resources.files("xenlab.paravirt").joinpath("tiny.s").read_text(encoding="utf-8")


def _code(number: int, step: Step) -> str:
    """A step's code, and around it: where to go on after a fault, and what to say."""
    return f"""# -- {step.name}
    lea rdi, [rip + name_{number}]
    lea rsi, [rip + after_{number}]
    call begin
{_indented(step.code)}
    call {"report_text" if step.text else "report"}
after_{number}:"""


def _indented(code: str) -> str:
    lines = [line.strip() for line in code.strip().splitlines()]
    return "\n".join(line if line.endswith(":") else f"    {line}" for line in lines)


def _assemble(text: str) -> bytes:
    from keystone import KS_ARCH_X86, KS_MODE_64, Ks, KsError

    numbers = "".join(f".set {name}, {number}\n" for name, number in NUMBERS.items())
    try:
        code, _ = Ks(KS_ARCH_X86, KS_MODE_64).asm(numbers + text, LOADED_AT, as_bytes=True)
    except KsError as error:
        raise XenlabError(f"the assembler says: {error}") from None
    return bytes(code)


def _try(step: Step) -> None:
    """Assemble a step by itself, to find out whether it is the one that cannot be."""
    labels = re.findall(r"^(\w+):", _frame(), re.MULTILINE)
    try:
        _assemble("\n".join([step.code, step.data, *(f"{label}: nop" for label in labels)]))
    except XenlabError as error:
        raise XenlabError(f"step {step.name}: {error}") from None


# -- the file

_EHDR, _PHDR = struct.Struct("<16sHHIQQQIHHHHHH"), struct.Struct("<IIQQQQQQ")


def _pack(code: bytes) -> bytes:
    """Put code into an ELF file of two segments: what to load, and the notes."""
    notes = b"".join(
        _note(kind, value)
        for kind, value in (
            (XEN_VERSION, b"xen-3.0\0"),
            (OS, GUEST_OS.encode() + b"\0"),
            (LOADER, b"generic\0"),
            (VIRT_BASE, bytes(8)),
            (PADDR_OFFSET, bytes(8)),
            (ENTRY, struct.pack("<Q", LOADED_AT)),
            (PAE_MODE, b"yes\0"),
        )
    )
    code += bytes(-len(code) % PAGE)
    magic = b"\x7fELF\x02\x01\x01"
    # an executable (2) for x86-64 (62); the program headers come next
    header = _EHDR.pack(magic, 2, 62, 1, LOADED_AT, _EHDR.size, 0, 0, _EHDR.size, _PHDR.size, 2, 64, 0, 0)
    at = _EHDR.size + 2 * _PHDR.size
    header += _PHDR.pack(_LOAD, 7, PAGE, LOADED_AT, LOADED_AT, len(code), len(code), PAGE)
    header += _PHDR.pack(_NOTE, 4, at, 0, 0, len(notes), len(notes), 4)
    return (header + notes).ljust(PAGE, b"\0") + code


def _note(kind: int, value: bytes) -> bytes:
    return struct.pack("<III", 4, len(value), kind) + b"Xen\0" + value + bytes(-len(value) % 4)


def _read_notes(data: bytes) -> dict[int, bytes]:
    notes, at = {}, 0
    while at + 12 <= len(data):
        name, length, kind = struct.unpack_from("<III", data, at)
        start = at + 12 + (name + 3) // 4 * 4
        if data[at + 12 : at + 12 + name] == b"Xen\0":
            notes[kind] = data[start : start + length]
        at = start + (length + 3) // 4 * 4
    return notes
