"""The simulated dom0: commands go to the programs that are interpreted, files to the files in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import simpy

from xenlab.commands import Completed, XenlabError
from xenlab.hosts.dom0 import Dom0
from xenlab.hosts.sim import events, lvm, mfndump, nbd, nfs, qemu_img, xentop, xentrace
from xenlab.hosts.sim.machine import MachineSpec
from xenlab.hosts.sim.net import programs as net_programs
from xenlab.hosts.sim.process import ExitProgram, NotSimulated, Process
from xenlab.hosts.sim.shell import PROGRAMS
from xenlab.hosts.sim.toolstack import lay_out_dom0
from xenlab.hosts.sim.world import World
from xenlab.hosts.sim.xenstore_tools import xenstore_tool
from xenlab.hosts.sim.xl import xl
from xenlab.hosts.sim.xl.migrate import WIRE_PROGRAMS
from xenlab.networking.rule_tables import nf_conntrack

COMMAND_SECONDS = 0.05  # time that every command takes
FOLDERS = (
    "/bin",
    "/dev",
    "/etc/xen",
    "/proc/xen",
    "/root",
    "/run",
    "/sys/bus/xen-backend/devices",
    "/tmp",
    "/var/lib/xen",
    "/var/lib/xenlab",
    "/var/lib/xenlab-guest",
    "/var/log/xen/console",
)
GUEST_FILES = (
    "/var/lib/xenlab-guest/vmlinux",
    "/var/lib/xenlab-guest/initrd.gz",
    "/var/lib/xenlab-guest/initrd-nfs.gz",
    "/bin/busybox",
)
XL_CONF = 'autoballoon="off"\nvif.default.bridge="xenbr0"\n'


class SimDom0(Dom0):
    """A dom0 that exists only here: it interprets the commands of a real one and prints what that would
    print.

    Time is virtual: `wait(30)` costs none. The same `seed` and the same commands give the same output,
    including UUIDs and MAC addresses. A command that is not interpreted raises `NotSimulated`.

    >>> dom0 = SimDom0()
    >>> print(dom0.run(["xl", "domname", "0"]).stdout)
    Domain-0
    <BLANKLINE>
    """

    kind: ClassVar[str] = "sim"
    simulated: ClassVar[bool] = True
    shared: ClassVar[bool] = False

    def __init__(
        self,
        spec: MachineSpec = MachineSpec(),  # noqa: B008 - it is frozen
        seed: int = 0,
        env: simpy.Environment | None = None,
    ) -> None:
        self.world = World(spec, seed, env)
        self.dead = False  # its power was cut
        lay_out_dom0(self.world)
        self._lay_out_files()

    def _lay_out_files(self) -> None:
        files = self.world.files
        for folder in FOLDERS:
            files.make_folder(folder)
        files.write("/dev/null", b"")
        files.write("/etc/xen/xl.conf", XL_CONF.encode())
        files.write("/etc/hostname", f"{self.world.spec.hostname}\n".encode())
        files.write("/proc/xen/capabilities", b"control_d\n")
        files.make_folder("/sys/hypervisor/version")
        # Linux: Documentation/ABI/stable/sysfs-hypervisor-xen
        for name, value in (
            ("type", "xen"),
            ("version/major", "4"),
            ("version/minor", "17"),
            ("version/extra", ".7"),
        ):
            files.write(f"/sys/hypervisor/{name}", f"{value}\n".encode())
        files.write("/proc/uptime", lambda: f"{self.world.uptime:.2f} {self.world.uptime:.2f}\n".encode())
        files.make_folder("/proc/net")
        files.write("/proc/net/nf_conntrack", self._conversations)
        lvm.make_nodes(self.world)
        for path in GUEST_FILES:
            files.write(path, b"(simulated)\n")

    def _conversations(self) -> bytes:
        rules = self.world.net.dom0.netfilter
        if not rules.tracking:
            raise FileNotFoundError(2, "No such file or directory", "/proc/net/nf_conntrack")
        table = nf_conntrack(rules.conntrack, self.world.env.now)
        return f"{table}\n".encode() if table else b""

    def run(self, argv: Sequence[str], stdin: str = "") -> Completed:
        """Interpret a command; raises `NotSimulated` for one that the simulator does not know."""
        if self.dead:
            raise XenlabError(f"{self.world.spec.hostname} has no power: connect again")
        process = Process(argv, stdin)
        self.world.pass_time(COMMAND_SECONDS)
        try:
            status = self._program(process)(self.world, process)
        except ExitProgram as exit_program:
            status = exit_program.status
        return process.completed(status & 0xFF)

    def _program(self, process: Process) -> Callable[[World, Process], int]:
        name = process.argv[0].rpartition("/")[2]
        if name == "xl":
            return xl
        if name.startswith("xenstore-"):
            return xenstore_tool
        if name in PROGRAMS:
            return PROGRAMS[name]
        for programs in (
            events.PROGRAMS,
            lvm.PROGRAMS,
            mfndump.PROGRAMS,
            nbd.PROGRAMS,
            nfs.PROGRAMS,
            qemu_img.PROGRAMS,
            xentop.PROGRAMS,
            xentrace.PROGRAMS,
            WIRE_PROGRAMS,
        ):
            if name in programs:
                return programs[name]
        if name in net_programs.PROGRAMS:
            return net_programs.run
        raise NotSimulated(name)

    def put(self, data: bytes, path: str) -> None:
        """Write `data` to the file `path`."""
        device = lvm.block_device(self.world, path)
        if device is not None:
            device.write(0, data)
        else:
            self.world.files.write(path, data)

    def get(self, path: str) -> bytes:
        """Read the file `path`."""
        return self.world.files.read(path)

    def now(self) -> float:
        """Seconds of virtual time since the simulation began."""
        return float(self.world.env.now)

    def wait(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.world.pass_time(seconds)

    def close(self) -> None:
        """Nothing is held."""
