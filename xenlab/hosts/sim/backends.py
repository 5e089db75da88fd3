"""The backends in dom0's kernel: xen-blkback and xen-netback.

Sources: Linux drivers/block/xen-blkback/xenbus.c, drivers/net/xen-netback/xenbus.c; the keys and their order are those
of the box's xenstored.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from xenlab.devices.xenbus import XenbusState as State
from xenlab.hosts.sim import lvm
from xenlab.hosts.sim.halves import Half
from xenlab.hosts.sim.storelog import DOM0_KERNEL
from xenlab.hosts.sim.world import World

NETBACK_FEATURES = {
    "feature-sg": "1",
    "feature-gso-tcpv4": "1",
    "feature-gso-tcpv6": "1",
    "feature-ipv6-csum-offload": "1",
    "feature-rx-copy": "1",
    "feature-xdp-headroom": "1",
    "feature-rx-flip": "0",
    "feature-multicast-control": "1",
    "feature-dynamic-multicast-control": "1",
}


class Backend(Half):
    """dom0's half; made when the toolstack has made both folders."""

    other_ready: ClassVar[State]

    def __init__(self, world: World, path: str) -> None:
        super().__init__(world, DOM0_KERNEL, path, world.store.read(f"{path}/frontend") or "")
        self.guest = int(self.read("frontend-id"))

    @property
    def domid(self) -> int:
        """The domain it runs in."""
        return 0

    def begin(self) -> None:
        """Publish what it can do, and wait for the frontend: InitWait."""
        with self.world.store.speaking(self.client):
            self.announce()
            self.switch(State.INIT_WAIT)

    def announce(self) -> None:
        """Publish what it can do."""
        raise NotImplementedError

    def plugged(self) -> bool:
        """Has the hotplug script done what this backend waits for?"""
        raise NotImplementedError

    def connect(self) -> None:
        """Map the rings, bind the event channels, publish what the device is like."""
        raise NotImplementedError

    def bind(self, key: str) -> None:
        """Bind the event channel that the frontend offers under this key."""
        port = int(self.world.store.read(f"{self.other}/{key}") or 0)
        self.ports.append(self.world.events.bind_interdomain(0, self.guest, port))

    def follow(self, other: State) -> None:
        """Do what is due."""
        if self.state is State.INIT_WAIT and other is self.other_ready and self.plugged():
            self.connect()
            self.switch(State.CONNECTED)
        elif other in (State.CLOSED, State.UNKNOWN):
            self.close()

    def close(self) -> None:
        """The frontend has closed, or its folder is gone."""
        self.switch(State.CLOSED)
        self.end()


class Blkback(Backend):
    """Serves a disk. Linux counts what it has been asked, in sysfs: `statistics`."""

    other_ready = State.INITIALISED

    def __init__(self, world: World, path: str) -> None:
        super().__init__(world, path)
        self.statistics = dict.fromkeys(("ds", "f", "oo", "rd", "wr"), 0)
        self.sectors = {"rd": 0, "wr": 0}
        self._folder = f"/sys/bus/xen-backend/devices/vbd-{self.guest}-{path.rpartition('/')[2]}"

    def announce(self) -> None:
        """Publish what it can do."""
        for key, value in (
            ("feature-max-indirect-segments", "256"),
            ("multi-queue-max-queues", str(self.world.spec.dom0_vcpus)),
            ("max-ring-page-order", "4"),
        ):
            self.world.store.write(f"{self.path}/{key}", value)
        self.also_watch(f"{self.path}/physical-device")
        self._make_counters()

    def plugged(self) -> bool:
        """Has the hotplug script done what this backend waits for?"""
        return bool(self.read("physical-device"))

    def connect(self) -> None:
        """Bind the event channels, and publish what the device is like."""
        queues = int(self.world.store.read(f"{self.other}/multi-queue-num-queues") or 1)
        for queue in range(queues):
            self.bind("event-channel" if queues == 1 else f"queue-{queue}/event-channel")
        self.publish(self._properties())
        self.count("rd", sectors=8)  # the guest looks for a partition table

    def count(self, kind: str, sectors: int = 0) -> None:
        """Count one more request: ``rd``, ``wr``, or ``f`` for a flush."""
        self.statistics[kind] += 1
        if sectors:
            self.sectors[kind] += sectors

    def end(self) -> None:
        """Let go of everything."""
        super().end()
        self.world.files.remove_tree(self._folder)

    def _make_counters(self) -> None:
        folder = f"{self._folder}/statistics"
        self.world.files.make_folder(folder)
        for name, counts in (("req", self.statistics), ("sect", self.sectors)):
            for kind in counts:
                self.world.files.write(f"{folder}/{kind}_{name}", partial(_counter, counts, kind))

    def _properties(self) -> dict[str, str]:
        writable, path = self.read("mode") == "w", self.read("params")
        keys = {"feature-flush-cache": str(int(writable))}
        if not lvm.can_discard(self.world, path):
            keys["feature-discard"] = "0"
        elif self.read("discard-enable") == "1":
            granularity = "512" if path.startswith("/dev/nbd") else "4096"
            keys |= {"discard-granularity": granularity, "discard-alignment": "0", "discard-secure": "0"}
            keys["feature-discard"] = "1"
        keys |= {"feature-barrier": str(int(writable)), "feature-persistent": "1"}
        keys["sectors"] = str(self._size(path) // 512)
        return keys | {
            "info": "0" if writable else "4",
            "sector-size": "512",
            "physical-sector-size": "512",
        }

    def _size(self, path: str) -> int:
        device = lvm.block_device(self.world, path)
        if device is not None:
            return device.size
        return len(self.world.files.read(path)) if self.world.files.is_file(path) else 0


class Netback(Backend):
    """Serves a network interface. It connects last: once the script has put the interface on its bridge."""

    other_ready = State.CONNECTED

    def announce(self) -> None:
        """Publish what it can do."""
        self.publish(NETBACK_FEATURES)
        for key, value in (
            ("feature-split-event-channels", "1"),
            ("multi-queue-max-queues", str(self.world.spec.dom0_vcpus)),
            ("feature-ctrl-ring", "1"),
        ):
            self.world.store.write(f"{self.path}/{key}", value)
        self.also_watch(f"{self.path}/hotplug-status")

    def plugged(self) -> bool:
        """Has the hotplug script done what this backend waits for?"""
        return self.read("hotplug-status") == "connected"

    def connect(self) -> None:
        """Bind the event channels, and publish what the device is like."""
        queues = int(self.world.store.read(f"{self.other}/multi-queue-num-queues") or 1)
        for queue in range(queues):
            for way in ("tx", "rx"):
                key = f"event-channel-{way}"
                self.bind(key if queues == 1 else f"queue-{queue}/{key}")

    def close(self) -> None:
        """Close, as the frontend has."""
        self.switch(State.CLOSING)
        self.switch(State.CLOSED)
        self.world.store.remove(f"{self.path}/hotplug-status")
        self.end()


def _counter(counts: dict[str, int], kind: str) -> bytes:
    return b"%d\n" % counts[kind]


_BACKENDS: dict[str, type[Backend]] = {"vbd": Blkback, "vif": Netback}


def new_backend(world: World, kind: str, path: str) -> Backend:
    """Give a device that the toolstack has laid out its backend, which says what it can do."""
    backend = _BACKENDS[kind](world, path)
    backend.begin()
    return backend
