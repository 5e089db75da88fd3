"""The few ordinary programs that the chapters run in dom0: cat, ls, rm, mkdir, test, echo, uname, ..."""

from __future__ import annotations

import re
from collections.abc import Callable

from xenlab.hosts.sim.getopt import BadOption, parse_options
from xenlab.hosts.sim.process import NotSimulated, Process
from xenlab.hosts.sim.world import World

LARGEST_FILE = 64 << 20  # files are held in memory


def _options(process: Process, allowed: str) -> tuple[set[str], list[str]]:
    try:
        options, operands = parse_options(process.argv[1:], allowed, {})
    except BadOption:
        raise NotSimulated(" ".join(process.argv)) from None
    return {letter for letter, _ in options}, operands


def cat(world: World, process: Process) -> int:
    """Print files, or standard input."""
    _, operands = _options(process, "")
    status = 0
    for path in operands or ["-"]:
        if path == "-":
            process.out(process.stdin)
            continue
        try:
            process.out(world.files.read(path).decode(errors="replace"))
        except OSError as error:
            process.err(f"cat: {path}: {error.strerror}\n")
            status = 1
    return status


def ls(world: World, process: Process) -> int:
    """Print the names in folders."""
    letters, operands = _options(process, "1a")
    status = 0
    folders = []
    for path in operands or ["."]:
        if world.files.is_file(path):
            process.out(f"{path}\n")
        elif world.files.is_folder(path):
            folders.append(path)
        else:
            process.err(f"ls: cannot access '{path}': No such file or directory\n")
            status = 2
    for index, path in enumerate(folders):
        if len(operands) > 1:
            process.out(("\n" if index or len(folders) < len(operands) - bool(status) else "") + f"{path}:\n")
        names = [".", "..", *world.files.names(path)] if "a" in letters else world.files.names(path)
        hidden = "a" not in letters
        process.out("".join(f"{name}\n" for name in names if not (hidden and name.startswith("."))))
    return status


def rm(world: World, process: Process) -> int:
    """Remove files, with -r folders too."""
    letters, operands = _options(process, "rRf")
    status = 0
    for path in operands:
        if letters & {"r", "R"} and world.files.is_folder(path):
            world.files.remove_tree(path)
            continue
        try:
            world.files.remove(path)
        except FileNotFoundError as error:
            if "f" not in letters:
                process.err(f"rm: cannot remove '{path}': {error.strerror}\n")
                status = 1
        except OSError as error:
            process.err(f"rm: cannot remove '{path}': {error.strerror}\n")
            status = 1
    if not operands and "f" not in letters:
        process.err("rm: missing operand\nTry 'rm --help' for more information.\n")
        return 1
    return status


def mkdir(world: World, process: Process) -> int:
    """Make folders."""
    letters, operands = _options(process, "p")
    status = 0
    for path in operands:
        above = path.rstrip("/").rpartition("/")[0] or "/"
        problem = None
        if world.files.is_file(path) or (world.files.is_folder(path) and "p" not in letters):
            problem = "File exists"
        elif "p" not in letters and not world.files.is_folder(above):
            problem = "No such file or directory"
        if problem:
            process.err(f"mkdir: cannot create directory '{path}': {problem}\n")
            status = 1
        else:
            world.files.make_folder(path)
    return status


def test(world: World, process: Process) -> int:
    """Answer -b, -e, -f, -d and -s PATH by the exit status."""
    words = list(process.argv[1:])
    answers: dict[str, Callable[[str], bool]] = {
        "-e": lambda path: world.files.is_file(path) or world.files.is_folder(path),
        "-b": world.device_nodes.__contains__,
        "-f": lambda path: world.files.is_file(path) and path not in world.device_nodes,
        "-d": world.files.is_folder,
        "-s": lambda path: world.files.is_file(path) and bool(world.files.read(path)),
    }
    if len(words) != 2 or words[0] not in answers:
        raise NotSimulated(" ".join(process.argv))
    return int(not answers[words[0]](words[1]))


def truncate(world: World, process: Process) -> int:
    """Make files of a given size: -s SIZE, with K, M or G for powers of 1024."""
    options, operands = parse_options(process.argv[1:], "s:", {"size": "s"})
    match = re.fullmatch(r"(\d+)([KMG]?)", dict(options).get("s", ""))
    if not match:
        raise NotSimulated(" ".join(process.argv))
    size = int(match[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[match[2]]
    if size > LARGEST_FILE:
        raise NotSimulated(f"a file of {match[0]} bytes")
    status = 0
    for path in operands:
        old = world.files.read(path) if world.files.is_file(path) else b""
        try:
            world.files.write(path, old[:size].ljust(size, b"\0"))
        except OSError as error:
            process.err(f"truncate: cannot open '{path}' for writing: {error.strerror}\n")
            status = 1
    return status


def echo(world: World, process: Process) -> int:
    """Print the arguments."""
    process.out(" ".join(process.argv[1:]) + "\n")
    return 0


def uname(world: World, process: Process) -> int:
    """Print what the kernel says it is."""
    letters, _ = _options(process, "asnrvmpio")
    spec = world.spec
    parts = {
        "s": "Linux",
        "n": spec.hostname,
        "r": spec.kernel_release,
        "v": spec.kernel_version,
        "m": "x86_64",
        "p": "unknown",
        "i": "unknown",
        "o": "GNU/Linux",
    }
    wanted = "snrvmo" if "a" in letters else [letter for letter in parts if letter in (letters or "s")]
    process.out(" ".join(parts[letter] for letter in wanted) + "\n")
    return 0


def hostname(world: World, process: Process) -> int:
    """Print the host's name."""
    _options(process, "")
    process.out(f"{world.spec.hostname}\n")
    return 0


def true(world: World, process: Process) -> int:
    """Do nothing, successfully."""
    return 0


def false(world: World, process: Process) -> int:
    """Do nothing, unsuccessfully."""
    return 1


def sleep(world: World, process: Process) -> int:
    """Let time pass."""
    world.pass_time(float(process.argv[1]))
    return 0


PROGRAMS: dict[str, Callable[[World, Process], int]] = {
    program.__name__: program
    for program in (cat, echo, false, hostname, ls, mkdir, rm, sleep, test, true, truncate, uname)
}
