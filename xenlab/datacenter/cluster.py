"""What a data centre is made of: hosts, domains, the disks they share, and what each of them can do."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from xenlab.commands import XenlabError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

DAY = 86_400.0  # seconds


class DatacenterError(XenlabError):
    """A data centre that cannot be, or something that cannot be asked of it."""


@dataclass(frozen=True)
class Host:
    """A machine that runs Xen.

    Args:
        name: What it is called.
        pcpus: How many physical CPUs it has for guests.
        memory: Memory for guests, in MiB.
        mbit: What its link for migrations carries, in Mbit/s.
        idle_watts: Power when it is on and does nothing.
        peak_watts: Power when all its pCPUs are busy. Between the two power grows in a straight line.
        boot: Seconds from power-on until it takes guests.

    """

    name: str
    pcpus: int = 16
    memory: int = 256 * 1024
    mbit: float = 10_000.0
    idle_watts: float = 150.0
    peak_watts: float = 300.0
    boot: float = 180.0

    def __post_init__(self) -> None:
        if self.pcpus < 1 or self.memory < 1 or self.mbit <= 0 or self.boot < 0:
            raise DatacenterError(f"host {self.name!r} must have pcpus, memory and a link, and boot(≥ 0)")
        if not 0 <= self.idle_watts <= self.peak_watts:
            raise DatacenterError(
                f"idle_watts(={self.idle_watts}) must lie between 0 and peak_watts(={self.peak_watts})"
            )


@dataclass(frozen=True)
class Domain:
    """A guest, and what it wants over a day.

    Args:
        name: What it is called.
        vcpus: Its virtual CPUs: the most pCPUs that it can use.
        memory: Its memory in MiB, all of it taken from its host.
        demand: The pCPUs that it wants, at equal distances over the day; one number if always the same.
        hot: Its writable working set in MiB: pages written so often that they are sent last when it is moved.
        writes: How fast it writes, in MiB/s of pages; 95 % of it in the hot ones.
        weight: Its weight in the credit scheduler.
        cap: The most pCPU it may get, in per cent of one, 0 for no limit.
        disk: Its disk in GiB.
        shared: Is the disk in the pool that all hosts reach (NFS, LVM on iSCSI)? If not, it is bound to its host.

    """

    name: str
    vcpus: int
    memory: int
    demand: tuple[float, ...]
    hot: float = 16.0
    writes: float = 5.0
    weight: int = 256
    cap: int = 0
    disk: float = 20.0
    shared: bool = True

    def __post_init__(self) -> None:
        if self.vcpus < 1 or self.memory < 1:
            raise DatacenterError(f"domain {self.name!r} must have a vCPU and a MiB of memory")
        if not self.demand or min(self.demand) < 0:
            raise DatacenterError(f"demand of domain {self.name!r} must be numbers from 0, one at least")
        if not 0 < self.hot <= self.memory:
            raise DatacenterError(f"hot(={self.hot}) must be more than 0 and at most memory(={self.memory})")

    @property
    def most(self) -> float:
        """The pCPUs that it can use at most: its vCPUs, or its cap."""
        return min(self.vcpus, self.cap / 100) if self.cap else float(self.vcpus)


@dataclass(frozen=True)
class Cluster:
    """Hosts that reach the same disks, and the domains to run on them; `pool` is the size of the disks in GiB.

    Columns over all of them (`pcpus`, `memory`, `need`, …) are arrays, in the order of `hosts` or of `domains`: a host
    and a domain are known by their place in it. Raises `DatacenterError` if the pool is too small.
    """

    hosts: tuple[Host, ...]
    domains: tuple[Domain, ...]
    pool: float = float("inf")

    def __post_init__(self) -> None:
        if not self.hosts:
            raise DatacenterError("hosts(=none) must be at least one")
        needed = sum(each.disk for each in self.domains if each.shared)
        if needed > self.pool:
            raise DatacenterError(f"pool(={self.pool:g} GiB) must hold the domains' disks: {needed:g} GiB")

    @cached_property
    def pcpus(self) -> Floats:
        """Physical CPUs by host."""
        return np.array([host.pcpus for host in self.hosts], dtype=float)

    @cached_property
    def memory(self) -> Ints:
        """Memory by host, in MiB."""
        return np.array([host.memory for host in self.hosts], dtype=np.int64)

    @cached_property
    def need(self) -> Ints:
        """Memory by domain, in MiB."""
        return np.array([domain.memory for domain in self.domains], dtype=np.int64)

    def demand(self, step: float = 300.0, *, noise: float = 0.0, seed: int = 0) -> npt.NDArray[np.float32]:
        """What the domains want in each `step` seconds of a day, in pCPUs: a row a step, a column a domain.

        Between the numbers of `Domain.demand` it goes in a straight line, and from the last back to the first. With
        `noise` each step is higher or lower at random by about that share, equal for equal `seed`. None wants more
        than its vCPUs or its cap let it have. Raises `DatacenterError` unless the steps fill a day.

        >>> night = Domain("backup", 2, 512, demand=(2.0, 0.0))
        >>> Cluster((Host("a"),), (night,)).demand(6 * 3600)[:, 0].tolist()
        [2.0, 1.0, 0.0, 1.0]
        """
        steps = round(DAY / step) if step > 0 else 0
        if steps < 1 or abs(steps * step - DAY) > 1e-6:
            raise DatacenterError(f"step(={step}) must divide a day of {DAY:g} s")
        wanted = np.empty((steps, len(self.domains)), dtype=np.float32)
        by_length: dict[int, list[int]] = {}
        for number, domain in enumerate(self.domains):
            by_length.setdefault(len(domain.demand), []).append(number)
        for length, members in by_length.items():
            known = np.array([self.domains[i].demand for i in members], dtype=np.float32).T
            at = np.arange(steps) * length / steps
            first = at.astype(int)
            part = (at - first).astype(np.float32)[:, None]
            wanted[:, members] = known[first] * (1 - part) + known[(first + 1) % length] * part
        if noise:
            draw = np.random.default_rng(seed).standard_normal(wanted.shape, dtype=np.float32)
            wanted *= np.maximum(0, 1 + noise * draw)
        return np.minimum(wanted, np.array([domain.most for domain in self.domains], dtype=np.float32))
