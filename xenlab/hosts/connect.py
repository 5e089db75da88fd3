"""Find a Xen host: the one asked for, or the first that works."""

from __future__ import annotations

import os
from collections.abc import Callable

from xenlab.commands import XenlabError
from xenlab.hosts.dom0 import Dom0
from xenlab.hosts.host import Host


class UnknownKind(XenlabError, ValueError):
    """A kind of host that does not exist."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"kind(={kind!r}) must be 'local', 'ssh://user@host', 'box', 'box:NAME' or 'sim'")


def connect(kind: str | None = None) -> Host:
    """A Xen host to work with.

    Args:
        kind: ``"local"`` (this machine is dom0), ``"ssh://user@host"`` (a Xen server elsewhere), ``"box"`` (a real Xen
            in QEMU, started now), ``"box:NAME"`` (one that is running already) or ``"sim"`` (the simulator). Without a
            kind, what the environment variable ``XENLAB_HOST`` says; without that, the first of local, box and sim that
            works here. One printed line says which it was and why.

    Raises:
        UnknownKind: There is no such kind.
        XenlabError: The host that was asked for cannot be had; the message says why and what to do.

    >>> with connect("sim") as host:
    ...     host.kind
    sim: a simulated dom0, as asked for
    'sim'

    """
    if kind is not None:
        host, why = Host(_open(kind)), "as asked for"
    elif os.environ.get("XENLAB_HOST"):
        host, why = Host(_open(os.environ["XENLAB_HOST"])), "as $XENLAB_HOST says"
    else:
        host, why = _first_that_works()
    print(f"{host.kind}: {_DESCRIPTION[host.kind]}, {why}")
    return host


_DESCRIPTION = {
    "local": "this machine's own dom0",
    "ssh": "the dom0 of a Xen server",
    "box": "a real Xen in QEMU on this machine",
    "sim": "a simulated dom0",
}


def _open(kind: str) -> Dom0:
    if kind == "local":
        return _local()
    if kind == "box":
        return _box()
    if kind == "sim":
        return _sim()
    if kind.startswith("box:"):
        from xenlab.hosts.box.box import AttachedBox

        return AttachedBox(kind.removeprefix("box:"))
    if kind.startswith("ssh://"):
        from xenlab.hosts.ssh import SshDom0

        return SshDom0(kind.removeprefix("ssh://"))
    raise UnknownKind(kind)


def _first_that_works() -> tuple[Host, str]:
    reasons: list[str] = []
    openers: dict[str, Callable[[], Dom0]] = {"local": _local, "box": _box}
    for kind, opener in openers.items():
        try:
            return Host(opener()), "; ".join(["the first that works here", *reasons])
        except XenlabError as error:
            reasons.append(f"no {kind}: {str(error).splitlines()[0]}")
    return Host(_sim()), "; ".join(reasons)


# Imported where they are used: `import xenlab` stays light, and asyncssh is not needed by the simulator.


def _local() -> Dom0:
    from xenlab.hosts.local import LocalDom0

    return LocalDom0()


def _box() -> Dom0:
    from xenlab.hosts.box.box import Box

    return Box()


def _sim() -> Dom0:
    from xenlab.hosts.sim import SimDom0

    return SimDom0()
