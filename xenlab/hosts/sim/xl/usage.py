"""The subcommands that xl has, and its help on them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from xenlab.hosts.sim.process import NotSimulated


@dataclass(frozen=True)
class Subcommand:
    """One subcommand as xl's command table has it; `usage` is None for one that is not simulated."""

    name: str
    description: str
    modifies: bool = False
    dry_run: bool = False
    usage: str | None = None
    options: str | None = None


@cache
def subcommands() -> dict[str, Subcommand]:
    """All subcommands, in the order in which ``xl help`` lists them."""
    table = tomllib.loads(files(__package__).joinpath("usage.toml").read_text(encoding="utf-8"))
    return {name: Subcommand(name, **fields) for name, fields in table.items()}


def find_subcommand(name: str) -> Subcommand | None:
    """The subcommand of that name, or the only one whose name starts so.

    >>> find_subcommand("des").name, find_subcommand("s")
    ('destroy', None)
    """
    known = subcommands()
    matches = [name] if name in known else [candidate for candidate in known if candidate.startswith(name)]
    return known[matches[0]] if len(matches) == 1 else None


def help_on(name: str | None) -> str:
    """What ``xl help NAME`` prints; without a name, the list of subcommands."""
    if name is None or name == "help":
        return _help_on_all()
    command = find_subcommand(name)
    if command is None:
        return f'command "{name}" not implemented\n'
    if command.usage is None:
        raise NotSimulated(f"xl help {command.name}")
    flags = "f" * command.modifies + "N" * command.dry_run
    text = f"Usage: xl [-vtT{flags}] {command.name} {command.usage}\n\n{command.description}.\n\n"
    return text if command.options is None else text + f"Options:\n\n{command.options}\n"


def _help_on_all() -> str:
    lines = ["Usage xl [-vfNtT] <subcommand> [args]", "", "xl full list of subcommands:", ""]
    for command in subcommands().values():
        gap = "\n" + " " * 21 if len(command.name) > 19 else ""
        lines.append(f" {command.name:<19} {gap}{command.description}")
    return "\n".join(lines) + "\n"
