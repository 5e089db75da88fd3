"""The small processor: interpreted, translated, and beside what a real processor does with the same work."""

from __future__ import annotations

from collections import defaultdict

from bench.row import Row, seconds
from xenlab.emulation import programs
from xenlab.emulation.machine import Machine
from xenlab.emulation.speed import ways
from xenlab.emulation.translator import Translator
from xenlab.fullvirt.assisted import Assisted
from xenlab.fullvirt.guestos import MEMORY, image
from xenlab.fullvirt.trapping import TrapAndEmulate

RUNS = 5


def sieve(translated: bool) -> float:
    """Instructions a second of the sieve, which reads and writes memory."""
    machine = Machine(65536)
    machine.load(programs.SIEVE.replace("3000", "30000"))
    if translated:
        machine.cpu.engine = Translator()
    (took,) = seconds(lambda: machine.run(10**7), 1)
    return machine.cpu.retired / took


def rows() -> list[Row]:
    """Instructions a second, the translator's gain, and what the same work costs in other ways."""
    times: defaultdict[str, list[float]] = defaultdict(list)
    rates: defaultdict[str, list[float]] = defaultdict(list)
    for _ in range(RUNS):
        for way in ways(3000):
            if not way.missing:
                times[way.name].append(way.seconds)
            if way.rate:
                rates[way.name].append(way.rate / 1e6)
    interpreted, by_block, chained = rates.values()
    result = [
        Row("Nib, interpreted (Collatz)", tuple(interpreted), "M instructions/s", 1, at_least=True),
        Row("Nib, translated block by block", tuple(by_block), "M instructions/s", None),
        Row("Nib, translated, blocks chained", tuple(chained), "M instructions/s", None),
        Row(
            "translator against interpreter (Collatz)",
            tuple(fast / slow for fast, slow in zip(chained, interpreted, strict=True)),
            "×",
            5,
            at_least=True,
        ),
        Row(
            "translator against interpreter (sieve)",
            tuple(sieve(True) / sieve(False) for _ in range(RUNS)),
            "×",
            5,
            at_least=True,
        ),
    ]
    result += [Row(f"Collatz to 3,000: {name}", tuple(took), "s", None) for name, took in times.items()]
    return result + _monitors()


def _monitors() -> list[Row]:
    """How long the guest's whole life takes, bare and under monitors, and how often they are called."""

    def bare() -> None:
        machine = Machine(MEMORY)
        machine.load(image())
        machine.run()

    made = []
    for name, kind in (("trap and emulate", TrapAndEmulate), ("hardware-assisted", Assisted)):

        def under(kind: type[TrapAndEmulate] | type[Assisted] = kind) -> int:
            monitor = kind()
            monitor.load(image())
            monitor.run()
            return sum(monitor.exits.values())

        made.append(Row(f"the guest system, {name}: exits", (under(),), "", None))
        made.append(Row(f"the guest system, {name}", seconds(under, RUNS), "s", None))
    return [Row("the guest system on a bare machine", seconds(bare, RUNS), "s", None), *made]
