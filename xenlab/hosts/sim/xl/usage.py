"""The subcommands that xl has, and its help on them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from xenlab.hosts.sim.process import NotSimulated


@dataclass(frozen=True)
class Subcommand:
    """One subcommand as xl's command table has it; `usage` is None for one that is not simulated."""

    name: str
    description: str
    usage: str | None
    options: str | None
    dry_run: bool
    modifies: bool


@cache
def subcommands() -> dict[str, Subcommand]:
    """All subcommands, in the order in which ``xl help`` lists them."""
    text = files(__package__).joinpath("usage.txt").read_text(encoding="utf-8")
    blocks = [block.removesuffix("\n") for block in text.split("\n## ")[1:]]
    return {command.name: command for command in map(_subcommand, blocks)}


def _subcommand(block: str) -> Subcommand:
    title, _, body = block.partition("\n")
    name, _, flags = title.partition(" ")
    description, has_usage, rest = body.partition("\nusage:\n")
    usage, has_options, options = rest.partition("\noptions:\n")
    return Subcommand(
        name,
        description,
        usage if has_usage else None,
        options if has_options else None,
        dry_run="N" in flags,
        modifies="f" in flags,
    )


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
