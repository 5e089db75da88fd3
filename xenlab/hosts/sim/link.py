"""Two simulated hosts joined by a cable: they share one clock, and each finds the other by its name."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import simpy

from xenlab.hosts.sim.dom0 import SimDom0
from xenlab.hosts.sim.machine import MachineSpec
from xenlab.migration.heard import Heard, HeardRound
from xenlab.migration.pages import MigrationError

NAMES = ("hosta", "hostb")


class SimLink:
    """Two simulated dom0s, hosta and hostb, and the cable between them; the same `seed` gives the same two."""

    def __init__(self, seed: int = 0) -> None:
        env = simpy.Environment()
        self.dom0s = [
            SimDom0(MachineSpec(hostname=name), seed + number, env) for number, name in enumerate(NAMES)
        ]
        a, b = (dom0.world for dom0 in self.dom0s)
        self._worlds = (a, b)
        self.mend()

    def cut(self) -> None:
        """Cut the cable."""
        for world in self._worlds:
            world.peers = {}

    def mend(self) -> None:
        """Mend it."""
        a, b = self._worlds
        a.peers, b.peers = {NAMES[1]: b}, {NAMES[0]: a}

    def kill(self, number: int) -> None:
        """End one of the two as if its power were cut: 0 is hosta, 1 hostb."""
        self.cut()
        self.dom0s[number].dead = True

    def midway(self, target: int, action: Callable[[], None]) -> Callable[[], bool]:
        """Do something once this host has begun to build a guest that arrives; see `xenlab.hosts.pair.Link`."""
        world = self._worlds[target]
        enough: list[bool] = []
        done: list[bool] = []

        def arriving() -> bool:
            return any((world.name_of(domid) or "").endswith("--incoming") for domid in world.machine.domains)

        def watch() -> Generator[Any, Any, None]:
            while not arriving():
                if enough:
                    return
                yield world.env.timeout(0.05)
            yield world.env.timeout(0.2)
            action()
            done.append(True)

        world.env.process(watch())

        def stop() -> bool:
            enough.append(True)
            return bool(done)

        return stop

    def listen(self) -> Callable[[], Heard]:
        """Listen on the cable; see `xenlab.hosts.pair.Link`. There are no bytes on it, only rounds."""
        before = {world: len(world.sent) for world in self._worlds}

        def heard() -> Heard:
            sent = [each for world in self._worlds for each in world.sent[before[world] :]]
            if not sent:
                raise MigrationError("nothing was heard on the cable: move a guest while you listen")
            # A round without pages makes no sound.
            rounds = (
                HeardRound(each.live, each.sent, each.start, each.seconds) for each in sent if each.sent
            )
            return Heard(tuple(rounds))

        return heard
