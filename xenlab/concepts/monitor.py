"""A monitor that lets a guest run in user mode and does for it whatever traps; and how the guest fares on its own.

The guest believes that it is the supervisor of a machine. On the bare machine it is. Under the monitor it runs in user
mode, in a part of the memory; each privileged instruction traps, and the monitor does it to the *virtual* machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from xenlab.concepts.instructions import InstructionSet
from xenlab.concepts.machine import SIZE, USER, State, Trap

Program = Sequence[tuple[str, int]]
OFFSET = 4  # where the monitor puts the guest's memory
ROOM = SIZE - OFFSET


@dataclass(frozen=True)
class Step:
    """One instruction that was run, its operand, what the guest's machine was afterwards, and whether it trapped."""

    instruction: str
    operand: int
    machine: State
    trapped: bool


def bare(program: Program, instructions: InstructionSet) -> list[Step]:
    """Run a program as the supervisor of a machine of its own."""
    state, steps = State(bound=ROOM), []
    for name, operand in program:
        state = instructions[name].run(state, operand)
        steps.append(Step(name, operand, state, False))
    return steps


def monitored(program: Program, instructions: InstructionSet) -> list[Step]:
    """Run a program in user mode under a monitor; `machine` in each step is the virtual machine that the guest has.

    >>> from xenlab.concepts.instructions import GOOD, X86
    >>> quiet = [("interrupts", 0), ("add", 1)]
    >>> [step.trapped for step in monitored(quiet, GOOD)]
    [True, False]
    >>> same(bare(quiet, GOOD), monitored(quiet, GOOD))
    True
    >>> quiet = [("pop_flags", 1), ("add", 1)]
    >>> same(bare(quiet, X86), monitored(quiet, X86))
    False
    """
    real, virtual = State(mode=USER, base=OFFSET, bound=ROOM), State(bound=ROOM)
    steps = []
    for name, operand in program:
        trapped = False
        try:
            real = instructions[name].run(real, operand)
        except Trap:
            trapped = True
            # The monitor does to the virtual machine what the instruction does to a real one.
            virtual = instructions[name].run(_view(real, virtual), operand)
            real = replace(real, counter=virtual.counter, accumulator=virtual.accumulator)
        virtual = _view(real, virtual)
        steps.append(Step(name, operand, virtual, trapped))
    return steps


def same(one: Sequence[Step], other: Sequence[Step]) -> bool:
    """Is the guest's machine the same after every step? This is the property of *equivalence*."""
    return first_difference(one, other) is None


def first_difference(one: Sequence[Step], other: Sequence[Step]) -> int | None:
    """The number of the first step after which the two machines differ; None if they never do."""
    for number, (left, right) in enumerate(zip(one, other, strict=True)):
        if _visible(left.machine) != _visible(right.machine):
            return number
    return None


def _view(real: State, virtual: State) -> State:
    """The virtual machine, with what the guest has changed by itself."""
    memory = (*real.memory[OFFSET:], *virtual.memory[ROOM:])
    return replace(virtual, memory=memory, counter=real.counter, accumulator=real.accumulator)


def _visible(state: State) -> tuple[object, ...]:
    return (*state.seen(), state.mode, state.base, state.bound, state.interrupts)


#: An operating system's everyday work: keep interrupts out, do something, let them in again.
GUEST: Program = (("interrupts", 0), ("store", 5), ("add", 5), ("interrupts", 1), ("store", 6))
#: The same as a kernel for the x86 would write it.
X86_GUEST: Program = (
    ("interrupts", 1),
    ("store", 5),
    ("pop_flags", 5),
    ("add", 5),
    ("read_mode", 0),
    ("store", 6),
)
