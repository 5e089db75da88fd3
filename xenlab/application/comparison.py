"""All six forms side by side: who virtualizes, who is called when, what keeps guests apart, and what was measured here.

Every figure is taken anew, by the chapters' own measurements; those that come from a model say so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xenlab.application import costs as application
from xenlab.commands import XenlabError
from xenlab.emulation import speed
from xenlab.library import costs as library
from xenlab.library.workshop import Workshop
from xenlab.oslevel.build import start_costs
from xenlab.paravirt.compare import compare as monitors
from xenlab.ui.costs import in_words


@dataclass(frozen=True)
class Row:
    """One form of virtualization.

    Attributes:
        form: Its name.
        virtual: What the guest gets that is not real.
        called: Who is called instead of the hardware or the system, and when.
        apart: What keeps guests apart.
        measured: What it cost here, in words.

    """

    form: str
    virtual: str
    called: str
    apart: str
    measured: str


def compare() -> tuple[Row, ...]:
    """Measure all forms, in the order of the chapters; what cannot be measured on this machine says why.

    >>> [row.form for row in compare()][:2]
    ['Emulation', 'Full virtualization']
    """
    exits = {outcome.name: outcome.total for outcome in monitors()}
    trapping, batched = exits["trap and emulate"], exits["hypercalls, in batches"]
    return (
        Row(
            "Emulation",
            "a whole machine, processor included",
            "the emulator, for every instruction",
            "the emulator does only what the guest's machine could",
            _or_why(_emulation),
        ),
        Row(
            "Full virtualization",
            "a machine with the same processor",
            "the monitor, when an instruction traps",
            "the processor's modes and page tables",
            f"simulated: {trapping} exits of the small guest by trapping, "
            f"{exits['hardware-assisted']} with the processor's help",
        ),
        Row(
            "Paravirtualization",
            "a machine that has hypercalls",
            "the hypervisor, when the guest's kernel asks",
            "the processor's modes; the hypervisor checks page tables",
            f"simulated: {batched} exits of the same guest, ported, its calls in batches",
        ),
        Row(
            "Operating-system level",
            "a system's names, numbers and shares",
            "the kernel, as for any process",
            "the kernel",
            _or_why(_os_level),
        ),
        Row(
            "Library",
            "the answers of a library",
            "another library, for the calls that it knows",
            "nothing",
            _or_why(_library),
        ),
        Row(
            "Application",
            "a machine for one kind of code",
            "the virtual machine, for every instruction, or once to translate it",
            "a verifier, and walls around its memory",
            _or_why(_application),
        ),
    )


def _or_why(measure: Callable[[], str]) -> str:
    try:
        return measure()
    except XenlabError as error:
        return f"not measured here: {error}"


def _emulation() -> str:
    ways = {way.name: way for way in speed.ways()}
    native = ways["x86 code, by the processor itself"]
    if native.missing:
        raise XenlabError(native.missing)
    interpreted, translated = (
        ways[name].seconds / native.seconds
        for name in ("Nib, interpreted", "x86 code, translated by unicorn")
    )
    return f"{interpreted:,.0f} times slower than the processor interpreted, {translated:,.0f} translated by unicorn"


def _os_level() -> str:
    costs = start_costs()
    if len(costs) < 2:
        raise XenlabError("the kernel refuses namespaces here")
    process, contained = (cost.nanoseconds for cost in costs)
    return f"{in_words(contained)} to start, against {in_words(process)} for a process; full speed"


def _library() -> str:
    with Workshop() as shop:
        _, passed_on, system_call, _ = (cost.nanoseconds for cost in library.measure(shop))
    return f"{in_words(passed_on)} a call, against {in_words(system_call)} for a system call"


def _application() -> str:
    costs = [cost.nanoseconds for cost in application.measure()]
    if len(costs) < 4:
        raise XenlabError("there is no C compiler to compare with")
    _, cpython, compiled, native = costs
    return f"{cpython / native:,.0f} times slower than C in CPython, {compiled / native:.1f} times in WebAssembly"
