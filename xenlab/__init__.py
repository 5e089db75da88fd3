"""Virtualization in data centres with Xen: an interactive textbook, its labs, and the package under both.

`xenlab.connect()` gives a Xen host: a real one where one can be had, a simulated one elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xenlab.commands import CommandFailed, Completed, XenlabError
    from xenlab.hosts.connect import connect

__all__ = ["CommandFailed", "Completed", "XenlabError", "connect"]

_HOMES = {
    "connect": "xenlab.hosts.connect",
    "CommandFailed": "xenlab.commands",
    "Completed": "xenlab.commands",
    "XenlabError": "xenlab.commands",
}


def __getattr__(name: str) -> Any:
    """Import on first use, so that `import xenlab` is light."""
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'xenlab' has no attribute {name!r}")


def load_ipython_extension(shell: Any) -> None:
    """Add ``%xl`` and ``%%dom0`` to a notebook (``%load_ext xenlab``)."""
    from xenlab.magics import register

    register(shell)
