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

from xenlab.domains.console import CONSOLE_LOG
from xenlab.hosts.sim import devices, events, nfs
from xenlab.hosts.sim.frontends import Kernel
from xenlab.hosts.sim.machine import CRASH, POWEROFF, REBOOT, Domain
from xenlab.hosts.sim.world import World
from xenlab.memory.balloon import Balloon
from xenlab.memory.frames import FRAME_KB
from xenlab.scheduling.workload import Blocking, Busy, Idle, Workload
from xenlab.storage.blockdev import DiskError
from xenlab.storage.nfsroot import NfsRoot, read_nfsroot

Steps = Generator[Any, Any, None]  # a SimPy process

BOOT_SECONDS = 1.0  # from the first instruction to the workload's start
ACKNOWLEDGE_SECONDS = 0.02  # from a request in xenstore to the guest's answer
SHUTDOWN_SECONDS = 0.4  # from the answer to SCHEDOP_shutdown
HOTPLUG_SECONDS = 0.1
CLOCK_SECONDS = 0.1  # between two lines of the workload `clock`
BALLOON_BATCH_SECONDS = 0.02  # for 2 MiB
# Of a guest on Debian's kernel: what Linux never counts as its own, plus so much for each MiB it was built for, and for
# each section of 128 MiB but the first; what it uses of the rest; and the least that must stay free, or it panics.
RESERVED_KB, RESERVED_KB_PER_MIB, RESERVED_KB_PER_SECTION = 35_620, 4, 2_184
USED_KB, WATERMARK_KB = 26_128, 1_300
IDLE = Blocking(run_ms=0.2, sleep_ms=100)  # timer ticks and little else
#: Of the workload `dirty`: the guest of the box computes 38 ms for 20 MiB (scheduling/fidelity.csv).
WRITE_MS_PER_MIB = 1.9
PAGE = 4096
#: Debian's kernel for clouds, as the box's guests have it.
BANNER = (
    "Linux version 6.1.0-56-cloud-amd64 (debian-kernel@lists.debian.org) (gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0, "
    "GNU ld (GNU Binutils for Debian) 2.40) #1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-11-16)"
)
DISK_BLOCK, DISK_BLOCKS = 64 << 10, 16  # the workload `disk` writes these round and round
WORKLOADS = ("idle", "burn", "dirty", "disk", "counter", "clock", "meminfo", "ping", "ping:ADDRESS")


@dataclass
class GuestState:
    """What a guest is in the middle of; this is what a save file keeps of it."""

    booted: bool = False
    count: int = 0  # how often the workloads `clock`, `counter` and `disk` have done their work
    online: tuple[int, ...] = (0,)  # the vCPUs it uses
    drivers: tuple[
        str, ...
    ] = ()  # the kinds of devices it has frontends for: those that it found when it booted


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
        self._console = CONSOLE_LOG.format(name)
        self._home = f"/local/domain/{domain.domid}"
        self._balloon = Balloon(world.machine.memory, domain.domid)
        self._wakes = 0  # how often the balloon driver was woken
        self._started = world.env.now
        self.has_run = False  # since it was built or restored
        self.stopping = False  # it has been asked to shut down or reboot
        self._watches: list[Callable[[], None]] = []
        self._kernel = Kernel(world, domain, self._work)
        domain.load = self
        if self.state.booted:
            self.go_on_from(self.state)
        world.env.process(self._life())

    def go_on_from(self, state: GuestState) -> None:
        """Take over the state of a guest that has stopped elsewhere; not once it runs."""
        self.state = state
        for number, vcpu in enumerate(self._domain.vcpus):
            vcpu.online = number in state.online

    def vcpu_workload(self, vcpu: int) -> Workload:
        """What this vCPU does with its processor time; until the guest is up, the first one boots it."""
        if not self.state.booted:
            return Busy() if vcpu == 0 else Idle()
        kind, _, size = self.workload.partition(":")
        if kind == "burn":
            return Busy()
        if kind == "dirty" and size.isdigit():
            return Blocking(WRITE_MS_PER_MIB * max(1, int(size)), sleep_ms=1000, distribution="constant")
        return IDLE

    def suspend(self) -> GuestState:
        """What it is in the middle of, for a save file."""
        vcpus = enumerate(self._domain.vcpus)
        self.state.online = tuple(number for number, vcpu in vcpus if vcpu.online)
        return self.state

    # -- the main process

    def _life(self) -> Steps:
        yield from self._work(0)
        self.has_run = True
        self._started = self._world.env.now
        restored = self.state.booted
        if not restored:
            if "quiet" not in self._cmdline.split():
                self._first_words()
            yield from self._work(BOOT_SECONDS)
            self._world.machine.account()
            self.state.booted = True
            self._print(f"xenlab: workload={self.workload}")
        self._connect(restored)
        if (root := read_nfsroot(self._cmdline)) is not None:
            yield from self._live_on(root)
            return
        if restored:
            yield from self._sleep(CLOCK_SECONDS if self.workload == "clock" else 1.0)
        elif address := _argument(self._cmdline, "ip"):
            self._print(f"network: eth0 {address}")
        yield from self._do_the_work()

    def _do_the_work(self) -> Steps:
        kind = self.workload.split(":")[0]
        if kind not in WORKLOADS:
            self._print(f"xenlab: no such workload; known: {' '.join(WORKLOADS).replace('dirty', 'dirty:N')}")
        while kind == "clock":
            self.state.count += 1
            self._print(f"clock {self.state.count} {self._world.now.timestamp():.6f}")
            yield from self._sleep(CLOCK_SECONDS)
        if self.workload == "ping":
            self._world.net.answer(self._domain.domid)
        while kind == "ping" and ":" in self.workload:
            self._print(
                (yield from self._world.net.ping_from(self._domain.domid, self.workload.partition(":")[2]))
            )
            yield from self._sleep(1.0)
        while kind == "meminfo":
            self._print(self._meminfo())
            yield from self._sleep(1.0)
        has_disk = self._world.store.names(f"{self._home}/device/vbd/51712") is not None
        while kind == "counter" or (kind == "disk" and has_disk):
            self.state.count += 1
            count = self.state.count
            if kind == "disk":
                place = (count - 1) % DISK_BLOCKS * DISK_BLOCK
                try:
                    devices.write_disk(self._world, self._domain.domid, 51712, place, bytes(DISK_BLOCK))
                except DiskError:
                    self._complain_of_disk(place)
                    return
            self._print(f"counter {count}" if kind == "counter" else f"disk: {64 * count} KiB written")
            yield from self._sleep(1.0)

    def _complain_of_disk(self, offset: int) -> None:
        """What Linux says of a failed write (block/blk-mq.c, fs/buffer.c), of ten lost pages at most."""
        pages = DISK_BLOCK // PAGE
        flags = f"flags 0x800 phys_seg {pages} prio class 2"
        self._kernel_says(f"I/O error, dev xvda, sector {offset // 512} op 0x1:(WRITE) {flags}")
        for block in range(offset // PAGE, offset // PAGE + min(pages, 10)):
            self._kernel_says(f"Buffer I/O error on dev xvda, logical block {block}, lost async page write")

    def _meminfo(self) -> str:
        total, free = (max(kb, 0) for kb in (self._total_kb(), self._total_kb() - USED_KB))
        return f"meminfo: MemTotal {total} kB, MemFree {free} kB, current_kb {self._domain.memory_kb}"

    def _total_kb(self) -> int:
        mebibytes = self._balloon.most * FRAME_KB // 1024
        sections = -(-mebibytes // 128)
        reserved = RESERVED_KB + RESERVED_KB_PER_MIB * mebibytes + RESERVED_KB_PER_SECTION * (sections - 1)
        return self._domain.memory_kb - reserved

    def _live_on(self, root: NfsRoot) -> Steps:
        """Have its root on an NFS server; without one Linux panics."""
        has_vif = self._world.store.names(f"{self._home}/device/vif") is not None
        console = nfs.Console(self._print, self._kernel_says)
        yield from nfs.live(self._world, root, has_vif, console, self._sleep)
        self._world.machine.shut_down(self._domain, CRASH)

    def _connect(self, restored: bool) -> None:
        store = self._world.store
        events.open_kernel_ports(self._world, self._domain)
        if not restored:
            self.state.drivers = tuple(self._kernel.kinds())
            for feature in ("poweroff", "reboot", "suspend"):  # Linux says so when it boots, and not again
                self._write(f"control/feature-{feature}", "1")
        self._watches = [
            self._kernel.start(frozenset(self.state.drivers)),
            store.watch(f"{self._home}/control/shutdown", lambda _: self._start(self._obey())),
            store.watch(f"{self._home}/memory/target", lambda _: self._start(self._follow_target())),
            store.watch(f"{self._home}/cpu", lambda _: self._start(self._plug_vcpus())),
        ]
        address, gateway = _argument(self._cmdline, "ip"), _argument(self._cmdline, "gateway")
        self._world.net.connect(store, self._domain.domid, address, gateway)
        if not restored:
            self._start(self._plug_vcpus(at_boot=True))
        self._start(self._follow_target())
        self._start(self._obey())  # a watch fires once when it is set

    def _start(self, steps: Steps) -> None:
        self._world.env.process(steps)

    def end(self) -> None:
        """Forget xenstore: the domain is being destroyed."""
        for stop_watching in self._watches:
            stop_watching()
        self._watches = []
        self._kernel.end()

    def _write(self, path: str, value: str) -> None:
        with self._world.store.speaking(self._kernel.client):
            self._world.store.write(f"{self._home}/{path}", value)

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
        self._write("control/shutdown", "")
        yield from self._work(SHUTDOWN_SECONDS)
        self._world.machine.shut_down(self._domain, reason)

    def _follow_target(self) -> Steps:
        """Let the balloon driver work until it rests, or is woken anew."""
        self._wakes += 1
        woken, domain = self._wakes, self._domain
        self._balloon.target = int(self._world.store.read(f"{self._home}/memory/target") or 0) // FRAME_KB
        yield from self._work(0)
        while woken == self._wakes:
            had = domain.memory_kb
            wait = self._balloon.step()
            self._world.machine.account_memory(domain)
            if domain.memory_kb < had and self._total_kb() - USED_KB < WATERMARK_KB:
                self._run_out_of_memory()
                return
            if wait is None:
                return
            yield from self._work(BALLOON_BATCH_SECONDS)
            if wait:
                yield from self._sleep(wait)

    def _run_out_of_memory(self) -> None:
        """The balloon has taken what Linux itself needs: nothing but init is left to kill (mm/oom_kill.c)."""
        self._kernel_says("Out of memory and no killable processes...")
        self._kernel_says("Kernel panic - not syncing: System is deadlocked on memory")
        self._world.machine.shut_down(self._domain, CRASH)

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

    def _first_words(self) -> None:
        """What the kernel prints first; a PVH guest has no console yet for the lines that are marked (early)."""
        if self._domain.type == "pv":
            self._print(f"(early) [    0.000000] {BANNER}")
            self._print(f"(early) [    0.000000] Command line: {self._cmdline}")
        else:
            self._print("[    0.000000] ACPI: setting ELCR to 0200 (from ffff)")

    def _kernel_says(self, line: str) -> None:
        self._print(f"[{self._world.env.now - self._started:12.6f}] {line}")

    def _print(self, line: str) -> None:
        self._world.files.append(self._console, f"{line}\r\n".encode())


def _argument(cmdline: str, name: str) -> str | None:
    match = re.search(rf"(?:^|\s)xenlab\.{name}=(\S+)", cmdline)
    return match[1] if match else None
