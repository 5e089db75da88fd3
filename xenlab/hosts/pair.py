"""Two Xen hosts with a private link between them: what a migration needs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Literal, Protocol

from xenlab.commands import XenlabError
from xenlab.hosts.dom0 import Dom0
from xenlab.hosts.host import Host
from xenlab.migration.heard import Heard

Breakage = Literal["link cut", "target killed"]


class Link(Protocol):
    """The cable between two hosts, and the power of each."""

    def cut(self) -> None:
        """Cut the cable."""

    def mend(self) -> None:
        """Mend it."""

    def kill(self, number: int) -> None:
        """End host 0 or 1 as if its power were cut."""

    def midway(self, target: int, action: Callable[[], None]) -> Callable[[], bool]:
        """Do something once host 0 or 1 has begun to build a guest that arrives.

        Returns a function that ends the watch for such a guest and says whether it was done.
        """

    def listen(self) -> Callable[[], Heard]:
        """Begin to listen on the cable; returns a function that ends this and gives what was heard."""


class Ear:
    """Someone who listens on the cable."""

    def __init__(self) -> None:
        self._heard: Heard | None = None

    @property
    def heard(self) -> Heard:
        """What was heard. Raises `XenlabError` while there is still listening."""
        if self._heard is None:
            raise XenlabError("heard(=not yet) must be asked for after `with pair.listening()` has ended")
        return self._heard


class Pair:
    """Two hosts, `a` and `b`, called hosta and hostb on the link between them.

    As a context manager it closes both. `cut` and `mend` are for the cable.
    """

    def __init__(self, dom0s: tuple[Dom0, Dom0], link: Link) -> None:
        self.a, self.b = (Host(dom0) for dom0 in dom0s)
        self._link = link

    @property
    def hosts(self) -> dict[str, Host]:
        """Both hosts by the name the other knows them under."""
        return {"hosta": self.a, "hostb": self.b}

    @property
    def simulated(self) -> bool:
        """True if no real Xen answers."""
        return self.a.simulated

    def cut(self) -> None:
        """Cut the cable between the hosts."""
        self._link.cut()

    def mend(self) -> None:
        """Mend it."""
        self._link.mend()

    @contextmanager
    def breaking(self, breakage: Breakage, target: str = "hostb") -> Iterator[None]:
        """Break the migration to `target` that happens meanwhile, in its middle: cut the link, or end that host.

        Raises `XenlabError` at the end if nothing was broken because no guest arrived there.
        """
        number = list(self.hosts).index(target)
        actions = {"link cut": self._link.cut, "target killed": lambda: self._link.kill(number)}
        stop = self._link.midway(number, actions[breakage])
        try:
            yield
        finally:
            broken = stop()
        if not broken:
            raise XenlabError(f"no guest arrived at {target}: {breakage!r} needs a migration to break")

    @contextmanager
    def listening(self) -> Iterator[Ear]:
        """Listen on the cable to the one migration that happens meanwhile; `Ear.heard` has it afterwards.

        >>> from xenlab.migration.driver import Migration
        >>> with connect_pair("sim") as pair:
        ...     _ = pair.a.create(name="web", type="pvh", workload="clock").wait_for("clock 3")
        ...     with pair.listening() as ear:
        ...         _ = Migration(pair.hosts).live("web")
        sim: two simulated hosts, as asked for
        >>> ear.heard.rounds[0].pages
        32768

        """
        ear, end = Ear(), self._link.listen()
        try:
            yield ear
        except BaseException:
            with suppress(ValueError):  # it has broken off in the middle
                end()
            raise
        ear._heard = end()

    def close(self) -> None:
        """End the domains that were made here, and give both hosts back; one that has died is left alone."""
        for host in (self.a, self.b):
            try:
                host.close()
            except XenlabError:  # its power was cut
                host.dom0.close()

    def __enter__(self) -> Pair:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def connect_pair(kind: str | None = None) -> Pair:
    """Two Xen hosts with a private link between them.

    Args:
        kind: ``"box"`` (two real Xens in QEMU, started now) or ``"sim"``. Without a kind, what the environment
            variable ``XENLAB_HOST`` says, and without that the first of the two that works here.

    Raises:
        XenlabError: There is no pair of this kind, or it cannot be had; the message says why.

    >>> with connect_pair("sim") as pair:
    ...     pair.a.run(["hostname"]).stdout, pair.b.run(["hostname"]).stdout
    sim: two simulated hosts, as asked for
    ('hosta\\n', 'hostb\\n')

    """
    why = "as asked for" if kind else "as $XENLAB_HOST says"
    kind = kind or os.environ.get("XENLAB_HOST")
    if kind is None:
        try:
            pair, why = _boxes(), "the first that works here"
        except XenlabError as error:
            pair, why = _sims(), f"no box: {str(error).splitlines()[0]}"
    elif kind in ("box", "sim"):
        pair = _boxes() if kind == "box" else _sims()
    else:
        raise XenlabError(f"kind(={kind!r}) must be 'box' or 'sim': only of these can xenlab make two")
    print(f"{pair.a.kind}: {'two simulated hosts' if pair.simulated else 'two real Xens in QEMU'}, {why}")
    return pair


# Imported where they are used, as in xenlab.hosts.connect.


def _boxes() -> Pair:
    from xenlab.hosts.box.link import BoxLink

    link = BoxLink()
    a, b = link.boxes
    return Pair((a, b), link)


def _sims() -> Pair:
    from xenlab.hosts.sim.link import SimLink

    link = SimLink()
    a, b = link.dom0s
    return Pair((a, b), link)
