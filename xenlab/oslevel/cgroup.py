"""A control group of our own, below the one that this process is in: where the kernel lets us make one."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")


@contextlib.contextmanager
def cpu_group() -> Iterator[tuple[Path, ...]]:
    """Make a group for the `cpu` controller, and remove it in the end.

    Yields its two files: the one that takes the limit (``cpu.max`` of version 2, ``cpu.cfs_quota_us`` of version 1),
    and the one that takes members. Nothing where no group can be made.
    """
    made = None
    for version, parent in _parents():
        made = parent / f"xenlab-{secrets.token_hex(4)}"
        try:
            made.mkdir()
        except OSError:
            made = None
            continue
        if (made / _quota(version)).exists():
            break
        made.rmdir()
        made = None
    if made is None:
        yield ()
        return
    try:
        yield made / _quota(version), made / ("cgroup.procs" if version == 2 else "tasks")
    finally:
        made.rmdir()


def _quota(version: int) -> str:
    return "cpu.max" if version == 2 else "cpu.cfs_quota_us"


def _parents() -> Iterator[tuple[int, Path]]:
    """The folders of this process's own groups that have the cpu controller or could, with the version of each."""
    own = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        own[controllers] = path
    for line in MOUNTS.read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        where = before.split()[4]
        if kind == "cgroup2" and "" in own:
            yield 2, Path(where + own[""])
        elif kind == "cgroup" and "cpu" in options.split()[-1].split(","):
            found = next((own[each] for each in own if "cpu" in each.split(",")), None)
            if found is not None:
                yield 1, Path(os.path.normpath(where + found))
