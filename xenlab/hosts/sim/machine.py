"""The simulated machine and its hypervisor: pCPUs, memory, domains and their states, CPU time.

Nothing here knows names: as on a real machine, a domain is a number to the hypervisor, and its name is in
xenstore.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

import simpy

from xenlab.hosts.sim.cpu import CpuClaim, Pool, Processors
from xenlab.memory.frames import FRAME_KB, XEN, FrameNumbers
from xenlab.memory.machine import Machine as Memory
from xenlab.scheduling.machine import Credit2Parameters, CreditParameters
from xenlab.scheduling.workload import Blocking, Idle, Workload

GuestType = Literal["pv", "pvh"]
POWEROFF, REBOOT, SUSPEND, CRASH = 0, 1, 2, 3  # SHUTDOWN_*, public/sched.h
DEFAULT_WEIGHT = 256  # CSCHED_DEFAULT_WEIGHT, CSCHED2_DEFAULT_WEIGHT
DOM0_WORKLOAD = Blocking(run_ms=2, sleep_ms=98)  # what an idle dom0 does: 2 % of a pCPU on each vCPU
KERNEL_PAGES = 0x3E00  # of a PV guest: what its builder has put before the pages below
AREA_PAGES = 0x4000  # what the builder maps at the kernel's address
# In the pages behind the kernel: start info, xenstore's ring, the console's ring, and from here on page tables.
XENSTORE_PAGE, CONSOLE_PAGE, TABLE_PAGES = 1, 2, 3
DOMAIN_OVERHEAD_KB = 1024  # memory that Xen itself takes for a domain (LIBXL_PV_EXTRA_MEMORY)


@dataclass(frozen=True)
class MachineSpec:
    """What the simulated machine is. The defaults are those of the box: 2 pCPUs, 1 GiB, half a dom0."""

    pcpus: int = 2
    memory_mib: int = 1023
    xen_mib: int = 13  # what Xen itself takes: free_memory of a box without guests is 626
    dom0_mib: int = 384
    dom0_vcpus: int = 2
    scheduler: Literal["credit", "credit2"] = "credit"
    hostname: str = "sim"
    kernel_release: str = "6.1.0-56-amd64"
    kernel_version: str = "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-11-16)"
    cpu_khz: int = 1_996_248


@dataclass
class Vcpu:
    """One virtual CPU: whether the guest uses it, where it may run, the time it has had."""

    hard_affinity: frozenset[int]
    soft_affinity: frozenset[int]
    online: bool = True
    seconds: float = 0.0
    pcpu: int = 0
    running: bool = False
    blocked: bool = False  # waiting for an event


class Load(Protocol):
    """What runs in a domain, as far as the hypervisor can see it."""

    def vcpu_workload(self, vcpu: int) -> Workload:
        """What this vCPU does with its processor time."""


@dataclass
class Domain:
    """A domain as the hypervisor keeps it."""

    domid: int
    uuid: str
    type: GuestType
    vcpus: list[Vcpu]
    changed: simpy.Event = field(
        repr=False
    )  # fires when it stops, goes on, or ends; then a new one takes its place
    memory_kb: int = 0
    max_memory_kb: int = 0
    peak_kb: int = 0  # the most memory it has had: how far its p2m table reaches
    weight: int = DEFAULT_WEIGHT
    cap: int = 0
    pool: int = 0  # its cpupool
    pauses: int = 0  # pause count: each `xl pause` adds one, each `xl unpause` takes one away
    shutdown_reason: int | None = None
    load: Load | None = None
    destroyed: bool = False

    @property
    def runnable(self) -> bool:
        """Can its vCPUs run: neither paused, nor shut down, nor destroyed?"""
        return self.pauses == 0 and self.shutdown_reason is None and not self.destroyed

    @property
    def seconds(self) -> float:
        """CPU time of all its vCPUs together."""
        return sum(vcpu.seconds for vcpu in self.vcpus)

    @property
    def online_vcpus(self) -> int:
        """How many vCPUs the guest uses."""
        return sum(vcpu.online for vcpu in self.vcpus)


def new_parameters(scheduler: str) -> CreditParameters | Credit2Parameters:
    """The parameters that a scheduler begins with."""
    return CreditParameters() if scheduler == "credit" else Credit2Parameters()


class OutOfMemoryError(Exception):
    """The machine has less free memory than was asked for."""


class Machine:
    """The hypervisor: creates and ends domains, lets time pass, and accounts for memory and CPU time.

    >>> machine = Machine(MachineSpec(), simpy.Environment())
    >>> web = machine.create_domain("uuid", "pv", vcpus=1)
    >>> machine.populate(web, 64 * 1024)
    >>> web.domid, web.memory_kb
    (1, 65536)
    """

    def __init__(self, spec: MachineSpec, env: simpy.Environment) -> None:
        self.spec = spec
        self.env = env
        self._processors = Processors()
        self.pools = {0: Pool(self.all_pcpus, new_parameters(spec.scheduler))}  # by cpupool id
        self.domains: dict[int, Domain] = {}
        self.memory = Memory(spec.memory_mib * 256, spec.xen_mib * 256)
        self._overhead: dict[int, FrameNumbers] = {}  # the frames that Xen has taken for each domain
        self.next_domid = 0
        dom0 = self.create_domain("00000000-0000-0000-0000-000000000000", "pv", spec.dom0_vcpus)
        self.populate(dom0, spec.dom0_mib * 1024)

    # -- domains

    def create_domain(self, uuid: str, kind: GuestType, vcpus: int) -> Domain:
        """Make an empty domain under the next id; it is paused once, except dom0."""
        self.account()
        everywhere = self.all_pcpus
        domid = self.next_domid
        self.next_domid += 1
        units = [Vcpu(everywhere, everywhere, online=number == 0 or domid == 0) for number in range(vcpus)]
        domain = Domain(domid, uuid, kind, units, self.env.event(), pauses=int(domid > 0))
        self.domains[domid] = domain
        self.memory.add(domid, 0, translated=kind == "pvh")
        wanted = min(DOMAIN_OVERHEAD_KB // FRAME_KB, self.memory.frames.free)
        self._overhead[domid] = self.memory.frames.allocate(XEN, wanted)
        return domain

    def destroy_domain(self, domain: Domain) -> None:
        """Take the domain away; its memory is free at once."""
        self.account()
        del self.domains[domain.domid]
        self.memory.remove(domain.domid)
        for mfn in self._overhead.pop(domain.domid).tolist():
            self.memory.frames.put(mfn)
        domain.destroyed = True
        self._announce(domain)

    def pause(self, domain: Domain) -> None:
        """Stop its vCPUs; pauses add up (DOMCTL_pausedomain)."""
        self.account()
        domain.pauses += 1
        for vcpu in domain.vcpus:
            vcpu.blocked = False  # the next timer event ends its wait, and there it stays
        self._announce(domain)

    def unpause(self, domain: Domain) -> None:
        """Take back one pause."""
        self.account()
        domain.pauses -= 1
        self._announce(domain)

    def shut_down(self, domain: Domain, reason: int) -> None:
        """Record that the guest has ended by itself (SCHEDOP_shutdown): its vCPUs stop, its memory stays."""
        self.account()
        domain.shutdown_reason = reason
        domain.vcpus[0].blocked = False  # it is the one that made the hypercall
        self._announce(domain)

    def resume(self, domain: Domain) -> None:
        """Let a guest that has suspended go on (DOMCTL_resumedomain)."""
        self.account()
        domain.shutdown_reason = None
        self._announce(domain)

    def _announce(self, domain: Domain) -> None:
        changed, domain.changed = domain.changed, self.env.event()
        changed.succeed()

    # -- memory

    @property
    def total_kb(self) -> int:
        """Memory of the machine."""
        return self.spec.memory_mib * 1024

    @property
    def free_kb(self) -> int:
        """Memory that no domain has."""
        return self.memory.frames.free * FRAME_KB

    def populate(self, domain: Domain, memory_kb: int, most_kb: int = 0) -> None:
        """Give a new domain so much memory, and room for more; or raise `OutOfMemoryError` and leave it as it is."""
        if memory_kb > self.free_kb:
            raise OutOfMemoryError
        self.memory.build(domain.domid, memory_kb // FRAME_KB, most_kb // FRAME_KB)
        self.account_memory(domain)

    def behind_the_kernel(self, domain: Domain, number: int) -> int:
        """A page of a PV guest, by its number behind the kernel; a small guest has a small kernel."""
        return min(KERNEL_PAGES, len(self.memory.domains[domain.domid].p2m) // 2) + number

    def account_memory(self, domain: Domain) -> None:
        """Take over what a balloon has changed."""
        domain.memory_kb = self.memory.pages_of(domain.domid) * FRAME_KB
        domain.peak_kb = max(domain.peak_kb, domain.memory_kb)

    # -- processors

    @property
    def all_pcpus(self) -> frozenset[int]:
        """The numbers of the pCPUs."""
        return frozenset(range(self.spec.pcpus))

    @property
    def free_pcpus(self) -> frozenset[int]:
        """The pCPUs that are in no cpupool."""
        return self.all_pcpus.difference(*(pool.cpus for pool in self.pools.values()))

    def pool_of(self, domain: Domain) -> Pool:
        """The cpupool that the domain is in."""
        return self.pools[domain.pool]

    def set_pool(self, number: int, pool: Pool | None) -> None:
        """Make a cpupool, change it, or (None) end it."""
        self.account()
        if pool is None:
            del self.pools[number]
        else:
            self.pools[number] = pool

    def move(self, domain: Domain, number: int) -> None:
        """Put the domain into another cpupool, where it begins anew (sched_move_domain)."""
        self.account()
        domain.pool, domain.weight, domain.cap = number, DEFAULT_WEIGHT, 0
        for vcpu in domain.vcpus:
            vcpu.hard_affinity = vcpu.soft_affinity = self.all_pcpus

    def account(self) -> None:
        """Bring CPU times and states up to now; call it before anything changes that decides who runs."""
        claims = [self._claim(domain) for domain in self.domains.values()]
        for domid, statuses in self._processors.run(self.pools, claims, self.env.now).items():
            domain = self.domains[domid]
            for vcpu, status in zip(domain.vcpus, statuses, strict=True):
                vcpu.seconds = status.seconds
                vcpu.pcpu = status.pcpu
                vcpu.running = status.state == "running"
                if domain.runnable:
                    vcpu.blocked = status.state == "blocked"

    def _claim(self, domain: Domain) -> CpuClaim:
        return CpuClaim(
            domain.domid,
            domain.weight,
            domain.cap,
            domain.runnable,
            tuple(self._workload(domain, number) for number in range(len(domain.vcpus))),
            tuple(vcpu.hard_affinity for vcpu in domain.vcpus),
            domain.pool,
        )

    def _workload(self, domain: Domain, vcpu: int) -> Workload:
        if not domain.vcpus[vcpu].online:
            return Idle()
        if domain.load is None:
            return DOM0_WORKLOAD if domain.domid == 0 else Idle()
        return domain.load.vcpu_workload(vcpu)
