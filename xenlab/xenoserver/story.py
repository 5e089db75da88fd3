"""One session on the XenoServer platform, message by message: who talks to whom, and what each has afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xenlab.xenoserver.roles import InformationService, Task, XenoCorp, XenoServer, cost

CLIENT, SERVER, SERVICE, CORP = "client", "XenoServer", "information service", "XenoCorp"
ANA, OPERATOR = "Ana", "the operator"


@dataclass(frozen=True)
class Moment:
    """One message: from whom to whom (nobody for what happens in one place), what it says, and what each has then."""

    sender: str
    receiver: str
    says: str
    client: int  # cents in Ana's account
    operator: int  # cents in the operator's
    fee: int  # cents that XenoCorp has kept
    order: int  # cents left of the order
    free: int  # MiB


def tell(memory: int = 1024, hours: int = 2, budget: int = 300, funds: int = 1000) -> list[Moment]:
    """A session of Ana's from the first message to the last, as the platform's parts deal with it.

    Args:
        memory: MiB that she wants.
        hours: For how long.
        budget: Cents that she sets aside for it.
        funds: Cents that she has to begin with.

    >>> moments = tell()
    >>> moments[-1].says, moments[-1].client, moments[-1].operator, moments[-1].fee
    ('The session is over. What is left of the order, 100 cents, goes back.', 800, 190, 10)

    """
    return list(_tell(memory, hours, budget, funds))


def _tell(memory: int, hours: int, budget: int, funds: int) -> Iterator[Moment]:
    corp, service = XenoCorp(), InformationService()
    server = XenoServer("cambridge", OPERATOR, 0.5)
    number = 0

    def moment(sender: str, receiver: str, says: str) -> Moment:
        accounts = corp.accounts
        left = corp.orders[number].left if number in corp.orders else 0
        free = server.memory - server.used
        money = (accounts.get(ANA, 0), accounts.get(OPERATOR, 0), accounts.get(CORP, 0))
        return Moment(sender, receiver, says, *money, left, free)

    corp.register(OPERATOR)
    yield moment(
        SERVER, CORP, "The operator registers: *here is a server, and an account for what it earns.*"
    )
    service.advertise(server.advert(0))
    yield moment(
        SERVER,
        SERVICE,
        f"The server advertises: *{server.memory} MiB free, {server.price} cents for a GiB and hour.*",
    )
    corp.register(ANA, funds)
    yield moment(
        CLIENT,
        CORP,
        f"Ana opens an account with {funds} cents. She is known to XenoCorp now, and to nobody else.",
    )
    order = corp.sell_order(ANA, budget)
    number = order.number
    yield moment(CORP, CLIENT, f"She buys an order: {budget} cents are set aside for one session.")
    task = Task(ANA, 0.45, hours, memory, budget)
    yield moment(CLIENT, SERVICE, f"She asks who has {memory} MiB for {hours} hours, near her users.")
    found = service.find(task, far=60)[0]
    yield moment(
        SERVICE,
        CLIENT,
        f"The service knows one: *{found.server}, {found.price} cents.* It believes what it was told.",
    )
    yield moment(CLIENT, SERVER, f"She goes there: *run my system, at the expense of order {number}.*")
    left = corp.validate(number)
    yield moment(SERVER, CORP, f"The server has never heard of her. It asks: *is order {number} good?*")
    yield moment(CORP, SERVER, f"*It is, for {left} cents.* Who Ana is, the server need not know.")
    price = server.admit(1, memory)
    yield moment(
        SERVER,
        SERVER,
        f"There is room: {memory} MiB are set aside, and **Xen builds a domain** for her system.",
    )
    for hour in range(1, hours + 1):
        owed = cost(price, memory, 1)
        corp.charge(number, OPERATOR, owed)
        yield moment(
            SERVER,
            CORP,
            f"Hour {hour} is over: the order is charged {owed} cents. XenoCorp keeps {corp.fee_percent} % of it.",
        )
    server.release(1)
    yield moment(SERVER, SERVER, "Her work is done. The domain ends, and its memory is free.")
    rest = corp.close(number)
    yield moment(CORP, CLIENT, f"The session is over. What is left of the order, {rest} cents, goes back.")
