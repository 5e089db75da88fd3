"""How well the scheduler models predict the CPU shares that a real Xen gives: differences in percentage points."""

from __future__ import annotations

from bench.row import Row
from xenlab.hosts.fidelity import measure_scheduling
from xenlab.scheduling import fidelity


def rows() -> list[Row]:
    """Measure all configurations on two boxes; about eight minutes."""
    table = fidelity.compare(list(measure_scheduling("box")))
    errors = tuple(table.error.abs())
    counted = f"{table.configuration.nunique()} configurations, {len(table)} guests"
    return [
        Row(f"CPU shares predicted against measured, {counted}: difference", errors, "pp", 1),
        Row("the largest of these differences", (max(errors),), "pp", 4),
    ]
