"""NFS in the simulated dom0: its server's programs, and the guest that mounts its root from there."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from posixpath import basename, join
from typing import TYPE_CHECKING, Any

from xenlab.hosts.sim.process import NotSimulated, Process
from xenlab.storage.nfsroot import NfsRoot, Phase, State, advance
from xenlab.storage.nfsroot import World as Network

if TYPE_CHECKING:
    from xenlab.hosts.sim.world import World

Steps = Generator[Any, Any, None]  # a SimPy process

_FOLDER = "/proc/fs/nfsd"
_MADE_BY_DEFAULT = ("wdelay", "hide", "sec=sys", "secure", "no_all_squash")
_BOTH = ("udp", "tcp")
#: What each service registers: program number, name, port, and its versions and protocols in the order of the list.
#: Of rpc.mountd and nlockmgr any port will do.
_REGISTERED = {
    "rpcbind": (
        (100000, "portmapper", 111, [(4, "tcp"), (3, "tcp"), (2, "tcp"), (4, "udp"), (3, "udp"), (2, "udp")]),
    ),
    "mountd": ((100005, "mountd", 20048, [(version, over) for version in (1, 2, 3) for over in _BOTH]),),
    "nfsd": (
        (100003, "nfs", 2049, [(3, "tcp")]),
        (100227, "nfs_acl", 2049, [(3, "tcp")]),
        (100021, "nlockmgr", 32803, [(version, over) for over in _BOTH for version in (1, 3, 4)]),
    ),
}


@dataclass
class NfsServer:
    """The server as it is: what runs, and what is exported: ``(clients, path)`` with the options given."""

    mounted: bool = False
    rpcbind: bool = False
    mountd: bool = False
    threads: int = 0
    exports: dict[tuple[str, str], str] = field(default_factory=dict)


def mount(world: World, process: Process) -> int:
    """Mount nfsd's file system, by which its threads are controlled."""
    if process.argv[1:] != ("-t", "nfsd", "nfsd", _FOLDER):
        raise NotSimulated(" ".join(process.argv))
    if world.nfs.mounted:
        process.err(f"mount: {_FOLDER}: nfsd already mounted on {_FOLDER}.\n")
        process.err("       dmesg(1) may have more information after failed mount system call.\n")
        return 32
    world.nfs.mounted = True
    world.files.make_folder(_FOLDER)
    world.files.write(f"{_FOLDER}/threads", lambda: f"{world.nfs.threads}\n".encode())
    return 0


def rpcbind(world: World, process: Process) -> int:
    """Start the service that knows on which port the others listen."""
    world.nfs.rpcbind = True
    return 0


def rpcinfo(world: World, process: Process) -> int:
    """List the services that have registered."""
    if process.argv[1:] != ("-p",):
        raise NotSimulated(" ".join(process.argv))
    if not world.nfs.rpcbind:
        process.err(
            "rpcinfo: can't contact portmapper: RPC: Remote system error - No such file or directory\n"
        )
        return 1
    process.out("   program vers proto   port  service\n")
    running = {"rpcbind": True, "mountd": world.nfs.mountd, "nfsd": world.nfs.threads > 0}
    for service, programs in _REGISTERED.items():
        for number, name, port, offers in programs if running[service] else ():
            for version, protocol in offers:
                process.out(f"{number:>10}{version:>5}{protocol:>6}{port:>7}  {name}\n")
    return 0


def mountd(world: World, process: Process) -> int:
    """Start the daemon that says who may mount what."""
    world.nfs.mountd = True
    return 0


def nfsd(world: World, process: Process) -> int:
    """Set how many threads of the kernel serve files."""
    world.nfs.threads = int(process.argv[-1])
    return 0


def exportfs(world: World, process: Process) -> int:
    """Export directories, take exports back, list them."""
    words = list(process.argv[1:])
    if words[:1] == ["-o"] and len(words) == 3:
        clients, _, path = words[2].partition(":")
        world.nfs.exports[clients, path] = words[1]
        if not world.files.is_folder(path):  # it is in the list all the same
            process.err(f"exportfs: Failed to stat {path}: No such file or directory\n")
            return 1
    elif words[:1] == ["-u"] and len(words) == 2:
        clients, _, path = words[1].partition(":")
        if world.nfs.exports.pop((clients, path), None) is None:
            process.err(f"exportfs: Could not find '{clients}:{path}' to unexport.\n")
            return 1
    elif words == ["-v"]:
        for (clients, path), options in world.nfs.exports.items():
            gap = "\n\t\t" if len(path) > 14 else "\t"
            process.out(f"{path:<14}{gap}{clients}({_effective(options)})\n")
    else:
        raise NotSimulated(" ".join(process.argv))
    return 0


def _effective(options: str) -> str:
    """All options of an export, in the order in which exportfs prints them (support/nfs/exports.c: putexportent)."""
    given = {*options.split(","), *_MADE_BY_DEFAULT}
    order = ("sync", "wdelay", "hide", "no_subtree_check", "sec=sys", "rw", "ro", "secure")
    squash = "no_root_squash" if "no_root_squash" in given else "root_squash"
    return ",".join([*(word for word in order if word in given), squash, "no_all_squash"])


def cp(world: World, process: Process) -> int:
    """Copy one file."""
    if len(process.argv) != 3:
        raise NotSimulated(" ".join(process.argv))
    source, target = process.argv[1:]
    if world.files.is_folder(target):
        target = join(target, basename(source))
    try:
        world.files.write(target, world.files.read(source))
    except OSError as error:
        what = (
            f"cannot stat '{source}'"
            if error.filename != target
            else f"cannot create regular file '{target}'"
        )
        process.err(f"cp: {what}: {error.strerror}\n")
        return 1
    return 0


def chmod(world: World, process: Process) -> int:
    """Change who may do what with files; dom0 is root and may do all."""
    for path in process.argv[2:]:
        if not world.files.is_file(path) and not world.files.is_folder(path):
            process.err(f"chmod: cannot access '{path}': No such file or directory\n")
            return 1
    return 0


PROGRAMS: dict[str, Callable[[World, Process], int]] = {
    "mount": mount,
    "rpcbind": rpcbind,
    "rpcinfo": rpcinfo,
    "rpc.mountd": mountd,
    "rpc.nfsd": nfsd,
    "exportfs": exportfs,
    "cp": cp,
    "chmod": chmod,
}


@dataclass
class Console:
    """A guest's console: `say` prints what its programs say, `kernel_says` what Linux does, with the time."""

    say: Callable[[str], None]
    kernel_says: Callable[[str], None]


def live(
    world: World, root: NfsRoot, has_vif: bool, console: Console, sleep: Callable[[float], Steps]
) -> Steps:
    """Boot a guest from its NFS root, then run the ``/sbin/init`` of `xenlab.storage.nfs`; end if it finds no root.

    `sleep` lets the guest's time pass.
    """
    state = State()
    while state.phase not in (Phase.RUNNING, Phase.PANIC):
        before = state
        state, event = advance(root, state, _network(world, root, has_vif))
        for line in filter(None, event.console.splitlines() if event else ()):
            (console.kernel_says if line.startswith("Kernel") else console.say)(line)
        yield from sleep(state.time - before.time)
    if state.phase is Phase.PANIC:
        return
    console.say(world.files.read(f"{root.path}/etc/motd").decode().splitlines()[0])
    for count in itertools.count(1):
        if (yield from _reach(world, root, state, console, sleep)):
            world.files.write(f"{root.path}/var/count", f"{count}\n".encode())
            console.say(f"nfs: wrote {count}")
        else:
            console.say("/sbin/init: line 8: can't create /var/count: Input/output error")
        if (yield from _reach(world, root, state, console, sleep)):
            yield from sleep(1.0)
        else:  # its program lies there too
            console.say("/sbin/init: line 9: busybox: Input/output error")


def _reach(
    world: World, root: NfsRoot, state: State, console: Console, sleep: Callable[[float], Steps]
) -> Generator[Any, Any, bool]:
    """Touch a file of the root, however long it takes; false if that failed, which happens on soft mounts only."""
    after, event = advance(root, state, _network(world, root, has_vif=True))
    if event is None or (yield from _answers(world, sleep, within=event.time - state.time)):
        return True
    console.kernel_says(event.console)
    if after.phase is not Phase.STUCK:
        return False
    yield from _answers(world, sleep)
    _, event = advance(root, after, _network(world, root, has_vif=True))
    if event is not None:
        console.kernel_says(event.console)
    return True


def _answers(
    world: World, sleep: Callable[[float], Steps], within: float = math.inf
) -> Generator[Any, Any, bool]:
    """Wait for the server; false if it has not come back in so many seconds."""
    end = world.env.now + within
    while not world.nfs.threads and world.env.now < end:
        yield from sleep(0.1)
    return world.nfs.threads > 0


def _network(world: World, root: NfsRoot, has_vif: bool) -> Network:
    nfs = world.nfs
    options = [given for (_, path), given in nfs.exports.items() if path == root.path]
    return Network(
        vif=has_vif,
        dhcp=False,
        server=nfs.threads > 0 and nfs.mountd,
        exported=bool(options),
        root_squash=not any("no_root_squash" in given for given in options),
    )
