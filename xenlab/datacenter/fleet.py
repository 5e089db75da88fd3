"""A made-up fleet of any size, its loads drawn from the book's data set of servers (`xenlab.history.consolidation`)."""

from __future__ import annotations

from functools import lru_cache
from random import Random

from xenlab.datacenter.cluster import Cluster, DatacenterError, Domain, Host
from xenlab.history.consolidation import HOURS, fleet

_VCPUS = (1, 2, 2, 4, 4, 8)
_GIB_A_VCPU = (1, 1, 1, 2)
_HOT = (1 / 64, 1 / 32, 1 / 16)  # of its memory
_WRITES = (1.0, 5.0, 20.0, 60.0)  # MiB/s


@lru_cache(maxsize=8)
def draw(count: int, seed: int = 2006) -> tuple[Domain, ...]:
    """Make `count` domains, equal ones for an equal `seed`.

    Each does in an hour what one of the 48 servers of ``servers.csv`` does, a little earlier or later and a little more
    or less of it; the share of a machine that the server used becomes a share of the domain's vCPUs.

    >>> [(each.name, each.vcpus, each.memory) for each in draw(2)]
    [('d00000-database', 4, 4096), ('d00001-nightly', 2, 2048)]
    """
    if count < 1:
        raise DatacenterError(f"count(={count}) must be at least 1")
    random, servers, domains = Random(seed), fleet(), []
    for number in range(count):
        server = random.choice(servers)
        vcpus = random.choice(_VCPUS)
        memory = 1024 * vcpus * random.choice(_GIB_A_VCPU)
        later, more = random.randrange(-1, 2), random.uniform(0.7, 1.4)
        load = [server.load[(hour - later) % HOURS] for hour in range(HOURS)]
        demand = tuple(round(min(1.0, more * each) * vcpus, 4) for each in load)
        hot, writes = memory * random.choice(_HOT), random.choice(_WRITES)
        name = f"d{number:05}-{server.role.split()[0]}"
        domains.append(Domain(name, vcpus, memory, demand, hot, writes))
    return tuple(domains)


def datacenter(hosts: int, domains: int, seed: int = 2006) -> Cluster:
    """Make a cluster of equal hosts (`Host`'s defaults) and a drawn fleet.

    >>> cluster = datacenter(hosts=4, domains=60)
    >>> len(cluster.hosts), len(cluster.domains), cluster.hosts[0].name
    (4, 60, 'host001')
    """
    return Cluster(tuple(Host(f"host{number:03}") for number in range(1, hosts + 1)), draw(domains, seed))
