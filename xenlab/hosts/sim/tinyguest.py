"""A simulated guest whose kernel is a file of the reader's own: its code runs, under the model of Xen.

Only kernels that `xenlab.paravirt.kernel` has built are run; every other domain gets the guest that xenlab ships.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from xenlab.domains.console import CONSOLE_LOG
from xenlab.hosts.sim.machine import CRASH, Domain
from xenlab.hosts.sim.store_for_domain import answer
from xenlab.hosts.sim.world import World
from xenlab.paravirt.kernel import read
from xenlab.paravirt.policy import Domain as Rights
from xenlab.scheduling.workload import Busy, Workload

#: Simulated seconds from the first instruction to the last: what such a guest takes on a box.
SECONDS = 0.1


class TinyGuest:
    """The software in one domain: it runs, all at once, when the domain is first let run."""

    def __init__(self, world: World, domain: Domain, name: str, kernel: bytes) -> None:
        self._world, self._domain = world, domain
        self._console = CONSOLE_LOG.format(name)
        self._kernel = kernel
        self._guest: Any = None
        domain.load = self
        world.env.process(self._life())

    def vcpu_workload(self, vcpu: int) -> Workload:
        """What it does with its processor time: all it can."""
        return Busy()

    def end(self) -> None:
        """The domain is being destroyed: its page tables go."""
        if self._guest is not None:
            self._guest.space.close()

    def _life(self) -> Generator[Any, Any, None]:
        world, domain = self._world, self._domain
        while not domain.runnable:
            yield domain.changed
        yield world.env.timeout(SECONDS)
        if domain.destroyed:
            return
        # the emulated processor takes a quarter of a second to import
        from xenlab.paravirt.guest import PvGuest
        from xenlab.paravirt.processor import Endless

        self._guest = PvGuest(
            read(self._kernel),
            world.machine.memory,
            Rights(domain.domid),
            lambda data: world.files.append(self._console, data.replace(b"\n", b"\r\n")),
            lambda kind, payload: answer(world.store, domain.domid, kind, payload),
            lambda: tuple(world.machine.domains),
        )
        try:
            reason = self._guest.run()
        except Endless:
            return  # it goes on, until somebody destroys it
        world.machine.shut_down(domain, min(reason, CRASH))
