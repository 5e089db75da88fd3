"""Real hosts, looked at: their pCPUs, memory and guests, as the `Cluster` that the models and the policies know.

So a rule that has been tried on a simulated day can be asked what it would do with the machines before you.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from xenlab.commands import Commands
from xenlab.datacenter.cluster import Cluster, DatacenterError, Domain, Host, Ints
from xenlab.datacenter.orders import Look, Move, Policy, Power
from xenlab.domains import table
from xenlab.scheduling.driver import Scheduling

_INFO = re.compile(r"^(\w+) +: (\d+)$", re.MULTILINE)


class Survey:
    """What some hosts and their guests were doing for a few seconds.

    `cluster` holds the hosts, in the order of their names as given, and all guests; `place` the host of each. dom0 is
    not among the guests: it stays where it is. What a guest wants is what it got, in pCPUs; a host's memory is what is
    free and what guests have. (Xen needs a little more for each guest than `xl list` shows.)

    Args:
        hosts: Xen hosts by name.
        seconds: For how long their guests' processor time is watched.
        mbit: What the link between the hosts carries.

    Raises:
        DatacenterError: `seconds` is not positive.

    """

    def __init__(self, hosts: Mapping[str, Commands], seconds: float = 5.0, mbit: float = 1000.0) -> None:
        if seconds <= 0:
            raise DatacenterError(f"seconds(={seconds}) must be more than 0")
        before = {name: (host.now(), _times(host)) for name, host in hosts.items()}
        machines, guests, place = [], list[Domain](), list[int]()
        for number, (name, host) in enumerate(hosts.items()):
            host.wait(seconds)
            rows = [row for row in table.read(host.xl("list")) if row.id]
            passed = host.now() - before[name][0]
            scheduled = Scheduling(host).table()
            for row in rows:
                used = max(0.0, row.seconds - before[name][1].get(row.name, row.seconds)) / passed
                weight, cap = (int(scheduled[column].get(row.name, 0)) for column in ("weight", "cap"))
                hot = min(Domain.hot, row.memory)
                guests.append(
                    Domain(row.name, row.vcpus, row.memory, (used,), hot, weight=weight or 256, cap=cap)
                )
                place.append(number)
            info = dict(_INFO.findall(host.xl("info")))
            memory = int(info["free_memory"]) + sum(row.memory for row in rows)
            machines.append(Host(name, int(info["nr_cpus"]), memory, mbit))
        self.cluster = Cluster(tuple(machines), tuple(guests))
        self.place: Ints = np.array(place, dtype=np.int64)

    def look(self) -> Look:
        """What a policy sees: all hosts are on, nobody is on their way."""
        cluster, hosts = self.cluster, len(self.cluster.hosts)
        demand = np.array([domain.demand[0] for domain in cluster.domains], dtype=float)
        load = np.bincount(self.place, demand, minlength=hosts) / cluster.pcpus
        taken = np.bincount(self.place, cluster.need, minlength=hosts).astype(np.int64)
        return Look(
            cluster,
            0.0,
            self.place.copy(),
            np.full(len(demand), -1, dtype=np.int64),
            demand,
            load,
            cluster.memory - taken,
            np.full(hosts, Power.ON, dtype=np.int64),
            np.tile(load, (3, 1)),
        )

    def advice(self, policy: Policy) -> list[tuple[str, str, str]]:
        """The moves that a policy would order: of which guest, from which host, to which. Nothing is done."""
        return [self._named(order) for order in policy(self.look()) if isinstance(order, Move)]

    def _named(self, move: Move) -> tuple[str, str, str]:
        hosts = self.cluster.hosts
        source = hosts[int(self.place[move.domain])]
        return self.cluster.domains[move.domain].name, source.name, hosts[move.host].name

    def more_like(self, name: str, limit: float = 0.8) -> dict[str, int]:
        """How many more guests like `name` would fit on its host: by its CPU, kept below `limit`, and by its memory.

        Raises `DatacenterError` if there is no such guest. One that uses no CPU counts as a hundredth of a pCPU.
        """
        numbers = {domain.name: number for number, domain in enumerate(self.cluster.domains)}
        if name not in numbers:
            raise DatacenterError(
                f"name(={name!r}) must be one of these guests: {', '.join(numbers) or 'none'}"
            )
        look, number = self.look(), numbers[name]
        host = int(self.place[number])
        left = (limit - look.load[host]) * self.cluster.pcpus[host]
        by_cpu = int(max(0.0, left) / max(look.demand[number], 0.01))
        return {"CPU": by_cpu, "memory": int(look.free[host] // self.cluster.need[number])}

    def __str__(self) -> str:
        look, lines = self.look(), list[str]()
        for number, host in enumerate(self.cluster.hosts):
            members = [self.cluster.domains[i] for i in look.domains_on(number)]
            guests = ", ".join(f"{each.name} {each.demand[0]:.2f}" for each in members) or "no guest"
            lines.append(
                f"{host.name}: {host.pcpus} pCPUs, {look.free[number]:,} of {host.memory:,} MiB free; "
                f"pCPUs used: {guests}"
            )
        return "\n".join(lines)


def _times(host: Commands) -> dict[str, float]:
    return {row.name: row.seconds for row in table.read(host.xl("list"))}
