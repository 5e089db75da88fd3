"""All that the simulated host holds: clock, machine, xenstore, files, and the source of random numbers."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import simpy

from xenlab.devices.evtchn import EventChannels
from xenlab.hosts.sim.domconfig import DomainConfig
from xenlab.hosts.sim.files import Files
from xenlab.hosts.sim.machine import Domain, Machine, MachineSpec
from xenlab.hosts.sim.net.machines import Machines
from xenlab.hosts.sim.nfs import NfsServer
from xenlab.hosts.sim.storelog import StoreLog
from xenlab.hosts.sim.xenstore import Xenstore
from xenlab.migration.rounds import Round
from xenlab.storage.blockdev import BlockDevice, MemoryDisk
from xenlab.storage.lvm import Lvm

if TYPE_CHECKING:
    from xenlab.hosts.sim.backends import Backend

DOM0_UPTIME_AT_START = 20.0  # seconds that dom0 has been up when the simulation starts
SPARE_DISK, SPARE_DISK_BYTES = "/dev/vdc", 2 << 30  # the blank disk for exercises, as the box has one
START_OF_TIME = datetime(2025, 1, 6, 9, 0, 0, tzinfo=UTC).timestamp()


class World:
    """The simulated host. The same `seed` and the same commands give the same world."""

    def __init__(self, spec: MachineSpec, seed: int, env: simpy.Environment | None = None) -> None:
        self.env = env or simpy.Environment()
        self.spec = spec
        self.machine = Machine(spec, self.env)
        self.files = Files()
        self.store_log = StoreLog(lambda: self.now, self.files.append)
        self.store = Xenstore(self.store_log)
        self.events = EventChannels()
        self.backends: dict[str, Backend] = {}  # of devices, by their paths in xenstore
        self.random = random.Random(seed)
        self._last_pid = 1200
        self.peers: dict[str, World] = {}  # hosts that a cable leads to, by name
        self.sent: list[Round] = []  # what migrations have sent from here
        self.disks: dict[str, BlockDevice] = {
            SPARE_DISK: MemoryDisk(SPARE_DISK_BYTES)
        }  # by their device nodes
        self.lvm = Lvm(self.disks)
        self.locks: dict[
            str, tuple[str, ...]
        ] = {}  # by device: the images that qemu-nbd has open, the top one first
        self.nfs = NfsServer()
        self.net = Machines(self.env)
        self.device_nodes: set[str] = set()  # what xenlab.hosts.sim.lvm keeps in /dev
        self.xen_log = ""  # what Xen has written into its log since it booted
        self.configs: dict[int, DomainConfig] = {}  # by domain id, as libxl keeps them in /var/lib/xen

    # -- time

    def pass_time(self, seconds: float) -> None:
        """Let so many seconds go by."""
        if seconds > 0:  # SimPy takes "until now" for a mistake
            self.env.run(until=self.env.now + seconds)

    def pass_time_until(self, condition: Callable[[], bool], limit: float) -> bool:
        """Let time go by until `condition` holds, at most `limit` seconds; whether it came to hold."""
        deadline = self.env.now + limit
        while not condition():
            if self.env.peek() > deadline:
                self.pass_time(max(0.0, deadline - self.env.now))
                return condition()
            self.env.step()
        return True

    @property
    def now(self) -> datetime:
        """The time of day in dom0 (UTC)."""
        return datetime.fromtimestamp(START_OF_TIME + self.env.now, UTC)

    @property
    def uptime(self) -> float:
        """Seconds since dom0 booted."""
        return DOM0_UPTIME_AT_START + self.env.now

    # -- names, which are xenstore's business

    def name_of(self, domid: int) -> str | None:
        """The domain's name in xenstore."""
        return self.store.read(f"/local/domain/{domid}/name")

    def domain_named(self, name: str) -> Domain | None:
        """The existing domain of that name."""
        for domid, domain in self.machine.domains.items():
            if self.name_of(domid) == name:
                return domain
        return None

    # -- processes in dom0

    def new_pid(self) -> int:
        """The number of a new process."""
        self._last_pid += 1
        return self._last_pid

    def rotate_log(self, path: str) -> None:
        """Begin the log `path` anew, keeping the one before as ``path.1`` (libxl_create_logfile)."""
        if self.files.is_file(path):
            self.files.write(f"{path}.1", self.files.read(path))
            self.files.remove(path)

    def next_loop(self) -> int:
        """The number of a loop device that no backend uses."""
        backends = "/local/domain/0/backend/vbd"
        used = {
            self.store.read(f"{backends}/{domid}/{number}/node")
            for domid in self.store.names(backends) or []
            for number in self.store.names(f"{backends}/{domid}") or []
        }
        return next(loop for loop in itertools.count() if f"/dev/loop{loop}" not in used)

    # -- random identities

    def new_uuid(self) -> str:
        """A random (version 4) UUID."""
        digits = f"{self.random.getrandbits(128):032x}"
        variant = "89ab"[int(digits[16], 16) % 4]
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"

    def new_mac(self) -> str:
        """A random MAC address under Xen's prefix 00:16:3e."""
        return ":".join(
            ("00", "16", "3e", *(f"{self.random.randrange(limit):02x}" for limit in (128, 256, 256)))
        )
