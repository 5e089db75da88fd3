"""A computer small enough to prove things about: memory, a mode, a program counter, and a relocation register.

It is the machine ``S = (E, M, P, R)`` of Popek and Goldberg (CACM 1974, section 2): memory `E` of `SIZE` words, mode
`M` (supervisor or user), program counter `P`, and `R = (l, b)`: a program's address a means word l + a, and must be
less than b. Two things are added so that it can do a little work: an accumulator, and the flag that lets interrupts in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

SIZE = 16
SUPERVISOR, USER = "s", "u"


class Trap(Exception):
    """The processor gives up on an instruction and calls the supervisor; `kind` is ``memory`` or ``privileged``."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(frozen=True)
class State:
    """All that the machine is at one moment."""

    memory: tuple[int, ...] = (0,) * SIZE
    mode: str = SUPERVISOR
    counter: int = 0
    base: int = 0
    bound: int = SIZE
    accumulator: int = 0
    interrupts: bool = True

    def address(self, a: int) -> int:
        """The word that address `a` of the running program means; raises `Trap` if it lies outside its bounds.

        >>> State(base=4, bound=3).address(2)
        6
        """
        if not (0 <= a < self.bound and self.base + a < SIZE):
            raise Trap("memory")
        return self.base + a

    def load(self, a: int) -> int:
        """The word at the program's address `a`."""
        return self.memory[self.address(a)]

    def store(self, a: int, value: int) -> State:
        """The state after `value` was written to the program's address `a`."""
        at = self.address(a)
        return replace(self, memory=(*self.memory[:at], value, *self.memory[at + 1 :]))

    def seen(self) -> tuple[tuple[int, ...], int, int]:
        """What the running program can see: the memory within its bounds, its counter, the accumulator."""
        return self.memory[self.base : self.base + self.bound], self.counter, self.accumulator


@dataclass(frozen=True)
class Instruction:
    """What one instruction does to the machine, and whether it traps when a user program tries it.

    `effect` takes the state, with the counter already at the next instruction, and the operand; it returns the new
    state, or raises `Trap`.
    """

    name: str
    what: str
    effect: Callable[[State, int], State]
    traps: bool = False
    like: str = ""  # a real instruction that behaves so

    def run(self, state: State, operand: int) -> State:
        """The state after this instruction; raises `Trap` where the processor would trap."""
        if self.traps and state.mode == USER:
            raise Trap("privileged")
        return self.effect(replace(state, counter=state.counter + 1), operand)
