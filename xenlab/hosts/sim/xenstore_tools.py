"""xenstore-ls, -list, -read, -write, -exists, -rm, -chmod, -watch (tools/xenstore/xenstore_client.c), and
xenstore-control, as far as its log goes (xenstore_control.c; xenstored_control.c).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xenlab.hosts.sim.getopt import BadOption, parse_options
from xenlab.hosts.sim.process import ExitProgram, NotSimulated, Process
from xenlab.hosts.sim.storelog import TOOL
from xenlab.hosts.sim.world import World
from xenlab.hosts.sim.xenstore import Xenstore

WATCH_LIMIT = 600.0  # seconds
MAX_WIDTH, DESIRED_WIDTH = 80, 60  # of a line of xenstore-ls where there is no terminal
TAG_LENGTH = len(' = "..."')
_LONG = {
    "help": "h",
    "flat": "f",
    "prefix": "p",
    "tidy": "t",
    "upto": "u",
    "recurse": "r",
    "number": "n",
    "raw": "R",
}
_USAGE = {
    "read": "[-h] [-p] [-s] [-R] key [...]",
    "write": "[-h] [-s] [-R] key value [...]",
    "rm": "[-h] [-s] [-t] key [...]",
    "exists": "[-h] [-p] [-s] key [...]",
    "list": "[-h] [-p] [-s] key [...]",
    "ls": "[-h] [-f] [-p] [-s] [path]",
    "chmod": "[-h] [-u] [-r] [-s] key <mode [modes...]>",
    "watch": "[-h] [-n NR] key",
}
_ALLOWED = {
    "f": ("ls",),
    "p": ("read", "list", "ls"),
    "t": ("rm",),
    "n": ("watch",),
    "u": ("chmod",),
    "r": ("chmod",),
    "R": ("read", "write"),
}


@dataclass
class _Run:
    """One run of one of the tools."""

    world: World
    process: Process
    program: str
    flags: frozenset[str]
    number: int  # of events to watch for; -1: for ever

    @property
    def store(self) -> Xenstore:
        return self.world.store

    def warn(self, text: str) -> int:
        self.process.err(f"{self.program}: {text}\n")
        return 1


def xenstore_tool(world: World, process: Process) -> int:
    """Run ``xenstore-MODE ...``; its exit status."""
    program = process.argv[0].rpartition("/")[2]
    mode = program.removeprefix("xenstore-")
    with world.store.speaking(TOOL):
        if mode == "control":
            return _control(world, process)
        if mode not in _MODES:
            raise NotSimulated(program)
        return _client(world, process, program, mode)


def _control(world: World, process: Process) -> int:
    words = process.argv[1:]
    if not words:
        process.err(f"Usage:\n{process.argv[0]} <command> [<arg>...]\n")
        return 2
    if words[0] == "help":
        process.out(f"{_CONTROL_HELP}\n")
    elif words[0] == "logfile" and len(words) == 2:
        world.store_log.begin(words[1])
        process.out("OK\n")
    elif words[0] == "log" and words[1:] in (("on",), ("off",)):
        world.store_log.switch(words[1] == "on")
        process.out("OK\n")
    elif words == ("check",):
        process.out("OK\n")
    elif words[0] in ("live-update", "memreport", "print", "quota", "quota-soft"):
        raise NotSimulated(f"xenstore-control {words[0]}")
    else:
        process.err(f"Command not supported. Valid commands are:\n{_CONTROL_HELP}\n")
        return 3
    return 0


_CONTROL_HELP = """\
check\t
log\ton|off
live-update\t[-c <cmdline>] [-F] [-t <timeout>] <file>
    Default timeout is 60 seconds.
logfile\t<file>
memreport\t[<file>]
print\t<string>
quota\t[set <name> <val>|<domid>]
quota-soft\t[set <name> <val>]
help\t
"""


def _client(world: World, process: Process, program: str, mode: str) -> int:
    try:
        options, operands = parse_options(process.argv[1:], "hfspturn:R", _LONG)
    except BadOption as bad:
        process.err(f"{process.argv[0]}: {bad.text}\n")
        options, operands = [], [argument for argument in process.argv[1:] if not argument.startswith("-")]
    flags = frozenset(letter for letter, _ in options)
    run = _Run(world, process, program, flags, int(dict(options).get("n", -1)))
    wrong_option = "h" in flags or any(mode not in _ALLOWED.get(letter, (mode,)) for letter in flags)
    wrong_count = (not operands and mode != "ls") or (mode == "write" and len(operands) % 2 == 1)
    if wrong_option or wrong_count:
        run.warn(f"Usage: {process.argv[0]} {_USAGE[mode]}")
        raise ExitProgram(1)
    return _MODES[mode](run, operands)


def _read(run: _Run, paths: list[str]) -> int:
    printed = ""
    for path in paths:
        value = run.store.read(path) if valid_path(path) else None
        if value is None:
            run.process.out(printed)
            return run.warn(f"couldn't read path {path}")
        printed += f"{path}: " if "p" in run.flags else ""
        printed += value if "R" in run.flags else f"{sanitised(value)}\n"
    run.process.out(printed)
    return 0


def _write(run: _Run, words: list[str]) -> int:
    for path, value in zip(words[::2], words[1::2], strict=True):
        if not valid_path(path) or path == "/":
            return run.warn(f"could not write path {path}")
        run.store.write(path, value)
    return 0


def _rm(run: _Run, paths: list[str]) -> int:
    for path in paths:
        if not valid_path(path) or not run.store.remove(path):
            return run.warn(f"could not remove path {path}")
        while "t" in run.flags:
            path = path.rpartition("/")[0]
            if not path or run.store.read(path) or run.store.names(path):
                break
            run.store.remove(path)
    return 0


def _exists(run: _Run, paths: list[str]) -> int:
    return int(any(run.store.read(path) is None for path in paths))


def _list(run: _Run, paths: list[str]) -> int:
    printed = ""
    for path in paths:
        names = run.store.names(path) if valid_path(path) else None
        if names is None:
            run.process.out(printed)
            return run.warn(f"could not list path {path}")
        prefix = f"{path}/" if "p" in run.flags else ""
        printed += "".join(f"{prefix}{name}\n" for name in names)
    run.process.out(printed)
    return 0


def _ls(run: _Run, paths: list[str]) -> int:
    for path in paths or ["/"]:
        if not valid_path(path) or run.store.names(path) is None:
            problem = "No such file or directory" if valid_path(path) else "Invalid argument"
            return run.warn(f"xs_directory ({path}): {problem}")
        _print_tree(run, path, 0)
    return 0


def _print_tree(run: _Run, path: str, depth: int) -> None:
    flat = "f" in run.flags
    limit = 10**9 if flat else MAX_WIDTH
    for name in run.store.names(path) or []:
        child = f"{path}{'' if path.endswith('/') else '/'}{name}"
        shown = child if flat else " " * depth + name[: limit - TAG_LENGTH - depth]
        width = 0 if flat else len(shown)
        value = run.store.read(child) or ""
        if limit < width + len(value) + TAG_LENGTH:
            line = f'{shown} = "{sanitised(value)[: limit - TAG_LENGTH - width]}\\..."'
        else:
            line = f'{shown} = "{sanitised(value)}"'
            if "p" in run.flags:
                width += len(line) - len(shown) + 1
                end = 0 if flat else DESIRED_WIDTH
                line += " " + "".join("." if column & 1 else " " for column in range(width, end))
        if "p" in run.flags:
            line += f"  ({','.join(run.store.permissions(child) or ())})"
        run.process.out(line + "\n")
        _print_tree(run, child, depth + 1)


def _watch(run: _Run, paths: list[str]) -> int:
    """Print a line for each change, and one at once; a watch that would never end is not simulated."""
    events = list(paths)
    stops = [run.store.watch(path, events.append) for path in paths]
    ended = run.number >= 0 and run.world.pass_time_until(lambda: len(events) >= run.number, WATCH_LIMIT)
    for stop in stops:
        stop()
    if not ended:
        raise NotSimulated(f"{run.program} for longer than {WATCH_LIMIT:.0f} seconds")
    run.process.out("".join(f"{path}\n" for path in events[: run.number]))
    return 0


def _chmod(run: _Run, words: list[str]) -> int:
    path, *modes = words
    for mode in modes:
        if mode[:1] not in ("n", "r", "w", "b"):
            run.warn(f"Invalid permission specification: '{mode[:1]}'")
            return 1
    permissions = tuple(f"{mode[0]}{int(mode[1:] or 0)}" for mode in modes)
    if not valid_path(path) or not run.store.set_permissions(path, permissions):
        return run.warn(f"Error occurred setting permissions on '{path}': No such file or directory")
    if "u" in run.flags:
        above = path.rpartition("/")[0]
        while above:
            run.store.set_permissions(above, permissions)
            above = above.rpartition("/")[0]
    if "r" in run.flags:
        _chmod_below(run.store, path, permissions)
    return 0


def _chmod_below(store: Xenstore, path: str, permissions: tuple[str, ...]) -> None:
    for name in store.names(path) or []:
        store.set_permissions(f"{path}/{name}", permissions)
        _chmod_below(store, f"{path}/{name}", permissions)


_MODES: dict[str, Callable[[_Run, list[str]], int]] = {
    "read": _read,
    "write": _write,
    "rm": _rm,
    "exists": _exists,
    "list": _list,
    "ls": _ls,
    "chmod": _chmod,
    "watch": _watch,
}


def valid_path(path: str) -> bool:
    """May xenstored take this as a path: no doubled or trailing slash, only its characters?

    >>> valid_path("/local/domain/0"), valid_path("/local//domain"), valid_path("/local/"), valid_path("/a b")
    (True, False, False, False)
    """
    allowed = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-/_@")
    tidy = path == "/" or not path.endswith("/")
    return bool(path) and tidy and "//" not in path and set(path) <= allowed


def sanitised(value: str) -> str:
    """A value with what does not print written as an escape (xs_lib.c, sanitise_value).

    >>> print(sanitised("a\\tb\\\\c"))
    a\\tb\\\\c
    """
    escapes = {"\t": "\\t", "\n": "\\n", "\r": "\\r", "\\": "\\\\"}
    return "".join(
        escapes.get(character) or (character if " " <= character <= "~" else f"\\{ord(character):o}")
        for character in value
    )
