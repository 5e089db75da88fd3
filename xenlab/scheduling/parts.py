"""What a scheduler arranges: pCPUs, and domains of vCPUs, each with what all of Xen's schedulers keep of it.

A policy adds what it alone keeps, by subclasses.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from xenlab.scheduling.machine import Domain
from xenlab.scheduling.workload import NEVER, Burst

# Why a vCPU is not runnable (`VPF_*` in Xen); none of them: it is.
BLOCKED, PAUSED, PARKED, MIGRATING = 1, 2, 4, 8


class PCpu:
    """A physical processor: what runs on it, its run queue, and its timer."""

    __slots__ = ("armed", "bit", "current", "deadline", "done", "number", "runq")

    def __init__(self, number: int) -> None:
        self.number = number
        self.bit = 1 << number
        self.current: Any = None
        self.runq: list[Any] = []
        self.done = NEVER  # when the burst of what runs here ends
        self.deadline = NEVER  # when that or its slice ends
        self.armed = NEVER  # for when the clock was asked to call


class Dom:
    """A domain in its scheduler."""

    __slots__ = ("cap", "name", "vcpus", "weight")

    def __init__(self, spec: Domain) -> None:
        self.name = spec.name
        self.weight = spec.weight
        self.cap = 0
        self.vcpus: list[Any] = []


class VCpu:
    """A virtual processor.

    `flags` say why it is not runnable. `entered` is when it began to run, `cpu_time` how long it had run before that,
    and `goal` the `cpu_time` at which the run of its burst is done. `index` is its slot in its scheduler's lists.
    """

    __slots__ = (
        "affinity",
        "burst",
        "bursts",
        "cpu",
        "cpu_time",
        "domain",
        "entered",
        "flags",
        "goal",
        "index",
        "name",
        "number",
        "wake_at",
    )

    def __init__(self, domain: Dom, number: int, affinity: int, cpu: PCpu) -> None:
        self.domain: Any = domain
        self.number = number
        self.name = f"{domain.name}.{number}"
        self.affinity = affinity
        self.cpu: Any = cpu
        self.index = -1
        self.flags = PAUSED
        self.entered = 0.0
        self.cpu_time = 0.0
        self.goal = 0.0
        self.bursts: Iterator[Burst]
        self.burst = Burst(0.0)
        self.wake_at = NEVER


def next_in_cycle(number: int, mask: int) -> int:
    """The first member of `mask` after `number`, going round (``cpumask_cycle``); `mask` must not be empty.

    >>> next_in_cycle(1, 0b1011), next_in_cycle(3, 0b1011)
    (3, 0)
    """
    above = mask >> (number + 1) << (number + 1)
    rest = above or mask
    return (rest & -rest).bit_length() - 1
