"""The forms of virtualization as the slides draw them: who stands on whom, and which layer virtualizes.

The slides' letters: VG *virtual guest*, HV *hardware virtual*, MMV *monitor de máquina virtual*, HOS *host operating
system*, HF *hardware físico*. Chapters 03 to 08 each take up one of the forms.
"""

from __future__ import annotations

from dataclasses import dataclass

from xenlab.commands import XenlabError
from xenlab.ui.stack import Layer, stack


@dataclass(frozen=True)
class Part:
    """A layer's letters on the slides, its name in English and in Portuguese, and what it does."""

    letters: str
    english: str
    portuguese: str
    does: str


PARTS = {
    part.letters: part
    for part in (
        Part(
            "VG",
            "virtual guest",
            "visitante virtual (virtual guest)",
            "what runs inside: a system or a program",
        ),
        Part("HV", "virtual hardware", "hardware virtual", "a machine made of software"),
        Part(
            "MMV", "hypervisor", "monitor de máquina virtual", "shares the machine out and keeps guests apart"
        ),
        Part(
            "HOS",
            "host operating system",
            "sistema operacional hospedeiro",
            "an ordinary system below or beside it",
        ),
        Part("HF", "physical hardware", "hardware físico", "processors, memory and devices"),
    )
}


@dataclass(frozen=True)
class Form:
    """One form of virtualization: its names, its layers from the top down, and how it works."""

    name: str
    portuguese: str
    rows: tuple[tuple[str, ...], ...]
    virtualizes: str  # the layer that does it
    how: str
    guest: str  # what may run in it
    examples: str
    chapter: str

    @property
    def svg(self) -> str:
        """The layers as a picture."""
        rows = [[Layer(text, text == self.virtualizes) for text in row] for row in self.rows]
        return stack(rows, f"{self.name}: {self.in_words}")

    @property
    def in_words(self) -> str:
        """The layers as a sentence, from the top down."""
        return " on ".join(" beside ".join(row) for row in self.rows)


FORMS = (
    Form(
        "Emulation",
        "Emulação",
        (("VG", "VG"), ("HV",), ("HOS",), ("HF",)),
        "HV",
        "A program imitates another machine, instruction by instruction. Guest and host may have different processors.",
        "any system, for any processor",
        "QEMU, Bochs",
        "03_emulation",
    ),
    Form(
        "Full virtualization",
        "Virtualização completa",
        (("VG", "VG"), ("MMV",), ("HOS",), ("HF",)),
        "MMV",
        "The guest's instructions run on the real processor; those that touch the machine itself trap, and the monitor "
        "does them.",
        "any unchanged system, for this processor",
        "VMware Workstation, VirtualBox, KVM",
        "04_full_virtualization",
    ),
    Form(
        "Paravirtualization",
        "Paravirtualização",
        (("VG", "VG"), ("MMV",), ("HF",)),
        "MMV",
        "The guest's kernel knows that it is a guest. Where it would touch the machine, it calls the hypervisor.",
        "a system whose kernel was changed",
        "Xen's PV guests",
        "05_paravirtualization",
    ),
    Form(
        "Operating-system level",
        "Virtualização a nível de sistema operacional",
        (("VG", "VG", "VG"), ("HOS",), ("HF",)),
        "HOS",
        "One kernel for all. It shows each group of processes its own files, processes and network.",
        "programs for this kernel",
        "jails, Zones, OpenVZ, Docker",
        "06_os_level",
    ),
    Form(
        "Library",
        "Virtualização de biblioteca",
        (("program",), ("library",), ("HOS",), ("HF",)),
        "library",
        "A library answers a program's calls in place of the one it was made for.",
        "programs for another library or system",
        "Wine, LD_PRELOAD",
        "07_library",
    ),
    Form(
        "Application",
        "Virtualização de aplicação",
        (("bytecode", "bytecode"), ("virtual machine",), ("HOS",), ("HF",)),
        "virtual machine",
        "A program runs code for a machine that exists nowhere else.",
        "programs compiled for that machine",
        "Java, CPython, WebAssembly",
        "08_application",
    ),
)


def form(name: str) -> Form:
    """The form with this English or Portuguese name, or whose name begins so; raises `XenlabError` if there is none.

    >>> form("Para").in_words
    'VG beside VG on MMV on HF'
    """
    for each in FORMS:
        if each.name.lower().startswith(name.lower()) or each.portuguese.lower().startswith(name.lower()):
            return each
    raise XenlabError(f"name(={name!r}) must be one of: {', '.join(each.name for each in FORMS)}")
