"""Instructions for the formal machine: harmless ones, ones that trap, and the kinds that made trouble in real machines.

The troublemakers are modelled on real ones: SMSW and POPF of the x86 (Robin and Irvine, USENIX Security 2000), LRA of
the System/360-67 and JRST 1 of the PDP-10 (both Popek and Goldberg, CACM 1974).
"""

from __future__ import annotations

from dataclasses import replace

from xenlab.commands import XenlabError
from xenlab.concepts.machine import SUPERVISOR, USER, Instruction, State

InstructionSet = dict[str, Instruction]


def _add(state: State, a: int) -> State:
    return replace(state, accumulator=state.accumulator + state.load(a))


def _store(state: State, a: int) -> State:
    return state.store(a, state.accumulator)


def _jump(state: State, a: int) -> State:
    return replace(state, counter=a)


def _set_bounds(state: State, a: int) -> State:
    return replace(state, base=state.load(a), bound=state.load(a + 1))


def _user_mode(state: State, a: int) -> State:
    return replace(state, mode=USER, counter=a)


def _interrupts(state: State, on: int) -> State:
    return replace(state, interrupts=bool(on % 2))


def _pop_flags(state: State, a: int) -> State:
    flags = state.load(a)
    if state.mode == SUPERVISOR:
        return replace(state, interrupts=bool(flags % 2))
    return state  # a user program's wish is passed over without a word


def _read_mode(state: State, _: int) -> State:
    return replace(state, accumulator=int(state.mode == SUPERVISOR))


def _real_address(state: State, a: int) -> State:
    return replace(state, accumulator=state.address(a))


def _of(*instructions: Instruction) -> InstructionSet:
    return {each.name: each for each in instructions}


HARMLESS = _of(
    Instruction("add", "adds a word of memory to the accumulator", _add, like="ADD"),
    Instruction("store", "writes the accumulator to memory", _store, like="MOV"),
    Instruction("jump", "goes on at another address", _jump, like="JMP"),
)
#: A processor as Popek and Goldberg want it: whatever touches the machine itself traps.
GOOD = HARMLESS | _of(
    Instruction(
        "set_bounds", "loads the relocation register R", _set_bounds, traps=True, like="LCTL (System/370)"
    ),
    Instruction(
        "interrupts", "lets interrupts in, or keeps them out", _interrupts, traps=True, like="CLI, STI (x86)"
    ),
    Instruction("user_mode", "starts a user program", _user_mode, traps=True, like="LPSW (System/360)"),
)
#: The same with what the x86 of 2003 had in addition: instructions that touch the machine and do not trap.
X86 = GOOD | _of(
    Instruction(
        "pop_flags",
        "sets the interrupt flag from memory; a user's wish is ignored",
        _pop_flags,
        like="POPF (x86)",
    ),
    Instruction(
        "read_mode", "tells whether the processor is in supervisor mode", _read_mode, like="SMSW (x86)"
    ),
)
#: The same with two instructions that spoilt machines of their time.
OLD = GOOD | _of(
    Instruction(
        "real_address", "tells where in real memory an address lies", _real_address, like="LRA (360/67)"
    ),
    Instruction("return_to_user", "goes to user mode without trapping", _user_mode, like="JRST 1 (PDP-10)"),
)


def trapping(instructions: InstructionSet, *names: str) -> InstructionSet:
    """The same instruction set, but with `names` trapping in user mode: what VT-x did to the x86 in 2005.

    >>> trapping(X86, "pop_flags")["pop_flags"].traps
    True
    """
    if unknown := set(names) - set(instructions):
        raise XenlabError(f"names(={sorted(unknown)}) must be among: {', '.join(instructions)}")
    return instructions | {name: replace(instructions[name], traps=True) for name in names}
