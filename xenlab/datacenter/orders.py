"""What a policy sees of a data centre, and what it may order: the seam between the reader's rules and the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np

from xenlab.datacenter.cluster import Cluster, Flags, Floats, Ints


class Power(IntEnum):
    """What a host is doing."""

    OFF = 0
    BOOTING = 1
    ON = 2
    FAILED = 3


#: For loops: to look one up in the class costs more than to compare it.
OFF, BOOTING, ON, FAILED = Power


@dataclass(frozen=True)
class Move:
    """Move a domain to a host, live; a host that is off is switched on for it."""

    domain: int
    host: int


@dataclass(frozen=True)
class SwitchOff:
    """Switch a host off. One that has domains, or expects some, stays on."""

    host: int


@dataclass(frozen=True)
class SwitchOn:
    """Switch a host on."""

    host: int


Order = Move | SwitchOff | SwitchOn


@dataclass(frozen=True)
class Look:
    """The data centre at one moment. Hosts and domains are numbers; every array is a copy that may be changed.

    `time` in seconds of the day; `place` the host of each domain, -1 where it is down; `going` the host to which it is
    being moved or shall be, -1 for none; `demand` the pCPUs that each domain wants now; `load` what its domains want of
    each host, as a share of its pCPUs (more than 1: it has too little); `free` the memory of each host that neither
    a domain nor an arriving one has taken, MiB; `power` what each host is doing; `history` the last loads, newest last:
    a row a look, a column a host.
    """

    cluster: Cluster
    time: float
    place: Ints
    going: Ints
    demand: Floats
    load: Floats
    free: Ints
    power: Ints
    history: Floats

    @property
    def hour(self) -> float:
        """The time in hours since midnight."""
        return self.time / 3600

    @property
    def on(self) -> Flags:
        """Which hosts are on."""
        return np.equal(self.power, Power.ON)

    @property
    def home(self) -> Ints:
        """The host where each domain is or, if it is on its way, will be."""
        return np.where(self.going >= 0, self.going, self.place)

    def domains_on(self, host: int) -> Ints:
        """The domains of a host that stay there: those being moved away are left out."""
        (members,) = np.nonzero((self.place == host) & (self.going < 0))
        return members

    @property
    def expected(self) -> Floats:
        """The load of each host once all are where they are going."""
        home = self.home
        here = home >= 0
        wanted = np.bincount(home[here], self.demand[here], minlength=len(self.power))
        return wanted / self.cluster.pcpus


class Policy(Protocol):
    """A rule by which a data centre is run: it looks, every few minutes, and gives orders.

    Any function of a `Look` is one::

        def lazy(look):
            return []
    """

    def __call__(self, look: Look) -> Sequence[Order]:
        """Return what shall be done now."""
