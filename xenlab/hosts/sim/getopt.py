"""GNU getopt_long(3) as Xen's tools use it: options anywhere among the arguments, long names abbreviated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class BadOption(Exception):
    """An option that is unknown, lacks its value, or may not have one; `letter` is ``optopt``."""

    def __init__(self, letter: str, text: str) -> None:
        self.letter = letter
        self.text = text


def parse_options(
    arguments: Sequence[str], short: str, long: Mapping[str, str], in_order: bool = False
) -> tuple[list[tuple[str, str]], list[str]]:
    """Split `arguments` into options and operands.

    `short` is getopt's string (``"d:w"``: -d takes a value); `long` maps a long name to its letter, whose
    value is as in `short`. With `in_order` the first operand ends the options. Returns the options as
    (letter, value) and the operands; raises `BadOption`.

    >>> parse_options(["web", "-w", "512", "--cap=20"], "w:c:", {"weight": "w", "cap": "c"})
    ([('w', '512'), ('c', '20')], ['web'])
    """
    options: list[tuple[str, str]] = []
    operands: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            break
        if not argument.startswith("-") or argument == "-":
            operands.append(argument)
            if in_order:
                break
        elif argument.startswith("--"):
            options.append(_long(argument[2:], rest, short, long))
        else:
            options.extend(_cluster(argument[1:], rest, short))
    return options, operands + rest


def _takes_value(letter: str, short: str) -> bool:
    return f"{letter}:" in short


def _cluster(letters: str, rest: list[str], short: str) -> list[tuple[str, str]]:
    found = []
    while letters:
        letter, letters = letters[0], letters[1:]
        if letter == ":" or letter not in short:
            raise BadOption(letter, f"invalid option -- '{letter}'")
        if not _takes_value(letter, short):
            found.append((letter, ""))
            continue
        if not letters and not rest:
            raise BadOption(letter, f"option requires an argument -- '{letter}'")
        found.append((letter, letters or rest.pop(0)))
        break
    return found


def _long(argument: str, rest: list[str], short: str, long: Mapping[str, str]) -> tuple[str, str]:
    name, equals, value = argument.partition("=")
    matches = [name] if name in long else [known for known in long if known.startswith(name)]
    if len({long[match] for match in matches}) != 1:
        raise BadOption("\0", f"unrecognized option '--{argument}'")
    letter = long[matches[0]]
    if not _takes_value(letter, short):
        if equals:
            raise BadOption(letter, f"option '--{matches[0]}' doesn't allow an argument")
        return letter, ""
    if not equals and not rest:
        raise BadOption(letter, f"option '--{matches[0]}' requires an argument")
    return letter, value if equals else rest.pop(0)
