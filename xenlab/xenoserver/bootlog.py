"""Xen's own log, read: how the machine came up, from the hypervisor's first line to dom0's first instruction.

``xl dmesg`` prints it. Its lines come in the order of the work; a release build puts no times before them. `read` finds
the stage that each line belongs to, and the facts that the lines hold.

Source of the order: xen/arch/x86/setup.c (__start_xen) and xen/arch/x86/pv/dom0_build.c at RELEASE-4.17.7.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from xenlab.commands import XenlabError


@dataclass(frozen=True)
class Stage:
    """One stage of the start: its name, what Xen does in it, and how its lines begin (regular expressions)."""

    name: str
    does: str
    lines: tuple[str, ...]


STAGES = (
    Stage(
        "Xen arrives",
        "The boot loader has put three things into memory: Xen, dom0's kernel, and dom0's first files. It starts Xen, "
        "and nothing else.",
        ("Xen version", "Bootloader", "Command line", "parameter", "Xen image load base", "Latest ChangeSet"),
    ),
    Stage(
        "Memory is counted",
        "The firmware tells which memory there is. Xen moves itself to the top of it, out of "
        "everybody's way.",
        (
            "Video information",
            " No VGA",
            " VGA is",
            " VBE",
            "Disc information",
            " Found \\d",
            "Xen-e820",
            "EFI RAM",
            " \\[[0-9a-f]{16}",
            "New Xen image",
            "System RAM",
        ),
    ),
    Stage(
        "The board is read",
        "ACPI tables say which processors, interrupt controllers and timers the machine has. What memory is left "
        "becomes a heap, out of which domains will be made.",
        (
            "ACPI",
            "SRAT",
            "SMBIOS",
            "DMI",
            "NUMA",
            "No NUMA",
            "Domain heap",
            "Xen heap",
            "Using APIC",
            "IOAPIC",
            "Overriding APIC",
            "PCI",
            "Switched to APIC",
        ),
    ),
    Stage(
        "Guards go up",
        "Xen looks for the processor's known weaknesses, and decides what to do against them.",
        (
            "CPU Vendor",
            "CPU0",
            "Microcode",
            "No SSBD",
            "xstate",
            "Speculative",
            "  ?Hardware",
            "  Compiled-in",
            "  Xen settings",
            "  Support for",
            "  XPTI",
            "  PV L1TF",
            "  L1TF",
            "mce",
            "CPU0: ",
        ),
    ),
    Stage(
        "Time begins",
        "A scheduler is chosen, a clock found, interrupts are let in.",
        (
            "Using scheduler",
            "Initializing Credit",
            " load_",
            " runqueues",
            " cap ",
            "Platform timer",
            "Detected",
            "I/O virtuali[sz]ation",
            "Intel VT-d",
            "AMD-Vi",
            "Enabled directed EOI",
            "Enabling APIC",
            "ENABLING IO-APIC",
            " -> ",
            "TSC",
            "Allocated console",
        ),
    ),
    Stage(
        "Processors join",
        "Xen learns whether the processors can virtualize by themselves, and starts all of them.",
        (
            "HVM",
            "SVM",
            "VMX",
            " - ",
            "Brought up",
            "Scheduling granularity",
            "mtrr",
            "xenoprof",
            "mwait",
            "VPMU",
            "Running stub",
        ),
    ),
    Stage(
        "dom0 is built",
        "Xen makes the first domain by itself, as dom0's tools will make all others: memory, page tables, a start info "
        "page, a stack. It maps dom0's kernel where that wants to be.",
        (
            "d0 has",
            "\\*\\*\\* Building a",
            "\\*\\*\\* LOADING DOMAIN 0",
            "Dom0 has",
            " Xen  kernel",
            " Dom0 kernel",
            "ELF:",
            "PHYSICAL MEMORY",
            " Dom0 alloc",
            " Init. ramdisk",
            "VIRTUAL MEMORY",
            " Loaded kernel",
            " Phys-Mach",
            " Start info",
            " Xenstore ring",
            " Console ring",
            " Page tables",
            " Boot stack",
            " TOTAL",
            " ENTRY ADDRESS",
        ),
    ),
    Stage(
        "dom0 takes over",
        "Xen frees what it needed only to start, gives dom0 the serial line, and lets it run. From here on Xen acts "
        "only when somebody calls.",
        (
            "Initial low memory",
            "Scrubbing",
            "Std\\. Loglevel",
            "Guest Loglevel",
            "\\*\\*\\* Serial input",
            "Xen is relinquishing",
            "Freed",
            "\\.done",
        ),
    ),
)


@dataclass(frozen=True)
class Line:
    """One line of the log, without its ``(XEN)``, and the number of its stage."""

    text: str
    stage: int


@dataclass(frozen=True)
class Region:
    """A stretch of the machine's memory, from a first byte to the one behind the last, and what it holds."""

    start: int
    end: int
    what: str


@dataclass(frozen=True)
class Boot:
    """A start of Xen: the log's lines, and what they tell. What a log does not tell is None, or empty."""

    lines: tuple[Line, ...]
    version: str | None = None
    command_line: str | None = None
    memory_kb: int | None = None
    scheduler: str | None = None
    processors: int | None = None
    hvm: str | None = None
    nested_paging: bool = False
    dom0_vcpus: int | None = None
    dom0_entry: int | None = None
    regions: tuple[Region, ...] = field(default=())

    def stage(self, number: int) -> list[str]:
        """The lines of one stage."""
        return [line.text for line in self.lines if line.stage == number]


def read(log: str) -> Boot:
    """Read what ``xl dmesg`` printed; raises `XenlabError` if the log does not begin where Xen does.

    >>> boot = read("(XEN) Xen version 4.17.7 (…)\\n(XEN) Brought up 2 CPUs\\n(XEN) Dom0 has maximum 2 VCPUs\\n")
    >>> boot.version, boot.processors, boot.dom0_vcpus, [line.stage for line in boot.lines]
    ('4.17.7', 2, 2, [0, 5, 6])
    """
    texts = [_text(line) for line in log.splitlines() if line.startswith("(XEN)")]
    start = next((number for number, text in enumerate(texts) if text.startswith("Xen version")), None)
    if start is None:
        raise XenlabError(
            "the log must hold the line `Xen version …`: it is a ring, and old lines are lost; boot the host anew"
        )
    end = _last_line_of_boot(texts[start:]) + start
    texts = texts[start:end]
    return Boot(
        tuple(_staged(texts)),
        version=_find(texts, r"Xen version (\S+)"),
        command_line=_find(texts, r"Command line: (.*)"),
        memory_kb=_number(texts, r"System RAM: \d+MB \((\d+)kB\)"),
        scheduler=_find(texts, r"Using scheduler: (.*)"),
        processors=_number(texts, r"Brought up (\d+) CPUs"),
        hvm=_find(texts, r"HVM: (SVM|VMX) enabled"),
        nested_paging=_find(texts, r"HVM: (Hardware Assisted Paging)") is not None,
        dom0_vcpus=_number(texts, r"Dom0 has maximum (\d+) VCPUs"),
        dom0_entry=_number(texts, r"ENTRY ADDRESS: ([0-9a-f]+)", 16),
        regions=tuple(_regions(texts)),
    )


def _text(line: str) -> str:
    """A line without its tag, and without a time if it has one (``console_timestamps``)."""
    return re.sub(r"^\(XEN\) ?(\[[^\]]*\d[.:]\d[^\]]*\] )?", "", line)


def _last_line_of_boot(texts: Sequence[str]) -> int:
    """How many lines belong to the start: those up to the one by which Xen frees its own start-up code."""
    return next((number + 1 for number, text in enumerate(texts) if text.startswith("Freed")), len(texts))


def _staged(texts: Sequence[str]) -> Iterator[Line]:
    """Give each line its stage; one that is not known stays in the stage of the line before."""
    stage = 0
    for text in texts:
        known = [
            number for number, each in enumerate(STAGES) if any(re.match(line, text) for line in each.lines)
        ]
        stage = known[0] if known else stage
        yield Line(text, stage)


def _find(texts: Sequence[str], pattern: str) -> str | None:
    return next((found[1].strip() for text in texts if (found := re.search(pattern, text))), None)


def _number(texts: Sequence[str], pattern: str, base: int = 10) -> int | None:
    found = _find(texts, pattern)
    return None if found is None else int(found, base)


def _regions(texts: Sequence[str]) -> Iterator[Region]:
    """What lies where in the machine's memory, as far as the log says."""
    for text in texts:
        if found := re.match(r" \[([0-9a-f]{16}), ([0-9a-f]{16})\] \((.*)\)", text):
            yield Region(int(found[1], 16), int(found[2], 16) + 1, found[3])
        elif found := re.match(r"New Xen image base address: 0x([0-9a-f]+)", text):
            start = int(found[1], 16)
            yield Region(start + _XEN_OFFSET, start + _XEN_END, "Xen")
        elif found := re.match(r" (Dom0 alloc|Init. ramdisk)\.?: +([0-9a-f]+)->([0-9a-f]+)", text):
            what = "dom0's first piece" if found[1].startswith("Dom0") else "dom0's first files"
            yield Region(int(found[2], 16), int(found[3], 16), what)


#: Xen lies 2 MiB behind its base address (XEN_IMG_OFFSET), in pages of that size, two at most.
_XEN_OFFSET, _XEN_END = 2 << 20, 6 << 20
