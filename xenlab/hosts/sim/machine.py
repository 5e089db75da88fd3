"""The simulated machine and its hypervisor: pCPUs, memory, domains and their states, CPU time.

Nothing here knows names: as on a real machine, a domain is a number to the hypervisor, and its name is in
xenstore.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, Protocol

import simpy

from xenlab.hosts.sim.cpu import CpuClaim, share_cpus

GuestType = Literal["pv", "pvh"]
POWEROFF, REBOOT, SUSPEND, CRASH = 0, 1, 2, 3  # SHUTDOWN_*, public/sched.h
DOM0_DEMAND = 0.02  # share of a pCPU that an idle dom0 uses
DOMAIN_OVERHEAD_KB = 1024  # memory that Xen itself takes for a domain (LIBXL_PV_EXTRA_MEMORY)


@dataclass(frozen=True)
class MachineSpec:
    """What the simulated machine is. The defaults are those of the box: 2 pCPUs, 1 GiB, half a dom0."""

    pcpus: int = 2
    memory_mib: int = 1023
    xen_mib: int = 139  # what Xen itself takes: free_memory of a box without guests is 500
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

    def demand(self, vcpu: int) -> float:
        """The share of a pCPU that this vCPU would use if it were alone, from 0 to 1."""


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
    weight: int = 256
    cap: int = 0
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


@dataclass
class SchedulerParameters:
    """Pool-wide parameters; defaults of credit.c and sched/private.h."""

    tslice_ms: int = 30
    ratelimit_us: int = 1000
    migration_delay_us: int = 0


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
        self.scheduler = SchedulerParameters()
        self.domains: dict[int, Domain] = {}
        self.next_domid = 0
        self._accounted = env.now
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
        return domain

    def destroy_domain(self, domain: Domain) -> None:
        """Take the domain away; its memory is free at once."""
        self.account()
        del self.domains[domain.domid]
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
        taken = sum(domain.memory_kb + DOMAIN_OVERHEAD_KB for domain in self.domains.values())
        return self.total_kb - self.spec.xen_mib * 1024 - taken

    def populate(self, domain: Domain, memory_kb: int) -> None:
        """Give the domain so much memory, or raise `OutOfMemoryError` and leave it as it is."""
        if memory_kb - domain.memory_kb > self.free_kb:
            raise OutOfMemoryError
        domain.memory_kb = memory_kb
        domain.peak_kb = max(domain.peak_kb, memory_kb)

    # -- processors

    @property
    def all_pcpus(self) -> frozenset[int]:
        """The numbers of the pCPUs."""
        return frozenset(range(self.spec.pcpus))

    def account(self) -> None:
        """Charge the CPU time since the last call; call it before anything changes that decides who runs."""
        now = self.env.now
        grants = share_cpus(list(self._claims()), self.spec.pcpus, self._accounted, now - self._accounted)
        self._accounted = now
        for domain in self.domains.values():
            for number, vcpu in enumerate(domain.vcpus):
                grant = grants.get((domain.domid, number))
                vcpu.running = grant is not None and grant.running
                if grant is not None:
                    vcpu.seconds += grant.seconds
                    vcpu.pcpu = grant.pcpu
                if domain.runnable:
                    vcpu.blocked = self._demand(domain, number) < 0.5

    def charge(self, domain: Domain, seconds: float) -> None:
        """Add CPU time that a domain used at once, such as dom0 for a command."""
        domain.vcpus[0].seconds += seconds

    def _claims(self) -> Iterable[CpuClaim]:
        for domain in self.domains.values():
            for number, vcpu in enumerate(domain.vcpus):
                if vcpu.online and domain.runnable:
                    demand = self._demand(domain, number)
                    yield CpuClaim(
                        (domain.domid, number), demand, domain.weight, domain.cap, vcpu.hard_affinity
                    )

    def _demand(self, domain: Domain, vcpu: int) -> float:
        if domain.load is None:
            return DOM0_DEMAND if domain.domid == 0 else 0.0
        return domain.load.demand(vcpu)
