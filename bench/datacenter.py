"""How fast a large data centre is simulated, and in how much memory."""

from __future__ import annotations

import subprocess
import sys
from itertools import cycle

from bench.row import Row, seconds
from xenlab.datacenter.fleet import datacenter
from xenlab.datacenter.packing import best_fit_decreasing, first_fit_decreasing
from xenlab.datacenter.policies import Both, Static, place, spread
from xenlab.datacenter.simulation import simulate
from xenlab.datacenter.whatif_view import RunDatacenter

HOSTS, DOMAINS = 1000, 20_000
NAME = f"a simulated day of {HOSTS:,} hosts and {DOMAINS:,} domains"
#: The same in a process of its own, which tells the most memory that it has had, in KiB.
ALONE = """
import resource
from bench.datacenter import whole
whole()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def whole() -> None:
    """Make the cluster, spread the domains, and run the day: hotspots are cooled, quiet hosts emptied each hour."""
    cluster = datacenter(HOSTS, DOMAINS)
    day = simulate(cluster, spread(cluster), Both())
    assert len(day.moves) > HOSTS
    assert day.kwh < HOSTS * 24 * 0.225


def peak_mib() -> float:
    """Peak memory of a process that does only this."""
    done = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


def rows() -> list[Row]:
    cluster = datacenter(HOSTS, DOMAINS)
    still = seconds(lambda: simulate(cluster, spread(cluster), Static(all_on=True)), 3)
    table = [
        Row(f"{NAME}, consolidated each hour, hotspots cooled", seconds(whole, 3), "s", 60),
        Row(f"{NAME}, nobody is moved", still, "s", None),
        Row(f"peak memory of a process: {NAME}", (peak_mib(),), "MiB", 1024),
    ]
    run, limits = RunDatacenter(), cycle((70, 80, 90))
    knobs = {"hosts": 10, "rule": "both", "fails": "nothing"}
    days = seconds(
        lambda: run.draw({**knobs, "threshold": next(limits)}), 15
    )  # what it remembers does not count
    table.append(
        Row(
            "a knob of the what-if at a new position: a day of 10 hosts",
            tuple(1000 * t for t in days),
            "ms",
            60,
        )
    )
    for name, packing in (("first", first_fit_decreasing), ("best", best_fit_decreasing)):
        what = f"{DOMAINS:,} domains packed by what they want in each hour, {name} fit decreasing"
        table.append(Row(what, seconds(lambda packing=packing: place(cluster, packing), 3), "s", None))
    return table
