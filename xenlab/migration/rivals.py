"""One guest, moved by every method: what each sends, how long it takes, and what the guest feels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xenlab.migration.policies import AdaptiveRate, DowntimeLimit, Legacy, Policy, StopAndCopy, Xen417
from xenlab.migration.postcopy import postcopy
from xenlab.migration.precopy import migrate
from xenlab.migration.rounds import Guest, Path

if TYPE_CHECKING:
    import pandas as pd

    from xenlab.migration.workloads import Workload

#: Every rule by which pre-copy may end, and none of it.
POLICIES: tuple[Policy, ...] = (StopAndCopy(), Xen417(), Legacy(), AdaptiveRate(), DowntimeLimit())


def rivals(guest: Guest, workload: Workload, path: Path | None = None, *, seed: int = 0) -> pd.DataFrame:
    """Return a table with a row for each method, post-copy last.

    Columns: `rounds` sent while the guest ran, `mib` sent in all, `seconds` it took, and what the guest felt
    in milliseconds: `down`, on neither host, and `waited`, at the target but for pages that had not come.

    >>> from xenlab.migration.workloads import hot_cold
    >>> table = rivals(Guest(64), hot_cold(64, 4, 40, 2), Path(mbit=400, state=0.01))
    >>> table.down.round().astype(int).to_dict()["stop-and-copy"]
    1355
    >>> table.mib.idxmax(), table.down.idxmin()
    ("NSDI'05", 'post-copy')
    """
    import pandas as pd

    moves = [migrate(guest, workload, policy, path, seed=seed) for policy in POLICIES]
    rows = {
        move.policy: (len(move.rounds) - 1, move.mib_sent, move.seconds, 1000 * move.downtime, 0.0)
        for move in moves
    }
    late = postcopy(guest, workload, path, seed=seed)
    mib = late.pages_sent * guest.mib / late.pages
    rows["post-copy"] = (0, mib, late.seconds, 1000 * late.downtime, 1000 * late.stalled)
    columns = ["rounds", "mib", "seconds", "down", "waited"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("method")
