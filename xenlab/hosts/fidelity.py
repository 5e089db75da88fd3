"""Measure for `xenlab fidelity` what only several hosts together can show."""

from __future__ import annotations

from collections.abc import Iterator

from xenlab.hosts.connect import connect
from xenlab.hosts.host import Host
from xenlab.scheduling.fidelity import CONFIGURATIONS, Measurement, measure, suited


def measure_scheduling(kind: str, seconds: int = 12) -> Iterator[Measurement]:
    """Run the configurations of `xenlab.scheduling.fidelity`, each for `seconds`, and yield what came out.

    Arguments: the kind of host, as `connect` takes it, and how long. On ``"box"`` a second box, booted with credit2,
    runs what the first, whose scheduler is credit, cannot; on any other host those configurations are left out.
    """
    with connect(kind) as host:
        chosen = suited(host.xl("info", "xen_scheduler").strip())
        yield from measure(host, chosen, seconds)
    if kind == "box":
        from xenlab.hosts.box.box import Box  # here, for others need none of what it imports

        rest = [configuration for configuration in CONFIGURATIONS if configuration not in chosen]
        with Host(Box(scheduler="credit2")) as host:
            yield from measure(host, rest, seconds)
