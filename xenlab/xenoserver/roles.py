"""The parts of the XenoServer platform: who trusts whom, who pays whom, who knows what.

* **XenoServers** run anybody's code in domains of their own, and are run by anybody: their *operators*.
* **XenoCorp** is the third party that both sides trust. It knows clients and operators, sells *orders*, which are money
  set aside for one session, and moves money from orders to operators.
* The **information service** keeps what servers advertise. It may be out of date, so a server decides anew when a
  client comes.

The roles and their aims are those of Fraser et al., *The Xenoserver computing infrastructure* (UCAM-CL-TR-552, 2003)
and Hand et al., *Controlling the XenoServer Open Platform* (OPENARCH 2003). The prices, the fee and the exact order of
the messages are this model's own.

Money is in cents, whole numbers, so that none gets lost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from xenlab.commands import XenlabError


class Refused(XenlabError):
    """A request that was turned down; `reason` is one of `REASONS`."""

    def __init__(self, reason: str, text: str) -> None:
        self.reason = reason
        super().__init__(text)


#: Why a server or XenoCorp turns a request down.
REASONS = ("full", "order unknown", "order spent")


@dataclass
class Order:
    """Money of a client's that is set aside for one session, in cents."""

    number: int
    client: str
    amount: int
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.left = self.amount


class XenoCorp:
    """The third party: accounts, orders, charges. It keeps `fee_percent` of what it moves.

    >>> corp = XenoCorp()
    >>> corp.register("ana", 1000)
    >>> order = corp.sell_order("ana", 400)
    >>> corp.charge(order.number, "cambridge", 100), corp.accounts
    (100, {'ana': 600, 'cambridge': 95, 'XenoCorp': 5})
    >>> corp.close(order.number)
    300
    >>> corp.accounts["ana"]
    900
    """

    name = "XenoCorp"

    def __init__(self, fee_percent: int = 5) -> None:
        self.fee_percent = fee_percent
        self.accounts: dict[str, int] = {}
        self.orders: dict[int, Order] = {}
        self._last = 0

    def register(self, who: str, cents: int = 0) -> None:
        """Open an account with so much money in it."""
        self.accounts[who] = self.accounts.get(who, 0) + cents

    def sell_order(self, client: str, cents: int) -> Order:
        """Set money of a client's aside; raises `Refused` if the client has not so much."""
        if self.accounts.get(client, 0) < cents:
            raise Refused(
                "order spent",
                f"cents(={cents}) must be at most what {client} has (={self.accounts.get(client, 0)})",
            )
        self.accounts[client] -= cents
        self._last += 1
        self.orders[self._last] = Order(self._last, client, cents)
        return self.orders[self._last]

    def validate(self, number: int) -> int:
        """What is left of an order; raises `Refused` if there is no such order."""
        if number not in self.orders:
            raise Refused(
                "order unknown", f"number(={number}) must be that of an order that XenoCorp has sold"
            )
        return self.orders[number].left

    def charge(self, number: int, operator: str, cents: int) -> int:
        """Move up to so much from an order to an operator, less the fee; return how much was there to take."""
        self.validate(number)
        order = self.orders[number]
        taken = min(cents, order.left)
        fee = taken * self.fee_percent // 100
        order.left -= taken
        self.register(operator, taken - fee)
        self.register(self.name, fee)
        return taken

    def close(self, number: int) -> int:
        """End an order, and give back what is left of it; return that."""
        self.validate(number)
        order = self.orders.pop(number)
        self.register(order.client, order.left)
        return order.left

    @property
    def money(self) -> int:
        """All the money there is, in accounts and in orders: only `register` changes it."""
        return sum(self.accounts.values()) + sum(order.left for order in self.orders.values())


@dataclass(frozen=True)
class Task:
    """What a client wants to run: for how long (hours), in how much memory (MiB), near which place.

    `budget` is the order's amount, in cents.
    """

    client: str
    place: float
    hours: float
    memory: int
    budget: int


@dataclass(frozen=True)
class Advert:
    """What a server says of itself at a moment: its price for a GiB and hour, in cents, and how much memory is free."""

    server: str
    place: float
    price: int
    free: int
    at: float


@dataclass
class XenoServer:
    """A machine that runs anybody's code. Places lie on a line from 0 to 1.

    `base_price` is for a GiB and hour, in cents. With `elasticity` the price rises with the load: by so many times the
    base when the machine is full.
    """

    name: str
    operator: str
    place: float
    memory: int = 8192
    base_price: int = 100
    elasticity: float = 0.0
    reserved: dict[int, int] = field(default_factory=dict)  # MiB, by session

    @property
    def used(self) -> int:
        """MiB that sessions have reserved."""
        return sum(self.reserved.values())

    @property
    def load(self) -> float:
        """How much of its memory is reserved, from 0 to 1."""
        return self.used / self.memory

    @property
    def price(self) -> int:
        """What a GiB costs for an hour now, in cents."""
        return round(self.base_price * (1 + self.elasticity * self.load))

    def advert(self, now: float) -> Advert:
        """What it tells the information service."""
        return Advert(self.name, self.place, self.price, self.memory - self.used, now)

    def admit(self, session: int, memory: int) -> int:
        """Reserve memory for a session; return the price that holds for it; raises `Refused` if it does not fit.

        Nothing is ever promised twice: this is the whole of admission control.
        """
        if memory > self.memory - self.used:
            raise Refused(
                "full",
                f"memory(={memory}) must be at most what {self.name} has free (={self.memory - self.used})",
            )
        price = self.price
        self.reserved[session] = memory
        return price

    def release(self, session: int) -> None:
        """End a session."""
        del self.reserved[session]


class InformationService:
    """Where servers advertise and clients look. It believes what it was told last."""

    def __init__(self) -> None:
        self.adverts: dict[str, Advert] = {}

    def advertise(self, advert: Advert) -> None:
        """Take a server's word for what it is."""
        self.adverts[advert.server] = advert

    def find(self, task: Task, far: int) -> list[Advert]:
        """Servers that seem to have room, the best first: by price, and by distance, which a client minds.

        `far` is what the whole width of the world is worth to the client, in cents for a GiB and hour.
        """
        roomy = [advert for advert in self.adverts.values() if advert.free >= task.memory]
        return sorted(roomy, key=lambda each: (each.price + far * abs(each.place - task.place), each.server))


def cost(price: int, memory: int, hours: float) -> int:
    """What so much memory (MiB) costs for so long at a price for a GiB and hour, in whole cents, rounded up.

    >>> cost(100, 512, 1.0), cost(100, 512, 0.01)
    (50, 1)
    """
    return math.ceil(price * memory * hours / 1024 - 1e-9)
