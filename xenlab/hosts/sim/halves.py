"""What the two halves of a guest's device have in common: they watch each other's state and answer.

A half looks at both states whenever something it waits for has changed, and does what is due. So disks and network
interfaces go through the handshake of public/io/xenbus.h in the order in which the box's do, whoever comes late.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from xenlab.devices.xenbus import XenbusState as State
from xenlab.hosts.sim.storelog import Connection
from xenlab.hosts.sim.world import World

Steps = Generator[Any, Any, None]  # a SimPy process
REACTION_SECONDS = 0.01  # from an event of xenstore to a kernel's answer


class Half:
    """One half of a device: `path` is its folder in xenstore, `other` that of the half which it follows."""

    def __init__(self, world: World, client: Connection, path: str, other: str) -> None:
        self.world = world
        self.client = client
        self.path = path
        self.other = other
        self.state = (
            State.INITIALISING
        )  # what this kernel thinks; somebody else may write another into its folder
        self.ports: list[int] = []
        self._woken = self._ended = False
        self._watches = [world.store.watch(f"{other}/state", self._wake)]

    def also_watch(self, path: str) -> None:
        """Look again when this changes, too."""
        self._watches.append(self.world.store.watch(path, self._wake))

    def end(self) -> None:
        """Let go of xenstore and of the event channels."""
        self._ended = True
        for stop in self._watches:
            stop()
        self._watches = []
        domid = self.domid
        for port in self.ports:
            self.world.events.close(domid, port)
        self.ports = []

    @property
    def domid(self) -> int:
        """The domain it runs in."""
        raise NotImplementedError

    def delay(self) -> Steps:
        """What it takes until it runs."""
        yield self.world.env.timeout(REACTION_SECONDS)

    def follow(self, other: State) -> None:
        """Do what is due, the other half being in this state."""
        raise NotImplementedError

    def read(self, key: str) -> str:
        """A key of its own; empty if there is none."""
        return self.world.store.read(f"{self.path}/{key}") or ""

    def publish(self, keys: dict[str, str]) -> None:
        """Write keys, all at once."""
        with self.world.store.transaction():
            for key, value in keys.items():
                self.world.store.write(f"{self.path}/{key}", value)

    def switch(self, state: State) -> None:
        """Publish its own state, if its folder is still there (xenbus_switch_state)."""
        self.state = state
        if self.read("state"):
            self.publish({"state": str(int(state))})

    def _wake(self, _path: str) -> None:
        if not (self._woken or self._ended):
            self._woken = True
            self.world.env.process(self._react())

    def _react(self) -> Steps:
        yield from self.delay()
        self._woken = False
        if not self._ended:
            with self.world.store.speaking(self.client):
                self.follow(State(int(self.world.store.read(f"{self.other}/state") or 0)))
