"""Borrowed Virtual Time, Xen's first scheduler (removed in August 2006), as in ``xen/common/sched_bvt.c``.

Each vCPU has a virtual time, which advances while it runs, the slower the greater its weight; the one that is furthest
behind runs. Each pCPU has its own queue and its own virtual time: a vCPU stays where it was put, and one that wakes up
starts from there, so that sleeping saves up no claim.

Left out: warp, by which a domain could borrow against its future for low latency. And a vCPU that keeps its pCPU is
charged for the time since it was last charged; since February 2006 (eefccca99e) Xen charged all its time anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from xenlab.scheduling.clock import Clock
from xenlab.scheduling.core import Scheduler
from xenlab.scheduling.machine import BvtParameters, SchedulingError
from xenlab.scheduling.parts import Dom, PCpu, VCpu
from xenlab.scheduling.trace import Trace
from xenlab.scheduling.workload import NEVER, US

MCU = 100 * US  # the minimum charging unit
#: What one of them adds to the virtual time of a domain of weight 256. Xen's default is 10, the inverse of a weight;
#: this is finer, so that every weight has an inverse among the whole numbers.
MCU_ADVANCE = 2560
ALONE = 10  # times the allowance: the slice of a vCPU that nobody waits for


class BvtPCpu(PCpu):
    """A pCPU and its system virtual time."""

    __slots__ = ("svt",)

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.svt = 0


class BvtVCpu(VCpu):
    """A vCPU and its actual virtual time, charged up to `charged`."""

    __slots__ = ("avt", "charged", "migrated")

    def __init__(self, domain: Dom, number: int, affinity: int, cpu: PCpu) -> None:
        super().__init__(domain, number, affinity, cpu)
        self.avt = 0
        self.charged = 0.0
        self.migrated = True


class Bvt(Scheduler[Dom, BvtVCpu, BvtPCpu]):
    """Borrowed Virtual Time. In its trace, credit is how far a vCPU's virtual time is behind 0."""

    new_dom = Dom
    new_vcpu = BvtVCpu
    new_pcpu = BvtPCpu

    def __init__(
        self,
        parameters: BvtParameters,
        clock: Clock,
        pcpus: Sequence[int],
        trace: Trace | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(clock, pcpus, trace, seed)
        self.set_parameters(parameters)

    def set_parameters(self, parameters: BvtParameters) -> None:
        """Change the context switch allowance."""
        self.ctx_allow = parameters.ctx_allow_us * US

    def set_cap(self, domain: Dom, cap: int, now: float) -> None:
        """BVT knows no cap: raise `SchedulingError` if one is given."""
        if cap:
            raise SchedulingError(
                f"cap(={cap}) of {domain.name} must be 0: BVT has no caps; use credit or credit2"
            )

    def pick(self, vcpu: BvtVCpu) -> BvtPCpu:
        """The pCPU with the fewest vCPUs."""
        return self.least_occupied(vcpu)

    def move(self, vcpu: BvtVCpu, cpu: BvtPCpu, now: float) -> None:
        """Virtual times of two pCPUs cannot be compared: `vcpu` will start from the new one's."""
        vcpu.cpu = cpu
        vcpu.migrated = True

    def wake(self, vcpu: BvtVCpu, now: float) -> None:
        """Queue a vCPU that has become runnable; it preempts one of later virtual time (``bvt_wake``)."""
        cpu = vcpu.cpu
        cpu.runq.insert(0, vcpu)
        if vcpu.migrated or vcpu.avt < cpu.svt:
            vcpu.avt = cpu.svt
            vcpu.migrated = False
            self.credit[vcpu.index] = -vcpu.avt
        current: BvtVCpu | None = cpu.current
        if current is None:
            self.poke(cpu)
            return
        lead = vcpu.avt - self._charge(current, now)
        latest = current.entered + self._until_overtaken(current, lead)
        if lead <= 0 or latest <= now:
            self.poke(cpu)
        else:
            self.end_slice(cpu, latest)

    def sleep(self, vcpu: BvtVCpu, now: float) -> None:
        """Take a vCPU that is no longer runnable off its pCPU or queue."""
        if vcpu.cpu.current is vcpu:
            self.poke(vcpu.cpu)
        elif vcpu in vcpu.cpu.runq:
            vcpu.cpu.runq.remove(vcpu)

    def schedule(self, cpu: BvtPCpu, now: float) -> tuple[BvtVCpu | None, float]:
        """Pick the earliest virtual time, until it overtakes the second (``bvt_do_schedule``)."""
        current: BvtVCpu | None = cpu.current
        runq: list[BvtVCpu] = cpu.runq
        if current is not None:
            current.avt = self._charge(current, now)
            current.charged = now
            self.credit[current.index] = -current.avt
            if not current.flags:
                runq.append(current)
        if not runq:
            return None, NEVER
        chosen = min(runq, key=_virtual_time)
        cpu.svt = chosen.avt
        runq.remove(chosen)
        chosen.charged = now
        if not runq:
            return chosen, ALONE * self.ctx_allow
        return chosen, self._until_overtaken(chosen, min(runq, key=_virtual_time).avt - chosen.avt)

    def _charge(self, vcpu: BvtVCpu, now: float) -> int:
        """The virtual time of a running vCPU now; a unit that has begun is charged in full (``calc_avt``)."""
        return vcpu.avt + ceil((now - vcpu.charged) / MCU) * _advance(vcpu)

    def _until_overtaken(self, vcpu: BvtVCpu, lead: int) -> float:
        """The slice of `vcpu` if the next is `lead` behind it.

        As in Xen, a lead counted in charging units is added to an allowance in nanoseconds, so that the allowance
        alone decides.
        """
        return lead // _advance(vcpu) + self.ctx_allow


def _virtual_time(vcpu: BvtVCpu) -> int:
    return vcpu.avt


def _advance(vcpu: BvtVCpu) -> int:
    weight: int = vcpu.domain.weight
    return max(1, round(MCU_ADVANCE * 256 / weight))
