"""Sorting instructions as Popek and Goldberg do, and deciding their theorems for a whole instruction set.

An instruction is *sensitive* if there is a state that shows it. So a state is looked for, among many drawn at random
from a fixed seed, and kept as the witness. That an instruction is innocuous means that no witness was found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from random import Random

from xenlab.concepts.instructions import InstructionSet
from xenlab.concepts.machine import SIZE, SUPERVISOR, USER, Instruction, State, Trap

STATES = 400  # how many states are tried


@dataclass(frozen=True)
class Class:
    """What an instruction is: each sensitivity with the state that shows it, None where none was found."""

    privileged: bool
    control: State | None  # it changed the mode, R or the interrupt flag
    location: State | None  # its result depends on where the program lies
    mode: State | None  # its result depends on the mode
    user_sensitive: bool  # sensitive in a state of user mode

    @property
    def sensitive(self) -> bool:
        """Control- or behaviour-sensitive."""
        return any(witness is not None for witness in (self.control, self.location, self.mode))

    @property
    def words(self) -> str:
        """The class in the paper's words."""
        kinds = [
            name
            for name, witness in (
                ("control-sensitive", self.control),
                ("location-sensitive", self.location),
                ("mode-sensitive", self.mode),
            )
            if witness is not None
        ]
        return ", ".join([*(["privileged"] if self.privileged else []), *(kinds or ["innocuous"])])


@cache
def classify(instruction: Instruction) -> Class:
    """Sort an instruction (CACM 1974, section 3).

    >>> from xenlab.concepts.instructions import X86
    >>> classify(X86["add"]).words, classify(X86["pop_flags"]).words, classify(X86["set_bounds"]).words
    ('innocuous', 'control-sensitive, mode-sensitive', 'privileged, control-sensitive')
    """
    tried = _states()
    control = _first(tried, lambda state, a: _changes_resources(instruction, state, a))
    by_user = any(state.mode == USER and _changes_resources(instruction, state, a) for state, a in tried)
    location = _first(tried, lambda state, a: _differs(instruction, state, _moved(state), a))
    other_mode = _first(tried, lambda state, a: _differs(instruction, state, _other_mode(state), a))
    return Class(instruction.traps, control, location, other_mode, by_user or bool(location or other_mode))


@dataclass(frozen=True)
class Verdict:
    """Whether a monitor can be built by trapping, and the instructions that stand against it."""

    classes: dict[str, Class]

    @property
    def offenders(self) -> tuple[str, ...]:
        """The sensitive instructions that are not privileged."""
        return tuple(name for name, each in self.classes.items() if each.sensitive and not each.privileged)

    @property
    def virtualizable(self) -> bool:
        """Theorem 1: a monitor may be constructed if every sensitive instruction is privileged."""
        return not self.offenders

    @property
    def hybrid(self) -> bool:
        """Theorem 3: a hybrid monitor, which interprets all supervisor code, needs it of user-sensitive ones only."""
        return not any(each.user_sensitive and not each.privileged for each in self.classes.values())


def decide(instructions: InstructionSet) -> Verdict:
    """Decide theorems 1 and 3 for an instruction set.

    >>> from xenlab.concepts.instructions import GOOD, X86, trapping
    >>> decide(GOOD).virtualizable, decide(X86).offenders
    (True, ('pop_flags', 'read_mode'))
    >>> decide(trapping(X86, "pop_flags", "read_mode")).virtualizable
    True
    """
    return Verdict({name: classify(each) for name, each in instructions.items()})


# -- states, and what an instruction makes of them


@cache
def _states() -> tuple[tuple[State, int], ...]:
    return tuple(_drawn(Random(f"1974 {number}")) for number in range(STATES))


def _drawn(random: Random) -> tuple[State, int]:
    base, bound = random.randrange(SIZE // 2), random.randint(4, SIZE // 2)
    return (
        State(
            tuple(random.randrange(SIZE) for _ in range(SIZE)),
            random.choice((SUPERVISOR, USER)),
            random.randrange(bound),
            base,
            bound,
            random.randrange(SIZE),
            random.random() < 0.5,
        ),
        random.randrange(bound - 1),
    )


def _first(tried: Sequence[tuple[State, int]], shows: Callable[[State, int], bool]) -> State | None:
    return next((state for state, a in tried if shows(state, a)), None)


def _result(instruction: Instruction, state: State, a: int) -> State | None:
    """The state after the instruction, without its right to trap: what it *would* do; None for a memory trap."""
    try:
        return replace(instruction, traps=False).run(state, a)
    except Trap:
        return None


def _changes_resources(instruction: Instruction, state: State, a: int) -> bool:
    after = _result(instruction, state, a)
    resources = (state.mode, state.base, state.bound, state.interrupts)
    return after is not None and (after.mode, after.base, after.bound, after.interrupts) != resources


def _differs(instruction: Instruction, one: State, other: State, a: int) -> bool:
    """Does a program see another result in the one state than in the other, which it cannot tell apart?"""
    if instruction.traps:
        return False  # what traps is never seen: the supervisor decides
    left, right = _result(instruction, one, a), _result(instruction, other, a)
    if left is None or right is None:
        return False
    same_place = (left.base, left.bound) == (one.base, one.bound)
    flags = left.interrupts == right.interrupts
    return same_place and (left.seen() != right.seen() or not flags)


def _moved(state: State) -> State:
    """The same program with the same memory, one word further up."""
    at, end = state.base, state.base + state.bound
    inside = state.memory[at:end]
    memory = list(state.memory)
    memory[at + 1 : end + 1] = inside
    return replace(state, memory=tuple(memory[:SIZE]), base=at + 1)


def _other_mode(state: State) -> State:
    return replace(state, mode=USER if state.mode == SUPERVISOR else SUPERVISOR)
