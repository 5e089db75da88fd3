"""What is scheduled, and by which rules: pCPUs, domains, and each scheduler's parameters.

A `System` is one cpupool: some pCPUs, a scheduler of their own, and the domains on them. Pools share nothing, so a
host with several is several systems.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from xenlab.commands import XenlabError
from xenlab.scheduling.workload import Busy, Workload


class SchedulingError(XenlabError, ValueError):
    """A scheduling parameter out of its range: what was given, the range, the way out."""


def check_weight(weight: int) -> None:
    """Raise `SchedulingError` unless `weight` is from 1 to 65535 (libxl_sched.c)."""
    if not 1 <= weight <= 65535:
        raise SchedulingError(f"weight(={weight}) must be from 1 to 65535")


def check_cap(cap: int, vcpus: int) -> None:
    """Raise `SchedulingError` unless `cap` is from 0 (none) to 100 for each vCPU (libxl_sched.c)."""
    if not 0 <= cap <= 100 * vcpus:
        raise SchedulingError(
            f"cap(={cap}) must be from 0 (no cap) to {100 * vcpus}, 100 for each of {vcpus} vCPUs"
        )


@dataclass(frozen=True)
class Domain:
    """A domain as its scheduler knows it.

    `weight` is its claim on a contended processor against other domains' weights, for *each* of its vCPUs.
    `cap` is the most it may use, in percent of one pCPU (0: no cap). `cpus` are the pCPUs its vCPUs may run on (hard
    affinity, as ``cpus=`` in xl.cfg): numbers for all, or one tuple of numbers for each vCPU. `workload` is what its
    vCPUs do: one for all, or one for each.

    >>> Domain("web", vcpus=2, weight=512, cap=150).vcpu_names
    ('web.0', 'web.1')
    >>> Domain("web", cap=150)
    Traceback (most recent call last):
    xenlab.scheduling.machine.SchedulingError: cap(=150) must be from 0 (no cap) to 100, 100 for each of 1 vCPUs
    """

    name: str
    vcpus: int = 1
    weight: int = 256
    cap: int = 0
    cpus: tuple[int, ...] | tuple[tuple[int, ...], ...] | None = None
    workload: Workload | tuple[Workload, ...] = field(default_factory=Busy)

    def __post_init__(self) -> None:
        if self.vcpus < 1:
            raise SchedulingError(f"vcpus(={self.vcpus}) of {self.name} must be at least 1")
        check_weight(self.weight)
        check_cap(self.cap, self.vcpus)
        for name, given in (("workload", len(self.workloads)), ("cpus", len(self.affinities))):
            if given != self.vcpus:
                raise SchedulingError(
                    f"{name} of {self.name} is given for {given} vCPUs and it has {self.vcpus}: "
                    "give one for all, or one for each"
                )

    @property
    def vcpu_names(self) -> tuple[str, ...]:
        """Its vCPUs' names, ``domain.number``."""
        return tuple(f"{self.name}.{number}" for number in range(self.vcpus))

    @property
    def workloads(self) -> tuple[Workload, ...]:
        """One workload for each vCPU."""
        return self.workload if isinstance(self.workload, tuple) else (self.workload,) * self.vcpus

    @property
    def affinities(self) -> tuple[tuple[int, ...] | None, ...]:
        """For each vCPU the pCPUs it may run on, or None for all."""
        if self.cpus is None:
            return (None,) * self.vcpus
        if all(isinstance(cpu, int) for cpu in self.cpus):
            return (self.cpus,) * self.vcpus  # type: ignore[return-value]
        return self.cpus  # type: ignore[return-value]


@dataclass(frozen=True)
class CreditParameters:
    """The credit scheduler's pool-wide parameters (``xl sched-credit -s``), with Xen's defaults and ranges."""

    tslice_ms: int = 30
    ratelimit_us: int = 1000
    migration_delay_us: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.tslice_ms <= 1000:
            raise SchedulingError(f"tslice_ms(={self.tslice_ms}) must be from 1 to 1000")
        _check_ratelimit(self.ratelimit_us)
        if self.ratelimit_us > self.tslice_ms * 1000:
            raise SchedulingError(
                f"ratelimit_us(={self.ratelimit_us}) must not exceed the time slice of {self.tslice_ms} ms"
            )
        if not 0 <= self.migration_delay_us <= 100_000:
            raise SchedulingError(f"migration_delay_us(={self.migration_delay_us}) must be from 0 to 100000")


@dataclass(frozen=True)
class Credit2Parameters:
    """Credit2's parameters. pCPUs share a run queue up to `pcpus_per_runqueue` (Xen: those of a socket, at most 16)."""

    ratelimit_us: int = 1000
    pcpus_per_runqueue: int = 16

    def __post_init__(self) -> None:
        _check_ratelimit(self.ratelimit_us)
        if self.pcpus_per_runqueue < 1:
            raise SchedulingError(f"pcpus_per_runqueue(={self.pcpus_per_runqueue}) must be at least 1")


@dataclass(frozen=True)
class BvtParameters:
    """Borrowed Virtual Time's one parameter, the context switch allowance: how long a vCPU may run on unchallenged."""

    ctx_allow_us: int = 5000

    def __post_init__(self) -> None:
        if self.ctx_allow_us < 10:
            raise SchedulingError(f"ctx_allow_us(={self.ctx_allow_us}) must be at least 10")


@dataclass(frozen=True)
class SedfParameters:
    """Simple Earliest Deadline First: the period in which a capped domain gets its slice, and who gets what is left.

    With `extratime` domains without a cap share the time that nobody's slice claims (work-conserving mode).
    """

    period_ms: int = 20
    extratime: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.period_ms <= 10_000:
            raise SchedulingError(f"period_ms(={self.period_ms}) must be from 1 to 10000")


Parameters = CreditParameters | Credit2Parameters | BvtParameters | SedfParameters


def _check_ratelimit(ratelimit_us: int) -> None:
    if ratelimit_us and not 100 <= ratelimit_us <= 500_000:
        raise SchedulingError(f"ratelimit_us(={ratelimit_us}) must be 0 (off) or from 100 to 500000")


@dataclass(frozen=True)
class System:
    """A cpupool: its pCPUs (how many, or which), the domains on it, and its scheduler.

    `late_us` is by how many microseconds the timers of its pCPUs are late, on average: by none in a textbook,
    by some on any machine (Xen lets them wait for each other, by 50: `timer_slop`), by over a hundred under emulation.

    >>> System((Domain("web"), Domain("db", weight=512)), pcpus=2).pcpu_numbers
    (0, 1)
    """

    domains: tuple[Domain, ...]
    pcpus: int | tuple[int, ...] = 2
    scheduler: Parameters = CreditParameters()
    late_us: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.late_us <= 10_000:
            raise SchedulingError(f"late_us(={self.late_us}) must be from 0 (timers are never late) to 10000")
        numbers = self.pcpu_numbers
        if not numbers or len(set(numbers)) < len(numbers) or min(numbers) < 0:
            raise SchedulingError(f"pcpus(={self.pcpus}) must be at least one pCPU, each named once")
        names = [domain.name for domain in self.domains]
        if len(set(names)) < len(names):
            raise SchedulingError(f"domains must have different names, not {names}")

    @property
    def pcpu_numbers(self) -> tuple[int, ...]:
        """The numbers of its pCPUs, ascending."""
        return pcpu_numbers(self.pcpus)


def pcpu_numbers(pcpus: int | Sequence[int]) -> tuple[int, ...]:
    """How many pCPUs, or which, as ascending numbers."""
    return tuple(range(pcpus)) if isinstance(pcpus, int) else tuple(sorted(pcpus))
