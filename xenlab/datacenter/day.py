"""What a simulated day has come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from xenlab.datacenter.cluster import Cluster, Floats
from xenlab.datacenter.orders import Power

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Moved:
    """A live migration that has ended: who, from where, to where, its start and end, and its downtime (s)."""

    domain: int
    source: int
    target: int
    start: float
    end: float
    downtime: float


@dataclass(frozen=True, eq=False)
class Day:
    """A simulated day. Rows of `loads` and `powers` are steps of `step` seconds, columns are hosts.

    `loads`: what its domains want of a host, as a share of its pCPUs; `powers`: what it does (`Power`), after that
    step's orders. `joules` by host; `lacked` (pCPU seconds that it wanted and did not get) and `down` (seconds) by
    domain. `wanted` is what all wanted together, in pCPU seconds; `refused` counts orders that could not be obeyed.
    """

    cluster: Cluster
    step: float
    loads: npt.NDArray[np.float32]
    powers: npt.NDArray[np.int8]
    moves: tuple[Moved, ...]
    joules: Floats
    lacked: Floats
    down: Floats
    wanted: float
    refused: int

    @property
    def kwh(self) -> float:
        """The energy of all hosts."""
        return float(self.joules.sum() / 3.6e6)

    @property
    def hosts_on(self) -> npt.NDArray[np.int64]:
        """How many hosts were on, or booting, in each step."""
        return np.asarray(((self.powers == Power.ON) | (self.powers == Power.BOOTING)).sum(axis=1))

    @property
    def lacked_share(self) -> float:
        """Which part of the CPU time that was wanted was not got because a host had too little."""
        return float(self.lacked.sum()) / self.wanted if self.wanted else 0.0

    @property
    def hot(self) -> int:
        """In how many host steps a host was asked for more than it has."""
        return int((self.loads > 1.0).sum())

    def frame(self) -> pd.DataFrame:
        """The migrations as a table: domain, source, target, start (h), seconds, downtime (ms)."""
        import pandas as pd

        names, hosts = self.cluster.domains, self.cluster.hosts
        rows = [
            (
                names[each.domain].name,
                hosts[each.source].name,
                hosts[each.target].name,
                each.start / 3600,
                each.end - each.start,
                1000 * each.downtime,
            )
            for each in self.moves
        ]
        columns = ["domain", "source", "target", "start", "seconds", "downtime"]
        return pd.DataFrame(rows, columns=columns)

    def row(self) -> dict[str, float]:
        """The figures by which days are compared: a row of a table, or a cell of a sweep."""
        return {
            "kWh": self.kwh,
            "hosts on": float(self.hosts_on.mean()),
            "moves": float(len(self.moves)),
            "lacked %": 100 * self.lacked_share,
            "down s": float(self.down.sum()),
        }

    def __str__(self) -> str:
        on, all_hosts = self.hosts_on, len(self.cluster.hosts)
        moves = f"{len(self.moves):,} move{'' if len(self.moves) == 1 else 's'}"
        lacked = (
            f"{100 * self.lacked_share:.2f} % of the CPU time was lacking"
            if self.lacked.any()
            else ("nobody lacked CPU")
        )
        longest = float(self.down.max(initial=0.0))
        down = f"down for {longest:.1f} s at the longest" if longest else "nobody was down"
        return (
            f"simulated: {self.kwh:.1f} kWh, {on.max()} of {all_hosts} hosts on at most, {on.mean():.1f} on average; "
            f"{moves}; {lacked}; {down}"
        )
