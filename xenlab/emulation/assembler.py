"""The assembler: text to words.

A line holds a label (``loop:``), an instruction with its operands, both, or neither; what follows a ``;`` is a
comment. Numbers are decimal, hexadecimal (``0x3f8``) or a character (``'A'``); a label stands for its address, and
``label+1`` for the word after it. Registers are ``r0`` to ``r15``, also called ``sp`` (r15) and ``ra`` (r14).

Directives: ``.org ADDRESS`` goes on at another address, ``.word N …`` writes words, ``.ascii "text"`` writes a word for
each character and a zero, ``.space N`` leaves room, ``.equ NAME, N`` names a number.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from xenlab.commands import XenlabError
from xenlab.emulation.isa import BY_NAME, MASK, REGISTERS, SPECIAL, encode

_REGISTERS = {f"r{n}": n for n in range(REGISTERS)} | {"ra": 14, "sp": 15}
_LABEL = re.compile(r"^\s*([A-Za-z_]\w*):")
_WORDS = re.compile(r"'(?:[^'\\]|\\.)'|[^,\s]+")
_MEMORY = re.compile(r"^\[\s*(\w+)\s*(?:([+-])\s*(.+?)\s*)?\]$")


@dataclass(frozen=True)
class Program:
    """What the assembler made: words by address, addresses of labels, and the source line each word came from."""

    words: Mapping[int, int]
    labels: Mapping[str, int]
    lines: Mapping[int, str] = field(default_factory=dict)

    def label_at(self, address: int) -> str | None:
        """The label at an address, if there is one."""
        return next((name for name, at in self.labels.items() if at == address), None)


@dataclass(frozen=True)
class _Line:
    number: int
    text: str
    address: int
    name: str
    rest: str


def assemble(source: str) -> Program:
    """Assemble a program. Raises `XenlabError` with the line's number and text where it cannot be.

    >>> program = assemble("start: li r1, 'A'   ; a letter\\n       out 0x3f8, r1\\n       jmp start")
    >>> [f"{word:08x}" for word in program.words.values()]
    ['10100041', 'f21003f8', '30000000']
    """
    labels: dict[str, int] = {}
    lines = list(_place(source, labels))
    words: dict[int, int] = {}
    texts: dict[int, str] = {}
    for line in lines:
        try:
            made = _assemble(line, labels)
        except XenlabError as error:
            raise XenlabError(f"line {line.number} ({line.text.strip()}): {error}") from None
        for offset, word in enumerate(made):
            words[line.address + offset] = word
            texts[line.address + offset] = line.text
    return Program(words, labels, texts)


def _place(source: str, labels: dict[str, int]) -> Iterator[_Line]:
    """The first pass: give every line its address and every label its meaning."""
    address = 0
    for number, text in enumerate(source.splitlines(), start=1):
        code = _uncommented(text)
        while label := _LABEL.match(code):
            if label[1] in labels:
                raise XenlabError(
                    f"line {number} ({text.strip()}): label(={label[1]!r}) must be new; it is taken"
                )
            labels[label[1]] = address
            code = code[label.end() :]
        name, _, rest = code.strip().partition(" ")
        rest = rest.strip()
        if not name:
            continue
        try:
            if name == ".org":
                address = number_of(rest, labels)
            elif name == ".equ":
                what, _, value = rest.partition(",")
                labels[what.strip()] = number_of(value, labels)
            else:
                yield _Line(number, text, address, name, rest)
                address += _length(name, rest, labels)
        except XenlabError as error:
            raise XenlabError(f"line {number} ({text.strip()}): {error}") from None


def _uncommented(text: str) -> str:
    quoted = re.match(r"""((?:[^;"']|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)')*)""", text)
    return quoted[1] if quoted else text


def _length(name: str, rest: str, labels: Mapping[str, int]) -> int:
    if name == ".space":
        return number_of(rest, labels)
    if name == ".ascii":
        return len(_string(rest)) + 1
    if name == ".word":
        return len(_WORDS.findall(rest))
    return 1


def _assemble(line: _Line, labels: Mapping[str, int]) -> list[int]:
    if line.name == ".space":
        return [0] * number_of(line.rest, labels)
    if line.name == ".ascii":
        return [*map(ord, _string(line.rest)), 0]
    if line.name == ".word":
        return [number_of(each, labels) & MASK for each in _WORDS.findall(line.rest)]
    if line.name not in BY_NAME:
        raise XenlabError(f"instruction(={line.name!r}) must be one of: {', '.join(BY_NAME)}")
    kinds = BY_NAME[line.name].operands.split(", ") if BY_NAME[line.name].operands else []
    given = [each.strip() for each in re.split(r",(?![^\[]*\])", line.rest)] if line.rest else []
    if len(given) != len(kinds):
        raise XenlabError(
            f"{line.name} takes {len(kinds)} operands ({BY_NAME[line.name].operands}), not {len(given)}"
        )
    fields: dict[str, int] = {}
    for kind, text in zip(kinds, given, strict=True):
        fields |= _operand(kind, text, labels)
    return [encode(line.name, fields.get("d", 0), fields.get("a", 0), fields.get("i", 0))]


def _operand(kind: str, text: str, labels: Mapping[str, int]) -> dict[str, int]:
    """The fields of the word that an operand fills."""
    if kind in ("d", "a"):
        return {kind: _register(text)}
    if kind == "b":
        return {"i": _register(text)}
    if kind == "special":
        if text not in SPECIAL:
            raise XenlabError(f"special register(={text!r}) must be one of: {', '.join(SPECIAL)}")
        return {"i": SPECIAL.index(text)}
    if kind == "[a+s]":
        place = _MEMORY.match(text)
        if place is None:
            raise XenlabError(f"place(={text!r}) must be written as [r2] or [r2+8]")
        offset = number_of(place[3], labels) if place[3] else 0
        return {"a": _register(place[1]), "i": -offset if place[2] == "-" else offset}
    return {"i": number_of(text, labels)}


def _register(text: str) -> int:
    if text not in _REGISTERS:
        raise XenlabError(f"register(={text!r}) must be r0 to r{REGISTERS - 1}, sp or ra")
    return _REGISTERS[text]


def _string(text: str) -> str:
    try:
        value = ast.literal_eval(text.strip())
    except (SyntaxError, ValueError):
        value = None
    if not isinstance(value, str):
        raise XenlabError(f'text(={text}) must stand in quotes, as in .ascii "hello"')
    return value


def number_of(text: str, labels: Mapping[str, int]) -> int:
    """The value of a number, a character, a label, or a label plus or minus a number.

    >>> number_of("0x10", {}), number_of("'A'", {}), number_of("table+2", {"table": 64})
    (16, 65, 66)
    """
    text = text.strip()
    if re.fullmatch(r"'(?:[^'\\]|\\.)'", text):
        return ord(_string(text))
    if sum_ := re.fullmatch(r"([A-Za-z_]\w*)\s*([+-])\s*(\w+)", text):
        sign = 1 if sum_[2] == "+" else -1
        return number_of(sum_[1], labels) + sign * number_of(sum_[3], labels)
    if text in labels:
        return labels[text]
    try:
        return int(text, 0)
    except ValueError:
        raise XenlabError(f"number(={text!r}) must be a number, a character or a label") from None
