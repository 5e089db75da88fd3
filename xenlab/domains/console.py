"""What guests have printed, as dom0's console daemon keeps it if it was started with ``--log=guest``."""

from __future__ import annotations

from xenlab.commands import Commands

#: Where the daemon keeps what the guest of a name prints.
CONSOLE_LOG = "/var/log/xen/console/guest-{}.log"
#: A guest's log, and that of the same guest since it arrived by live migration; None where there is none.
Logs = tuple[bytes | None, bytes | None]


def read_logs(host: Commands, name: str) -> Logs:
    """Read both logs of a guest from its dom0.

    The daemon names a log after the guest as it was called when it was built; while it arrives by live migration, that
    is another name. What a guest prints after it came back follows what it printed before it left.
    """
    return _read(host, name), _read(host, f"{name}--incoming")


def _read(host: Commands, called: str) -> bytes | None:
    try:
        return host.get(CONSOLE_LOG.format(called))
    except FileNotFoundError:
        return None
