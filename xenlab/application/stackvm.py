"""A machine that exists nowhere: a stack, some variables, and a dozen instructions, as the JVM and CPython have them.

Nothing in it names a processor, an address, or a register. That is what makes its programs portable, and what lets them
be checked before they run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from xenlab.commands import XenlabError

#: Numbers wrap around at 64 bits, as in Java's `long` and in WebAssembly's `i64`.
BITS = 64


class Rejected(XenlabError):
    """Code that the verifier does not let in."""


class OutOfFuel(XenlabError):
    """A program that has used up the instructions it was given."""


@dataclass(frozen=True)
class Instruction:
    """One instruction: its name, and a number, a variable or a place in the code where it needs one."""

    name: str
    operand: int | str | None = None

    def __str__(self) -> str:
        return self.name if self.operand is None else f"{self.name} {self.operand}"


Code = tuple[Instruction, ...]


def wrapped(value: int) -> int:
    """A number as 64 bits hold it, with its sign.

    >>> wrapped(2**63)
    -9223372036854775808
    """
    return (value + (1 << (BITS - 1))) % (1 << BITS) - (1 << (BITS - 1))


BINARY: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, b: wrapped(a + b),
    "sub": lambda a, b: wrapped(a - b),
    "mul": lambda a, b: wrapped(a * b),
    "less": lambda a, b: int(a < b),
    "equal": lambda a, b: int(a == b),
}
#: How many values an instruction takes from the stack, and how many it leaves there.
EFFECT: dict[str, tuple[int, int]] = {
    **dict.fromkeys(BINARY, (2, 1)),
    "push": (0, 1),
    "load": (0, 1),
    "store": (1, 0),
    "jump": (0, 0),
    "jump_if_zero": (1, 0),
    "print": (1, 0),
    "halt": (0, 0),
}


def verify(code: Sequence[Instruction]) -> tuple[int, ...]:
    """Prove, without running it, that code never takes from an empty stack, nor leaves the code.

    It follows every path once. Where two paths meet, the stack must be as high on both: that is the heart of the JVM's
    verifier (The Java Virtual Machine Specification, 4.10).

    Returns:
        The height of the stack before each instruction, -1 where none can come.

    Raises:
        Rejected: It cannot be proved; the message names the instruction.

    >>> verify([Instruction("push", 1), Instruction("print"), Instruction("halt")])
    (0, 1, 0)
    """
    heights = [-1] * len(code)
    ahead = [(0, 0)]
    while ahead:
        at, height = ahead.pop()
        if not 0 <= at < len(code):
            raise Rejected(f"place(={at}) must be in the code, 0 to {len(code) - 1}: end it with `halt`")
        if heights[at] >= 0:
            if heights[at] != height:
                raise Rejected(
                    f"{at}: `{code[at]}` is reached with {heights[at]} and with {height} values on the stack; "
                    "both paths must leave the same number"
                )
            continue
        heights[at] = height
        instruction = code[at]
        if instruction.name not in EFFECT:
            raise Rejected(f"{at}: `{instruction}` must be one of {', '.join(EFFECT)}")
        takes, leaves = EFFECT[instruction.name]
        if height < takes:
            raise Rejected(f"{at}: `{instruction}` takes {takes} from the stack, which holds {height}")
        ahead += [(place, height - takes + leaves) for place in _next(instruction, at)]
    return tuple(heights)


def _next(instruction: Instruction, at: int) -> tuple[int, ...]:
    if instruction.name == "halt":
        return ()
    if instruction.name not in ("jump", "jump_if_zero"):
        return (at + 1,)
    if not isinstance(instruction.operand, int):
        raise Rejected(f"{at}: `{instruction}` must name a place in the code by its number")
    return (instruction.operand,) if instruction.name == "jump" else (at + 1, instruction.operand)


@dataclass
class Machine:
    """One machine with its program: a stack, the variables, what was printed, and the next instruction's place.

    The code is verified first; raises `Rejected` if that fails.

    >>> machine = Machine((Instruction("push", 6), Instruction("push", 7), Instruction("mul"),
    ...                    Instruction("print"), Instruction("halt")))
    >>> machine.run().output
    [42]
    """

    code: Code
    stack: list[int] = field(default_factory=list)
    variables: dict[str, int] = field(default_factory=dict)
    output: list[int] = field(default_factory=list)
    at: int = 0
    steps: int = 0

    def __post_init__(self) -> None:
        verify(self.code)

    @property
    def halted(self) -> bool:
        """Is the next instruction the last one?"""
        return self.code[self.at].name == "halt"

    def step(self) -> Instruction:
        """Do one instruction and return it."""
        instruction = self.code[self.at]
        name, operand = instruction.name, instruction.operand
        self.at += 1
        self.steps += 1
        if name in BINARY:
            right, left = self.stack.pop(), self.stack.pop()
            self.stack.append(BINARY[name](left, right))
        elif name == "push":
            self.stack.append(wrapped(int(operand or 0)))
        elif name == "load":
            self.stack.append(self.variables.get(str(operand), 0))
        elif name == "store":
            self.variables[str(operand)] = self.stack.pop()
        elif name == "print":
            self.output.append(self.stack.pop())
        elif name == "jump" or (name == "jump_if_zero" and self.stack.pop() == 0):
            assert isinstance(operand, int)  # verified
            self.at = operand
        return instruction

    def run(self, fuel: int = 1_000_000) -> Machine:
        """Run to the end and return the machine.

        Raises:
            OutOfFuel: That took more than `fuel` instructions.

        """
        end = self.steps + fuel
        while not self.halted:
            if self.steps == end:
                raise OutOfFuel(
                    f"fuel(={fuel}) must be more: the program has not ended after that many instructions"
                )
            self.step()
        return self

    def trace(self, limit: int = 200) -> Iterator[tuple[Instruction, Machine]]:
        """Run at most `limit` instructions; after each, the instruction and a copy of the machine."""
        while not self.halted and self.steps < limit:
            instruction = self.step()
            yield (
                instruction,
                Machine(
                    self.code, list(self.stack), dict(self.variables), list(self.output), self.at, self.steps
                ),
            )


def listing(code: Sequence[Instruction]) -> str:
    """The code, an instruction a line, each with its place."""
    return "\n".join(f"{at:>3}  {instruction}" for at, instruction in enumerate(code))
