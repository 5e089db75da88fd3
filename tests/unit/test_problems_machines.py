"""Exercises of chapters 03 and 04: hints know the usual mistakes."""

from xenlab.problems.emulation import CountDecodes
from xenlab.problems.fullvirt import HowManyReferences, TwoTables


def test_hints_know_the_usual_mistakes():
    tables = TwoTables.make(1)
    frame = dict(tables.guest)[tables.address >> 4]
    assert "One more table" in tables.check(frame << 4 | tables.address & 15).text
    assert tables.check(0).text.count("0x") >= 1
    walk = HowManyReferences.make(1)
    assert "Every step of the guest's walk" in walk.check(walk.levels + walk.nested).text
    decodes = CountDecodes.make(2)
    from xenlab.emulation.machine import Machine

    machine = Machine()
    machine.load(decodes.program)
    machine.run()
    assert "Each block is decoded once" in decodes.check(machine.cpu.retired + 1).text
