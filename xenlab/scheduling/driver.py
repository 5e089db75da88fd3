"""Drive a host's schedulers: weights, caps, time slices, cpupools and pins, by ``xl``; and measure what they led to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import pandas as pd

from xenlab.commands import Commands
from xenlab.scheduling.machine import SchedulingError, check_weight

SchedulerName = Literal["credit", "credit2"]

#: What ``xl sched-credit -s`` and ``xl sched-credit2 -s`` print of a pool (tools/xl/xl_sched.c).
_POOL = re.compile(
    r"Cpupool (?P<pool>.+): (?:tslice=(?P<tslice_ms>\d+)ms )?ratelimit=(?P<ratelimit_us>\d+)us"
    r"(?: migration-delay=(?P<migration_delay_us>\d+)us)?$"
)


class Scheduling:
    """The schedulers of a host.

    Args:
        host: Where commands run.

    """

    def __init__(self, host: Commands) -> None:
        self._host = host

    def table(self) -> pd.DataFrame:
        """What Xen schedules by: for each domain its id, pool, scheduler, weight and cap (% of one pCPU; 0: none)."""
        rows = []
        for scheduler in ("credit", "credit2"):
            pool = ""
            for line in self._host.xl(f"sched-{scheduler}").splitlines():
                if found := _POOL.match(line):
                    pool = found["pool"]
                elif not line.startswith("Name "):
                    name, number, weight, cap = line.rsplit(maxsplit=3)
                    rows.append((name, int(number), pool, scheduler, int(weight), int(cap)))
        columns = ["name", "id", "pool", "scheduler", "weight", "cap"]
        return pd.DataFrame(rows, columns=columns).set_index("name")

    def pools(self) -> pd.DataFrame:
        """The cpupools: their pCPUs, scheduler, and its parameters (missing where the scheduler has no such one)."""
        cpus = {name: _numbers(rest[0]) for name, *rest in self._list_pools("-c")}
        rows = []
        for name, _, scheduler, *_ in self._list_pools():
            found = _POOL.match(self._host.xl(f"sched-{scheduler}", "-s", "-p", name).strip())
            said = found.groupdict() if found else {}
            values = [said.get(key) for key in ("tslice_ms", "ratelimit_us", "migration_delay_us")]
            rows.append((name, cpus[name], scheduler, *(pd.NA if v is None else int(v) for v in values)))
        columns = ["pool", "cpus", "scheduler", "tslice_ms", "ratelimit_us", "migration_delay_us"]
        frame = pd.DataFrame(rows, columns=columns).set_index("pool")
        return frame.astype(dict.fromkeys(columns[3:], "Int64"))

    def set(self, name: str, *, weight: int | None = None, cap: int | None = None) -> None:
        """Set a domain's weight (1 to 65535), its cap (% of one pCPU, 0 for none), or both.

        Raises:
            SchedulingError: The weight is out of its range.
            CommandFailed: `xl` refused, for example a cap above 100 for each vCPU.

        """
        if weight is not None:
            check_weight(weight)
        options = [("-w", weight), ("-c", cap)]
        given = [str(word) for option in options if option[1] is not None for word in option]
        self._host.xl(f"sched-{self._scheduler_of(name)}", "-d", name, *given)

    def set_pool(
        self, pool: str = "Pool-0", *, tslice_ms: int | None = None, ratelimit_us: int | None = None
    ) -> None:
        """Set how long a vCPU may run (credit only, 1 to 1000 ms), and how long it runs at least (0, or 100 µs and up).

        Raises:
            CommandFailed: `xl` refused; the message says why.

        """
        scheduler = next(rest[1] for name, *rest in self._list_pools() if name == pool)
        options = [("-t", tslice_ms), ("-r", ratelimit_us)]
        given = [str(word) for option in options if option[1] is not None for word in option]
        self._host.xl(f"sched-{scheduler}", "-s", "-p", pool, *given)

    def pin(self, name: str, cpus: str, vcpu: int | Literal["all"] = "all") -> None:
        """Allow a domain's vCPU, or all of them, only these pCPUs: ``"0"``, ``"0-1"``, or ``"all"`` (hard affinity)."""
        self._host.xl("vcpu-pin", name, str(vcpu), cpus)

    def affinity(self, name: str) -> dict[int, str]:
        """For each vCPU of a domain the pCPUs that it may run on, as `pin` takes them."""
        rows = [line.split() for line in self._host.xl("vcpu-list", name).splitlines()[1:]]
        return {int(row[2]): row[6] for row in rows}

    def make_pool(self, pool: str, scheduler: SchedulerName, cpus: Sequence[int]) -> None:
        """Take pCPUs away from Pool-0 and make a cpupool of them, with a scheduler of its own."""
        for cpu in cpus:
            self._host.xl("cpupool-cpu-remove", "Pool-0", str(cpu))
        numbers = ", ".join(f'"{cpu}"' for cpu in cpus)
        self._host.xl("cpupool-create", f'name="{pool}"', f'sched="{scheduler}"', f"cpus=[{numbers}]")

    def end_pool(self, pool: str) -> None:
        """Move a pool's domains to Pool-0, end the pool, and give its pCPUs back."""
        table = self.table()
        cpus = self.pools().cpus[pool]
        for name in table.index[table.pool == pool]:
            self.move(name, "Pool-0")
        self._host.xl("cpupool-destroy", pool)
        for cpu in cpus:
            self._host.xl("cpupool-cpu-add", "Pool-0", str(cpu))

    def move(self, name: str, pool: str) -> None:
        """Move a domain to another cpupool. Its weight and cap begin anew with that pool's scheduler."""
        self._host.xl("cpupool-migrate", name, pool)

    def shares(self, seconds: int) -> pd.Series[float]:
        """Let `seconds` pass, and return what each domain got meanwhile, in pCPUs: 1.5 is one and a half.

        ``xentop`` looks twice and compares; it is one process, so that dom0 has little else to do in between.
        Raises `SchedulingError` unless `seconds` is a whole number from 1.
        """
        if seconds < 1 or seconds != int(seconds):
            raise SchedulingError(
                f"seconds(={seconds}) must be a whole number, 1 or more: xentop takes no others"
            )
        told = self._host.run(["xentop", "-b", "-f", "-i", "2", "-d", str(int(seconds))]).stdout
        return read_xentop(told)

    def _scheduler_of(self, name: str) -> SchedulerName:
        asked = self._host.run(["xl", "sched-credit", "-d", name], check=False)
        return "credit" if asked.ok or "not credit" not in asked.stderr else "credit2"

    def _list_pools(self, *options: str) -> list[list[str]]:
        return [line.split() for line in self._host.xl("cpupool-list", *options).splitlines()[1:]]


def read_xentop(text: str) -> pd.Series[float]:
    """What ``xentop -b`` printed in its last table as CPU(%), by domain and in pCPUs.

    >>> read_xentop('''      NAME  STATE   CPU(sec) CPU(%)     MEM(k) MEM(%)
    ...   Domain-0 -----r        114   21.9     393216   37.5
    ...        web -----r         55   98.7     131072   12.5''').to_dict()
    {'Domain-0': 0.219, 'web': 0.987}
    """
    last = re.split(r"^ *NAME .*$", text, flags=re.MULTILINE)[-1]
    rows = [line.split() for line in last.splitlines() if line.strip()]
    shares = {row[0]: round(float(row[3]) / 100, 4) for row in rows}
    return pd.Series(shares, name="pCPUs", dtype=float)


def _numbers(text: str) -> tuple[int, ...]:
    """Read a list of pCPUs.

    >>> _numbers("0,2-4")
    (0, 2, 3, 4)
    """
    ends = [part.split("-") for part in text.split(",")]
    return tuple(number for end in ends for number in range(int(end[0]), int(end[-1]) + 1))
