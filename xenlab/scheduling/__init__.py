"""How Xen shares processors among domains: its schedulers as state machines that can be run, watched and asked.

`simulate` runs a `System` and returns its trace and shares; `predict` returns just the shares; an `Engine` lives on,
while domains come, change and go.
"""

from xenlab.scheduling.engine import Engine, VCpuStatus
from xenlab.scheduling.machine import (
    BvtParameters,
    Credit2Parameters,
    CreditParameters,
    Domain,
    SchedulingError,
    SedfParameters,
    System,
)
from xenlab.scheduling.simulate import Run, predict, simulate
from xenlab.scheduling.workload import Blocking, Busy, Idle, Periodic, Replay

__all__ = [
    "Blocking",
    "Busy",
    "BvtParameters",
    "Credit2Parameters",
    "CreditParameters",
    "Domain",
    "Engine",
    "Idle",
    "Periodic",
    "Replay",
    "Run",
    "SchedulingError",
    "SedfParameters",
    "System",
    "VCpuStatus",
    "predict",
    "simulate",
]
