"""What runs in a simulated guest: it boots, starts the workload its kernel command line names, and obeys
xenstore.

The guest is the one that xenlab ships: its init prints ``xenlab: workload=NAME`` and starts that workload.
It answers ``control/shutdown``, follows ``memory/target`` with its balloon and ``cpu/N/availability`` with
CPU hotplug, as Linux does (drivers/xen/manage.c, xen-balloon.c, cpu_hotplug.c).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from xenlab.hosts.sim import devices
from xenlab.hosts.sim.machine import POWEROFF, REBOOT, Domain, OutOfMemoryError
from xenlab.hosts.sim.world import World

Steps = Generator[Any, Any, None]  # a SimPy process

BOOT_SECONDS = 1.0  # from the first instruction to the workload's start
ACKNOWLEDGE_SECONDS = 0.02  # from a request in xenstore to the guest's answer
SHUTDOWN_SECONDS = 0.4  # from the answer to SCHEDOP_shutdown
HOTPLUG_SECONDS = 0.1
BALLOON_KB_PER_SECOND = 256 * 1024
GUEST_NEEDS_KB = 24 * 1024  # what kernel and workload use; the balloon cannot take it
IDLE_DEMAND = 0.002  # timer ticks and little else
DEMANDS = {"burn": 1.0, "dirty": 0.3}
WORKLOADS = ("idle", "burn", "dirty", "disk", "counter", "ping")


@dataclass
class GuestState:
    """What a guest is in the middle of; this is what a save file keeps of it."""

    booted: bool = False
    count: int = 0  # how often the workloads `counter` and `disk` have done their work
    online: tuple[int, ...] = (0,)  # the vCPUs it uses


class Guest:
    """The software in one domain. Its processes start at once and wait for the domain to be unpaused."""

    def __init__(
        self, world: World, domain: Domain, name: str, cmdline: str, state: GuestState | None = None
    ) -> None:
        self.state = state or GuestState()
        self.workload = _argument(cmdline, "workload") or "idle"
        self._cmdline = cmdline
        self._world = world
        self._domain = domain
        self._console = f"/var/log/xen/console/guest-{name}.log"
        self._home = f"/local/domain/{domain.domid}"
        self._ballooning = False
        self.stopping = False  # it has been asked to shut down or reboot
        self._watches: list[Callable[[], None]] = []
        domain.load = self
        if self.state.booted:
            for number, vcpu in enumerate(domain.vcpus):
                vcpu.online = number in self.state.online
        world.env.process(self._life())

    def demand(self, vcpu: int) -> float:
        """The share of a pCPU that this vCPU would use if it were alone."""
        if not self.state.booted:
            return float(vcpu == 0)
        return DEMANDS.get(self.workload.split(":")[0], IDLE_DEMAND)

    def suspend(self) -> GuestState:
        """What it is in the middle of, for a save file."""
        vcpus = enumerate(self._domain.vcpus)
        self.state.online = tuple(number for number, vcpu in vcpus if vcpu.online)
        return self.state

    # -- the main process

    def _life(self) -> Steps:
        yield from self._work(0)
        restored = self.state.booted
        if not restored:
            if "quiet" not in self._cmdline.split():
                self._print(f"[    0.000000] Command line: {self._cmdline}")
                self._print("[    0.000000] Booting paravirtualized kernel on Xen")
            yield from self._work(BOOT_SECONDS)
            self._world.machine.account()
            self.state.booted = True
            self._print(f"xenlab: workload={self.workload}")
        self._connect(restored)
        if restored:
            yield from self._sleep(1.0)
        elif address := _argument(self._cmdline, "ip"):
            self._print(f"network: eth0 {address}")
        yield from self._do_the_work()

    def _do_the_work(self) -> Steps:
        kind = self.workload.split(":")[0]
        if kind not in WORKLOADS:
            self._print(f"xenlab: no such workload; known: {' '.join(WORKLOADS).replace('dirty', 'dirty:N')}")
        has_disk = self._world.store.names(f"{self._home}/device/vbd/51712") is not None
        while kind == "counter" or (kind == "disk" and has_disk):
            self.state.count += 1
            count = self.state.count
            self._print(f"counter {count}" if kind == "counter" else f"disk: {64 * count} KiB written")
            yield from self._sleep(1.0)

    def _connect(self, restored: bool) -> None:
        store = self._world.store
        if not restored:  # Linux says so when it boots, and not again
            for feature in ("poweroff", "reboot", "suspend"):
                store.write(f"{self._home}/control/feature-{feature}", "1")
        self._watches = [
            store.watch(f"{self._home}/control/shutdown", lambda _: self._start(self._obey())),
            store.watch(f"{self._home}/memory/target", lambda _: self._start(self._balloon())),
            store.watch(f"{self._home}/cpu", lambda _: self._start(self._plug_vcpus())),
        ]
        devices.connect(self._world, self._domain.domid)
        if not restored:
            self._start(self._plug_vcpus(at_boot=True))
        self._start(self._balloon())
        self._start(self._obey())  # a watch fires once when it is set

    def _start(self, steps: Steps) -> None:
        self._world.env.process(steps)

    def end(self) -> None:
        """Forget xenstore: the domain is being destroyed."""
        for stop_watching in self._watches:
            stop_watching()
        self._watches = []

    # -- answers to xenstore

    def _obey(self) -> Steps:
        path = f"{self._home}/control/shutdown"
        request = self._world.store.read(path)
        reason = {"poweroff": POWEROFF, "halt": POWEROFF, "reboot": REBOOT}.get(request or "")
        if reason is None:
            return
        self.stopping = True
        yield from self._work(ACKNOWLEDGE_SECONDS)
        if self._world.store.read(path) != request:
            return
        self._world.store.write(path, "")
        yield from self._work(SHUTDOWN_SECONDS)
        self._world.machine.shut_down(self._domain, reason)

    def _balloon(self) -> Steps:
        if self._ballooning:
            return
        self._ballooning = True
        machine, domain = self._world.machine, self._domain
        while (wanted := self._target_kb()) != domain.memory_kb:
            step = 0.1 * BALLOON_KB_PER_SECOND
            yield from self._work(0.1)
            change = max(-step, min(step, wanted - domain.memory_kb))
            try:
                machine.populate(domain, domain.memory_kb + round(change))
            except OutOfMemoryError:
                break
        self._ballooning = False

    def _target_kb(self) -> int:
        target = int(self._world.store.read(f"{self._home}/memory/target") or 0)
        return max(target, min(GUEST_NEEDS_KB, self._domain.memory_kb))

    def _plug_vcpus(self, at_boot: bool = False) -> Steps:
        yield from self._work(0 if at_boot else HOTPLUG_SECONDS)
        self._world.machine.account()
        for number, vcpu in enumerate(self._domain.vcpus):
            wanted = self._world.store.read(f"{self._home}/cpu/{number}/availability") == "online"
            # Linux brings a vCPU up by itself only at boot; later that is udev's work, which this guest lacks.
            vcpu.online = wanted if at_boot else vcpu.online and wanted

    # -- time, as the guest has it

    def _work(self, seconds: float) -> Steps:
        """Wait until the domain has been runnable for so long."""
        env, domain = self._world.env, self._domain
        while True:
            while not domain.runnable:
                yield domain.changed
            began = env.now
            if seconds <= 0:
                return
            yield env.timeout(seconds) | domain.changed
            seconds -= env.now - began
            if domain.runnable and seconds < 1e-9:
                return

    def _sleep(self, seconds: float) -> Steps:
        """Wait for a time of day, then until the domain is runnable: the clock goes on while it is paused."""
        yield self._world.env.timeout(seconds)
        yield from self._work(0)

    def _print(self, line: str) -> None:
        self._world.files.append(self._console, f"{line}\r\n".encode())


def _argument(cmdline: str, name: str) -> str | None:
    match = re.search(rf"(?:^|\s)xenlab\.{name}=(\S+)", cmdline)
    return match[1] if match else None
