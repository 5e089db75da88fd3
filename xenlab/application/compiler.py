"""From a few lines of Python to bytecode for the stack machine: assignments, `while`, `if`, and `print`.

Each expression becomes code that leaves its value on the stack; each statement, code that leaves the stack as it was.
That is how CPython's own compiler works.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from xenlab.application.stackvm import Code, Instruction
from xenlab.commands import XenlabError

_OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Lt: "less",
    ast.Eq: "equal",
}


class CannotCompile(XenlabError):
    """A program with something in it that the small compiler does not know."""

    def __init__(self, node: ast.AST) -> None:
        line = getattr(node, "lineno", 1)
        super().__init__(
            f"line {line}: `{ast.unparse(node)}` must be made of whole numbers, names, "
            "+ - * < ==, =, while, if and print()"
        )


def compile_source(text: str) -> Code:
    """Compile a program.

    Raises:
        CannotCompile: It has something in it that the machine cannot do; the message names the line.
        SyntaxError: It is not Python.

    >>> from xenlab.application.stackvm import Machine
    >>> Machine(compile_source("n = 5\\nwhile 0 < n:\\n    print(n * n)\\n    n = n - 2")).run().output
    [25, 9, 1]
    """
    compiler = _Compiler()
    for statement in ast.parse(text).body:
        compiler.statement(statement)
    return (*compiler.code, Instruction("halt"))


@dataclass
class _Compiler:
    code: list[Instruction] = field(default_factory=list)

    def emit(self, name: str, operand: int | str | None = None) -> int:
        self.code.append(Instruction(name, operand))
        return len(self.code) - 1

    def statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self.expression(value)
                self.emit("store", name)
            case ast.Expr(value=ast.Call(func=ast.Name(id="print"), args=[value], keywords=[])):
                self.expression(value)
                self.emit("print")
            case ast.While(test=test, body=body, orelse=[]):
                start = len(self.code)
                self.expression(test)
                leave = self.emit("jump_if_zero")
                self.block(body)
                self.emit("jump", start)
                self.land(leave)
            case ast.If(test=test, body=body, orelse=otherwise):
                self.expression(test)
                skip = self.emit("jump_if_zero")
                self.block(body)
                end = self.emit("jump") if otherwise else None
                self.land(skip)
                self.block(otherwise)
                if end is not None:
                    self.land(end)
            case _:
                raise CannotCompile(node)

    def block(self, body: list[ast.stmt]) -> None:
        for statement in body:
            self.statement(statement)

    def land(self, jump: int) -> None:
        """Let a jump that was emitted before go to the place that comes next."""
        self.code[jump] = Instruction(self.code[jump].name, len(self.code))

    def expression(self, node: ast.expr) -> None:
        match node:
            case ast.Constant(value=bool()):
                raise CannotCompile(node)
            case ast.Constant(value=int(value)):
                self.emit("push", value)
            case ast.Name(id=name):
                self.emit("load", name)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                self.emit("push", 0)
                self.expression(operand)
                self.emit("sub")
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
                self.expression(left)
                self.expression(right)
                self.emit(_OPERATORS[type(operator)])
            case ast.Compare(left=left, ops=[operator], comparators=[right]) if type(operator) in _OPERATORS:
                self.expression(left)
                self.expression(right)
                self.emit(_OPERATORS[type(operator)])
            case _:
                raise CannotCompile(node)
