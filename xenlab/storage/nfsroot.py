"""A guest without a disk: its root file system is a directory of an NFS server, reached through its vif.

Nothing in the domain's configuration says NFS but the kernel's command line (``root=/dev/nfs nfsroot=…
ip=…``): to Xen it is a guest with a network interface and no disk. What can go wrong is therefore the guest's
business, and is told here as a state machine over the guest's own steps and messages.

A kernel built with ROOT_NFS takes these steps itself. Debian's is not, so the first program in the shipped
guest's initrd takes them, with the kernel's own pauses between its tries.

Source: Linux, Documentation/admin-guide/nfs/nfsroot.rst, init/do_mounts.c: mount_nfs_root,
net/ipv4/ipconfig.c, kernel/exit.c: do_exit; nfs(5), exports(5); xl.cfg(5).
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace
from enum import Enum

from xenlab.storage.blockdev import StorageError


class NfsRootError(StorageError):
    """An NFS root that cannot be described to the kernel."""


@dataclass(frozen=True)
class StaticAddress:
    """The guest's own address, as the kernel's ``ip=`` takes it; `netmask` in dotted form."""

    address: str
    netmask: str
    gateway: str = ""
    hostname: str = ""


@dataclass(frozen=True)
class NfsRoot:
    """Where a guest's root file system is, and how the guest gets there.

    `server`: IPv4 address, for there is no name server yet. `path`: the exported directory. `options`: NFS
    mount options. `own`: the guest's address, None to ask DHCP.
    Raises `NfsRootError` for a server that is no IPv4 address, a path that is not absolute or holds a comma
    or a space.

    >>> NfsRoot("192.168.0.1", "/srv/guest").cmdline()
    'root=/dev/nfs nfsroot=192.168.0.1:/srv/guest,vers=3,tcp ip=dhcp rw'
    >>> own = StaticAddress("192.168.0.7", "255.255.255.0", "192.168.0.1", "web")
    >>> NfsRoot("192.168.0.1", "/srv/guest", own=own).cmdline().split()[2]
    'ip=192.168.0.7:192.168.0.1:192.168.0.1:255.255.255.0:web::off'
    """

    server: str
    path: str
    options: tuple[str, ...] = ("vers=3", "tcp")
    own: StaticAddress | None = None

    def __post_init__(self) -> None:
        try:
            ipaddress.IPv4Address(self.server)
        except ValueError as error:
            raise NfsRootError(
                f"server(={self.server!r}) must be an IPv4 address; the kernel has no resolver"
            ) from error
        if not re.fullmatch(r"/[^,\s]*", self.path):
            raise NfsRootError(f"path(={self.path!r}) must be absolute and without commas or spaces")

    def cmdline(self) -> str:
        """Return the kernel's command line: xl's ``cmdline=``, or its parts ``root=`` and ``extra=``."""
        own = self.own
        address = "dhcp"
        if own is not None:
            address = f"{own.address}:{self.server}:{own.gateway}:{own.netmask}:{own.hostname}::off"
        return (
            f"root=/dev/nfs nfsroot={','.join([f'{self.server}:{self.path}', *self.options])} ip={address} rw"
        )

    def exports(self, clients: str) -> str:
        """Return the server's line in /etc/exports for `clients`, an address or a network.

        The guest's root must be root on the server too (no_root_squash), or it cannot use its own files.

        >>> NfsRoot("192.168.0.1", "/srv/guest").exports("192.168.0.0/24")
        '/srv/guest 192.168.0.0/24(rw,sync,no_root_squash,no_subtree_check)'
        """
        return f"{self.path} {clients}(rw,sync,no_root_squash,no_subtree_check)"

    @property
    def patience(self) -> float:
        """Seconds without an answer until the client says so (nfs(5); Linux, net/sunrpc/xprt.c: xprt_adjust_timeout).

        It waits `timeo`, then over TCP `timeo` longer than the time before, over UDP twice as long. After each wait it
        looks whether the major timeout is over: of `retrans` retries, all counted from the start.

        >>> NfsRoot("10.0.0.1", "/a").patience, NfsRoot("10.0.0.1", "/a", ("vers=3", "udp")).patience
        (180.0, 16.5)
        >>> NfsRoot("10.0.0.1", "/a", ("timeo=10", "retrans=1")).patience
        3.0
        """
        values = dict(option.split("=", 1) for option in self.options if "=" in option)
        udp = "udp" in self.options
        first, retries = (
            int(values.get("timeo", 11 if udp else 600)),
            int(values.get("retrans", 3 if udp else 2)),
        )
        major = first << retries if udp else first * (1 + retries)
        waited, wait = 0, first
        while waited < major:
            waited += wait
            wait = 2 * wait if udp else wait + first
        return waited / 10


def read_nfsroot(cmdline: str) -> NfsRoot | None:
    """Return the NFS root that a kernel's command line names, None if it names none.

    >>> root = NfsRoot("10.0.0.1", "/srv/guest", own=StaticAddress("10.0.0.7", "255.255.255.0"))
    >>> read_nfsroot(root.cmdline()) == root
    True
    """
    words = dict(word.split("=", 1) for word in cmdline.split() if "=" in word)
    if "nfsroot" not in words:
        return None
    where, *options = words["nfsroot"].split(",")
    server, _, path = where.partition(":")
    fields = words.get("ip", "dhcp").split(":")
    if len(fields) < 4:
        return NfsRoot(server, path, tuple(options))
    address, _, gateway, netmask, *rest = fields
    return NfsRoot(server, path, tuple(options), StaticAddress(address, netmask, gateway, "".join(rest[:1])))


@dataclass(frozen=True)
class World:
    """What the guest depends on, any part of which may fail."""

    vif: bool = True
    dhcp: bool = True
    server: bool = True
    exported: bool = True
    root_squash: bool = False


class Phase(Enum):
    """How far a guest has come."""

    DEVICE = "waits for its network interface"
    ADDRESS = "asks for its address"
    MOUNT = "mounts its root"
    RUNNING = "runs"
    STUCK = "runs, but cannot reach its files"
    PANIC = "has no root: kernel panic"


@dataclass(frozen=True)
class State:
    """A guest with an NFS root: phase, seconds since its kernel started, and how often it has tried to mount."""

    phase: Phase = Phase.DEVICE
    time: float = 0.0
    tries: int = 0


@dataclass(frozen=True)
class Event:
    """One step: when it ended, what the guest's console shows (perhaps nothing) and why."""

    time: float
    phase: Phase
    console: str
    why: str


_WAIT_FOR_DEVICE = 12.0  # ipconfig.c: DEVICE_WAIT_MAX
_DHCP_TIMEOUTS = (2.0, 3.5, 6.125, 10.71875, 18.7578125, 30.0)  # CONF_BASE_TIMEOUT, times 7/4, at most 30 s
_MOUNT_PAUSES = (5.0, 10.0, 20.0, 30.0, 30.0)  # do_mounts.c: NFSROOT_TIMEOUT_MIN, doubled, at most 30 s
_PANIC = "Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100"


def advance(root: NfsRoot, state: State, world: World) -> tuple[State, Event | None]:
    """Take the guest one step on: return its next state and what happened, None if nothing does.

    A pure function, so that any clock can drive it: the world may be another at each step. The time that a
    single try to mount takes is not counted, only the pauses between them.
    """
    step = _STEPS[state.phase]
    after, console, why = step(root, state, world)
    if after == state:
        return state, None
    return after, Event(after.time, after.phase, console, why)


def boot(root: NfsRoot, world: World) -> list[Event]:
    """Boot a guest in a world that stays as it is: return the events until it runs, panics or goes round in a circle.

    >>> for event in boot(NfsRoot("10.0.0.1", "/srv/guest"), World(exported=False)):
    ...     print(f"{event.time:5.1f} s  {event.phase.name:7}  {event.why}")
      0.0 s  ADDRESS  eth0 is there
      2.0 s  MOUNT    the DHCP server answered
      7.0 s  MOUNT    the server does not export /srv/guest to this guest; try 1 of 6
     17.0 s  MOUNT    the server does not export /srv/guest to this guest; try 2 of 6
     37.0 s  MOUNT    the server does not export /srv/guest to this guest; try 3 of 6
     67.0 s  MOUNT    the server does not export /srv/guest to this guest; try 4 of 6
     97.0 s  MOUNT    the server does not export /srv/guest to this guest; try 5 of 6
     97.0 s  PANIC    the server does not export /srv/guest to this guest; try 6 of 6
    """
    state, events = State(), list[Event]()
    while state.phase not in (Phase.RUNNING, Phase.PANIC):
        before = state.phase
        state, event = advance(root, state, world)
        if event:
            events.append(event)
        if before is state.phase is Phase.ADDRESS:
            break  # it asks for an address for ever
    return events


def _wait_for_device(root: NfsRoot, state: State, world: World) -> tuple[State, str, str]:
    if world.vif:
        return replace(state, phase=Phase.ADDRESS), "", "eth0 is there"
    late = replace(state, phase=Phase.MOUNT, time=state.time + _WAIT_FOR_DEVICE)
    return late, "", "no network interface within 12 s: the domain has no vif, or its backend did not connect"


def _get_address(root: NfsRoot, state: State, world: World) -> tuple[State, str, str]:
    if root.own is not None:
        console = f"network: eth0 {root.own.address}"
        return replace(state, phase=Phase.MOUNT), console, "the address is on the command line"
    if world.dhcp:
        found = replace(state, phase=Phase.MOUNT, time=state.time + _DHCP_TIMEOUTS[0])
        return found, "Sending DHCP requests ., OK\nIP-Config: Complete:", "the DHCP server answered"
    later = replace(state, time=state.time + sum(_DHCP_TIMEOUTS))
    console = "Sending DHCP requests ...... timed out!\nIP-Config: Retrying forever (NFS root)..."
    return (
        later,
        console,
        "nobody answers DHCP; without a root there is nowhere to go, so the kernel asks for ever",
    )


def _mount(root: NfsRoot, state: State, world: World) -> tuple[State, str, str]:
    found = _mount_fault(root, world)
    if found is None:
        why = "the root is mounted, /sbin/init runs"
        if world.root_squash:
            why += "; but as nobody on the server (root_squash): it cannot write files that belong to root"
        return replace(state, phase=Phase.RUNNING), f"nfsroot: {root.server}:{root.path}", why
    errno, fault = found
    console = f"mount: mounting {root.server}:{root.path} on /mnt failed: {errno}"
    tries = state.tries + 1
    why = f"{fault}; try {tries} of {len(_MOUNT_PAUSES) + 1}"
    if tries > len(_MOUNT_PAUSES):
        panic = replace(state, phase=Phase.PANIC, tries=tries)
        return panic, f"{console}\nnfsroot: no root\n{_PANIC}", why
    return replace(state, tries=tries, time=state.time + _MOUNT_PAUSES[state.tries]), console, why


def _mount_fault(root: NfsRoot, world: World) -> tuple[str, str] | None:
    """Return the error that mount prints and what is behind it; None if nothing is in the way."""
    if not world.vif:
        return "Network is unreachable", "there is no way to the network"
    if not world.server:
        return "Connection refused", f"nobody serves NFS on {root.server}"
    if not world.exported:
        return "Permission denied", f"the server does not export {root.path} to this guest"
    return None


def _use(root: NfsRoot, state: State, world: World) -> tuple[State, str, str]:
    if world.server and world.vif:
        return state, "", ""
    later = replace(state, time=state.time + root.patience)
    if "soft" in root.options:
        console = f"nfs: server {root.server} not responding, timed out"
        return later, console, "a soft mount: whoever touches a file gets an I/O error"
    later = replace(later, phase=Phase.STUCK)
    why = "a hard mount: whoever touches a file waits, but nothing is lost"
    return later, f"nfs: server {root.server} not responding, still trying", why


def _wait_for_server(root: NfsRoot, state: State, world: World) -> tuple[State, str, str]:
    if not (world.server and world.vif):
        return state, "", ""
    running = replace(state, phase=Phase.RUNNING)
    return (
        running,
        f"nfs: server {root.server} OK",
        "the server answers again and the guest goes on where it was",
    )


def _stay(root: NfsRoot, state: State, world: World) -> tuple[State, str, str]:
    return state, "", ""


_STEPS = {
    Phase.DEVICE: _wait_for_device,
    Phase.ADDRESS: _get_address,
    Phase.MOUNT: _mount,
    Phase.RUNNING: _use,
    Phase.STUCK: _wait_for_server,
    Phase.PANIC: _stay,
}
