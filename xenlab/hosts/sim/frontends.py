"""The frontends in a guest's kernel: xen-blkfront and xen-netfront.

Sources: Linux drivers/block/xen-blkfront.c, drivers/net/xen-netfront.c; the keys and their order are those of the box's
xenstored.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from xenlab.devices.xenbus import XenbusState as State
from xenlab.hosts.sim.halves import REACTION_SECONDS, Half, Steps
from xenlab.hosts.sim.machine import Domain
from xenlab.hosts.sim.storelog import guest_kernel
from xenlab.hosts.sim.world import World

FIRST_GRANT = 8  # those before are kept for xenstore and the console (GNTTAB_NR_RESERVED_ENTRIES)
NETFRONT_FEATURES = {
    "request-rx-copy": "1",
    "feature-rx-notify": "1",
    "feature-sg": "1",
    "feature-gso-tcpv4": "1",
    "feature-gso-tcpv6": "1",
    "feature-ipv6-csum-offload": "1",
}


class Kernel:
    """A guest's kernel, as far as devices go: its grant references, its drivers, its halves by path.

    `work` lets so many seconds pass in the guest: they do not pass while it is paused.
    """

    def __init__(self, world: World, domain: Domain, work: Callable[[float], Steps]) -> None:
        self.world = world
        self.domain = domain
        self.work = work
        self.client = guest_kernel(domain.domid)
        self.home = f"/local/domain/{domain.domid}/device"
        self.drivers: frozenset[str] = frozenset()
        self._frontends: dict[str, Frontend] = {}
        self._grants: set[int] = set()
        self._woken = False

    def start(self, drivers: frozenset[str]) -> Callable[[], None]:
        """Serve the devices that are there, and those that come; returns how to stop watching for them."""
        self.drivers = drivers
        stop = self.world.store.watch(self.home, lambda _path: self._wake())
        self._look()
        return stop

    def kinds(self) -> frozenset[str]:
        """Of which kinds there are devices now."""
        found = (kind for kind in _FRONTENDS if self.world.store.names(f"{self.home}/{kind}"))
        return frozenset(found)

    def grant(self) -> int:
        """Take the lowest grant reference that is free."""
        reference = next(number for number in count(FIRST_GRANT) if number not in self._grants)
        self._grants.add(reference)
        return reference

    def revoke(self, references: list[int]) -> None:
        """Give grant references back."""
        self._grants -= set(references)

    def end(self) -> None:
        """Let go of everything: the domain is being destroyed."""
        for frontend in self._frontends.values():
            frontend.end()
        self._frontends = {}

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            self.world.env.process(self._look_soon())

    def _look_soon(self) -> Steps:
        yield from self.work(REACTION_SECONDS)
        self._woken = False
        self._look()

    def _look(self) -> None:
        paths = {
            f"{self.home}/{kind}/{number}": kind
            for kind in _FRONTENDS
            if kind in self.drivers
            for number in self.world.store.names(f"{self.home}/{kind}") or []
        }
        for path in [path for path in self._frontends if path not in paths]:
            self._frontends.pop(path).end()
        for path, kind in paths.items():
            if path not in self._frontends and self.world.store.read(f"{path}/backend"):
                self._frontends[path] = _FRONTENDS[kind](self, path)


class Frontend(Half):
    """A guest's half. It goes on where a handshake stands, so it is the same at boot and later."""

    def __init__(self, kernel: Kernel, path: str) -> None:
        super().__init__(kernel.world, kernel.client, path, kernel.world.store.read(f"{path}/backend") or "")
        self.kernel = kernel
        self.references: list[int] = []
        self._wake(self.path)

    @property
    def domid(self) -> int:
        """The domain it runs in."""
        return self.kernel.domain.domid

    def delay(self) -> Steps:
        """What it takes until it runs: nothing happens in a guest that is paused."""
        yield from self.kernel.work(REACTION_SECONDS)

    def end(self) -> None:
        """Let go of everything."""
        super().end()
        self.kernel.revoke(self.references)
        self.references = []

    def follow(self, other: State) -> None:
        """Do what is due."""
        if self.state is State.INITIALISING and other is State.INIT_WAIT:
            self.offer()
        elif self.state is State.INITIALISED and other is State.CONNECTED:
            self.switch(State.CONNECTED)
        elif other in (State.CLOSING, State.CLOSED):
            self.switch(State.CLOSED)
            self.end()

    def offer(self) -> None:
        """Make rings and event channels, and say where they are."""
        raise NotImplementedError

    def take(self, references: int = 1) -> int:
        """Take grant references; return the last."""
        self.references += [self.kernel.grant() for _ in range(references)]
        return self.references[-1]

    def open_port(self) -> str:
        """Open an event channel for dom0."""
        self.ports.append(self.world.events.alloc_unbound(self.domid, 0))
        return str(self.ports[-1])

    @property
    def queues(self) -> int:
        """How many rings (pairs of rings) to make: one for each vCPU, as far as the backend goes along."""
        most = int(self.world.store.read(f"{self.other}/multi-queue-max-queues") or 1)
        return min(most, self.kernel.domain.online_vcpus)


class Blkfront(Frontend):
    """A guest's disk."""

    def offer(self) -> None:
        """Make rings and event channels, and say where they are."""
        keys = {} if self.queues == 1 else {"multi-queue-num-queues": str(self.queues)}
        for queue in range(self.queues):
            where = "" if self.queues == 1 else f"queue-{queue}/"
            keys |= {f"{where}ring-ref": str(self.take()), f"{where}event-channel": self.open_port()}
        self.publish(keys | {"protocol": "x86_64-abi", "feature-persistent": "1"})
        self.take()  # the page into which it reads the partition table
        self.switch(State.INITIALISED)


class Netfront(Frontend):
    """A guest's network interface. It says Connected at once, without the state between."""

    def offer(self) -> None:
        """Make rings and event channels, and say where they are."""
        self.world.store.write(f"{self.path}/xdp-headroom", "0")
        keys = {"multi-queue-num-queues": str(self.queues)}
        for queue in range(self.queues):
            where = "" if self.queues == 1 else f"queue-{queue}/"
            self.take(2 * 256)  # a page for every slot of both rings
            keys |= {f"{where}{way}-ring-ref": str(self.take()) for way in ("tx", "rx")}
            keys |= {f"{where}event-channel-{way}": self.open_port() for way in ("tx", "rx")}
        self.publish(keys | NETFRONT_FEATURES)
        self.switch(State.CONNECTED)


_FRONTENDS: dict[str, type[Frontend]] = {"vbd": Blkfront, "vif": Netfront}
