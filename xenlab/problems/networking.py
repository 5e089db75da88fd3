"""Exercises on networks: who can reach whom, and whose address a frame carries.

>>> WhoReaches.make(1).check("perhaps").right
False
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any, Self

from xenlab.networking.actions import Ping
from xenlab.networking.frames import mac_text
from xenlab.networking.scenarios import SCENARIOS, Scenario
from xenlab.networking.tables import ip_route
from xenlab.networking.topologies import CLIENT, bridge, nat, routed
from xenlab.problems.base import Problem

#: Scenarios that begin with a ping; what is special about each, in words.
_TOLD = {
    "bridge: guest to guest": "two guests are on the bridge `xenbr0`; `guest1` pings `guest2`",
    "bridge: the wrong bridge": "`guest1` is on `xenbr0`, `guest2` on `xenbr1`; `guest1` pings `guest2`",
    "bridge: no cable": "`guest2`'s vif was detached; `guest1` pings it",
    "bridge: no gateway": "a bridged guest has no default route; it pings 203.0.113.80",
    "route: guest to the LAN": "dom0 routes, with proxy ARP; `guest1` pings the client",
    "route: no forwarding": "dom0 shall route, but `net.ipv4.ip_forward` is 0; `guest1` pings the client",
    "route: no proxy ARP on lan0": "dom0 routes, but answers no ARP for its guests; `guest1` pings the client",
    "nat: guest to the LAN": "guests are behind NAT with MASQUERADE; `guest1` pings the client",
    "nat: no masquerading": "guests have private addresses, and there is no MASQUERADE; `guest1` pings the client",
    "nat: FORWARD dropped": "guests are behind NAT, and the policy of FORWARD is DROP; `guest1` pings the client",
}  # fmt: skip


@dataclass(frozen=True, repr=False)
class WhoReaches(Problem):
    """Does a ping come back?"""

    scenario: Scenario

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Take one of the scenarios that begin with a ping."""
        name = random.choice(list(_TOLD))
        question = f"Here {_TOLD[name]}. Does an answer come back? Answer with `yes` or `no`."
        return cls(seed, question, "", SCENARIOS[name])

    def solve(self) -> str:
        """Play it on the model."""
        sent = self.scenario.play().outcomes[0]
        answered, _, of = sent.partition(" of ")
        return "yes" if of and answered == of else "no"

    def hint(self, answer: Any) -> str:
        """Tell what there is to learn."""
        return self.scenario.lesson


@dataclass(frozen=True, repr=False)
class WhoseAddress(Problem):
    """Whose hardware address does an echo request carry as its destination, on a given cable?"""

    kind: str
    link: str

    @classmethod
    def drawn(cls, seed: int, random: Random) -> Self:
        """Choose how the guest is joined, and on which cable one looks."""
        kind, link = random.choice(("bridge", "route", "nat")), random.choice(("lan0", "vif1.0"))
        network = {"bridge": bridge, "route": routed, "nat": nat}[kind](1)
        where = "the cable to the client" if link == "lan0" else "the guest's vif"
        question = (
            f"`guest1` pings the client ({kind}). You capture on {where}. Whose hardware address is the *destination* "
            "of the echo request's frame? Answer with `dom0`, `client` or `guest1`."
        )
        return cls(seed, question, f"dom0's routes:\n{ip_route(network.hosts['dom0'])}", kind, link)

    def solve(self) -> str:
        """Look at the frame, on the model."""
        network = {"bridge": bridge, "route": routed, "nat": nat}[self.kind](1)
        network.run(Ping("guest1", CLIENT, timeout=4).take(network))
        request = next(
            record.frame
            for record in network.records
            if record.link == self.link and len(record.frame) == 98 and record.frame[34] == 8
        )
        target = mac_text(request[:6])
        for name in ("client", "guest1"):
            if network.hosts[name].interfaces["eth0"].mac == target:
                return name
        return "dom0"

    def hint(self, answer: Any) -> str:
        """Tell what a bridge and a router do to a frame."""
        return (
            "A bridge passes a frame on as it is. A router takes the packet out, and sends it in a new frame."
        )
