"""A scheduler that lives on while domains come, change and go: the processor time of a simulated host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from xenlab.scheduling.machine import CreditParameters, Domain, Parameters, SchedulingError, pcpu_numbers
from xenlab.scheduling.parts import BLOCKED, PAUSED, VCpu
from xenlab.scheduling.simulate import new_clock, new_scheduler
from xenlab.scheduling.workload import SECOND, Workload

VCpuState = Literal["running", "runnable", "blocked", "paused"]


@dataclass(frozen=True)
class VCpuStatus:
    """A vCPU as ``xl vcpu-list`` shows it: where it is, how it is, its time so far (s), and where it may run."""

    number: int
    pcpu: int
    state: VCpuState
    seconds: float
    cpus: tuple[int, ...]


class Engine:
    """One cpupool in simulated time, which passes only in `advance`; `late_us` is as in `System`.

    >>> from xenlab.scheduling import Engine, Domain
    >>> engine = Engine(pcpus=1)
    >>> engine.add(Domain("web"))
    >>> engine.add(Domain("db"))
    >>> engine.advance(30)
    >>> engine.adjust("db", cap=20)
    >>> engine.advance(30)
    >>> [round(engine.seconds(name)) for name in ("web", "db")]
    [39, 21]
    """

    def __init__(
        self,
        pcpus: int | Sequence[int],
        parameters: Parameters = CreditParameters(),  # noqa: B008 (it is frozen)
        seed: int = 0,
        late_us: float = 0.0,
    ) -> None:
        self.parameters = parameters
        self.pcpus = pcpu_numbers(pcpus)
        self._clock = new_clock("heap", late_us, seed)
        self._scheduler = new_scheduler(parameters, self._clock, self.pcpus, seed=seed)

    @property
    def now(self) -> float:
        """Seconds since the pool was made."""
        return self._clock.now / SECOND

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        if seconds < 0:
            raise SchedulingError(f"seconds(={seconds}) must not be negative: time only goes forward")
        self._clock.run(self._clock.now + round(seconds * SECOND))

    def add(self, domain: Domain, *, paused: bool = False) -> None:
        """Create a domain."""
        self._scheduler.add(domain, self._clock.now, paused=paused)

    def remove(self, name: str) -> None:
        """Destroy a domain."""
        self._scheduler.remove(name, self._clock.now)

    def pause(self, name: str) -> None:
        """Keep all vCPUs of a domain off the pCPUs."""
        self._scheduler.pause(name, self._clock.now)

    def unpause(self, name: str) -> None:
        """Let a paused domain go on."""
        self._scheduler.unpause(name, self._clock.now)

    def adjust(self, name: str, *, weight: int | None = None, cap: int | None = None) -> None:
        """Change a domain's weight, cap, or both."""
        self._scheduler.adjust(name, self._clock.now, weight, cap)

    def pin(self, name: str, vcpu: int, cpus: Sequence[int] | None) -> None:
        """Change the pCPUs on which one vCPU may run; None for all."""
        self._scheduler.pin(self._vcpu(name, vcpu), cpus, self._clock.now)

    def set_workload(self, name: str, vcpu: int, workload: Workload) -> None:
        """Give one vCPU something else to do."""
        self._scheduler.set_workload(self._vcpu(name, vcpu), workload, self._clock.now)

    def set_parameters(self, parameters: Parameters) -> None:
        """Change the scheduler's own parameters, such as time slice and rate limit, but not the scheduler."""
        if type(parameters) is not type(self.parameters):
            raise SchedulingError(
                f"parameters(={parameters}) must be {type(self.parameters).__name__}: "
                "a pool keeps its scheduler; make another Engine"
            )
        self._scheduler.set_parameters(parameters)
        self.parameters = parameters

    def seconds(self, name: str) -> float:
        """How long all vCPUs of a domain have run, as ``xl list`` shows it."""
        return sum(status.seconds for status in self.vcpus(name))

    def vcpus(self, name: str) -> list[VCpuStatus]:
        """All vCPUs of a domain."""
        return [self._status(vcpu) for vcpu in self._scheduler.dom(name).vcpus]

    def _status(self, vcpu: VCpu) -> VCpuStatus:
        state: VCpuState = "runnable"  # also if it is parked: that is how Xen reports it
        if vcpu.cpu.current is vcpu:
            state = "running"
        elif vcpu.flags & PAUSED:
            state = "paused"
        elif vcpu.flags & BLOCKED:
            state = "blocked"
        allowed = tuple(number for number in self.pcpus if vcpu.affinity >> number & 1)
        seconds = self._scheduler.cpu_time(vcpu, self._clock.now) / SECOND
        return VCpuStatus(vcpu.number, vcpu.cpu.number, state, seconds, allowed)

    def _vcpu(self, name: str, number: int) -> Any:
        vcpus = self._scheduler.dom(name).vcpus
        if not 0 <= number < len(vcpus):
            raise SchedulingError(f"vcpu(={number}) of {name} must be from 0 to {len(vcpus) - 1}")
        return vcpus[number]
