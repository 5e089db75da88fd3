"""The books of a simulated data centre: who is where, and what that has cost so far, to the second.

Between two events nothing changes, so what a host draws and what its domains lack grow in a straight line. A host's
books are brought up to date (`settle`) just before anything about it changes. So energy is the exact integral of power.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xenlab.datacenter.cluster import Cluster, Flags, Floats, Ints
from xenlab.datacenter.orders import BOOTING, ON, Power
from xenlab.datacenter.shares import share


class Ledger:
    """The state of a `Cluster` whose domains stand at `place` and all of whose hosts are on, and its costs.

    `place`, `going`: the host of each domain, and the one it is being moved to, -1 for none. `power`: a `Power` for
    each host. `taken`: the memory that domains and arriving ones take. `load`: the pCPUs that its domains want.
    `joules` by host, `lacked` (pCPU seconds not got) and `down` (seconds) by domain are the costs.
    """

    def __init__(self, cluster: Cluster, place: Ints) -> None:
        self.cluster = cluster
        hosts, domains = len(cluster.hosts), len(cluster.domains)
        self.place = np.array(place, dtype=np.int64)
        self.going = np.full(domains, -1, dtype=np.int64)
        self.power = np.full(hosts, ON, dtype=np.int64)
        here = self.place >= 0
        self.taken = np.bincount(self.place[here], cluster.need[here], minlength=hosts).astype(np.int64)
        self.demand = np.zeros(domains)
        self.load = np.zeros(hosts)
        self.joules = np.zeros(hosts)
        self.lacked = np.zeros(domains)
        self.down = np.zeros(domains)
        self._since = np.zeros(hosts)
        self._idle = np.array([host.idle_watts for host in cluster.hosts])
        self._more = np.array([host.peak_watts for host in cluster.hosts]) - self._idle
        self._weights = [domain.weight for domain in cluster.domains]
        self._down_since = np.full(domains, np.nan)

    @property
    def free(self) -> Ints:
        """Memory of each host that nobody has taken, in MiB."""
        return self.cluster.memory - self.taken

    @property
    def watts(self) -> Floats:
        """What each host draws now: in a straight line from idle to peak, nothing while it is off or has failed."""
        busy = np.minimum(self.load / self.cluster.pcpus, 1.0)
        return np.where(self._draws(), self._idle + self._more * busy, 0.0)

    def _draws(self) -> Flags:
        draws: Flags = (self.power == ON) | (self.power == BOOTING)
        return draws

    # -- time

    def settle_all(self, now: float) -> None:
        """Bring the books of every host up to date."""
        self.joules += self.watts * (now - self._since)
        for host in (self.load > self.cluster.pcpus + 1e-9).nonzero()[0]:
            self._note_what_is_lacked(int(host), now - self._since[host])
        self._since[:] = now

    def settle(self, host: int, now: float) -> None:
        """Bring the books of one host up to date."""
        seconds = now - self._since[host]
        if seconds <= 0:
            return
        self._since[host] = now
        if self.power[host] in (ON, BOOTING):
            busy = min(self.load[host] / self.cluster.pcpus[host], 1.0)
            self.joules[host] += (self._idle[host] + self._more[host] * busy) * seconds
        if self.load[host] > self.cluster.pcpus[host] + 1e-9:
            self._note_what_is_lacked(host, seconds)

    def _note_what_is_lacked(self, host: int, seconds: float) -> None:
        members = (self.place == host).nonzero()[0]
        wants = self.demand[members]
        got = share(self.cluster.pcpus[host], wants.tolist(), [self._weights[i] for i in members])
        self.lacked[members] += (wants - got) * seconds

    def want(self, demand: npt.NDArray[np.float32], now: float) -> None:
        """From now on the domains want this much."""
        self.settle_all(now)
        self.demand[:] = demand
        here = self.place >= 0
        self.load[:] = np.bincount(self.place[here], self.demand[here], minlength=len(self.load))

    # -- domains

    def reserve(self, domain: int, host: int) -> None:
        """Take memory for a domain that will come; raises nothing: ask `free` first."""
        self.going[domain] = host
        self.taken[host] += self.cluster.need[domain]

    def release(self, domain: int) -> None:
        """Give back the memory that was taken for a domain: it does not come."""
        self.taken[self.going[domain]] -= self.cluster.need[domain]
        self.going[domain] = -1

    def arrive(self, domain: int, now: float) -> None:
        """The domain has come to the host that expected it; its old host, if any, has its memory back."""
        target = int(self.going[domain])
        self.going[domain] = -1
        self._leave(domain, now)
        self.settle(target, now)
        self.place[domain] = target
        self.load[target] += self.demand[domain]
        if not np.isnan(self._down_since[domain]):
            self.down[domain] += now - self._down_since[domain]
            self._down_since[domain] = np.nan

    def fall(self, domain: int, now: float) -> None:
        """The domain's host has failed under it: it is down until it arrives somewhere."""
        self._leave(domain, now)
        self._down_since[domain] = now

    def _leave(self, domain: int, now: float) -> None:
        source = int(self.place[domain])
        if source < 0:
            return
        self.settle(source, now)
        self.place[domain] = -1
        self.taken[source] -= self.cluster.need[domain]
        self.load[source] -= self.demand[domain]

    # -- hosts

    def set_power(self, host: int, power: Power, now: float) -> None:
        """From now on the host does this."""
        self.settle(host, now)
        self.power[host] = power

    def empty(self, host: int) -> bool:
        """Has it neither domains nor expects some?"""
        return bool(self.taken[host] == 0)

    def close(self, now: float) -> None:
        """The day is over: also those who are still down have been so until now."""
        self.settle_all(now)
        still = ~np.isnan(self._down_since)
        self.down[still] += now - self._down_since[still]
        self._down_since[still] = now

    def check(self) -> None:
        """Raise `AssertionError` unless each domain is on one host that is on, or down, and no memory is short."""
        here = self.place >= 0
        assert (self.power[self.place[here]] == ON).all(), "a domain on a host that is not on"
        assert np.isnan(self._down_since[here]).all(), "a domain that runs and is down"
        assert not np.isnan(self._down_since[~here]).any(), "a domain that is nowhere"
        taken = np.bincount(self.place[here], self.cluster.need[here], minlength=len(self.taken))
        goes = self.going >= 0
        taken += np.bincount(self.going[goes], self.cluster.need[goes], minlength=len(self.taken))
        assert (taken == self.taken).all(), "memory that nobody has, or two"
        assert (self.taken <= self.cluster.memory).all(), "more memory than there is"
