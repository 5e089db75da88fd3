"""Drive a host's memory: targets and maxima by ``xl``, what a guest sees, and Xen's own tables by ``xen-mfndump``."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from xenlab.commands import CommandFailed, Commands, Completed, XenlabError
from xenlab.domains import table
from xenlab.memory import mfndump
from xenlab.memory.entries import Entry
from xenlab.memory.frames import FREE, INVALID, FrameNumbers
from xenlab.memory.paging import Table
from xenlab.memory.walk import Walk, direct

_MEMINFO = re.compile(r"^meminfo: MemTotal (\d+) kB, MemFree (\d+) kB, current_kb (\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class MemInfo:
    """What Linux in a guest says of its memory, KiB.

    `total` is what it counts as its own (MemTotal of /proc/meminfo: without what the kernel took when it booted),
    `free` is what nobody uses, `current` is what the balloon driver has left it of all it was given.
    """

    total: int
    free: int
    current: int


def read_meminfo(console: str) -> MemInfo:
    """Read the last line that the workload ``meminfo`` has printed on a guest's console.

    >>> read_meminfo("meminfo: MemTotal 94940 kB, MemFree 68812 kB, current_kb 131072\\n")
    MemInfo(total=94940, free=68812, current=131072)
    """
    found = _MEMINFO.findall(console)
    if not found:
        raise XenlabError(
            'console must hold a line of the workload "meminfo": create the guest with it, and wait'
        )
    return MemInfo(*map(int, found[-1]))


@dataclass(frozen=True)
class Share:
    """The part of a host's memory that one domain has, in MiB; None where nothing is set.

    `has` is what Xen counts, `target` what the guest's balloon driver shall leave it, `static_max` what it was built
    for, and `xen_max` where Xen stops it.
    """

    name: str
    id: int
    has: int
    target: float | None
    static_max: float | None
    xen_max: float | None


class Memory:
    """The memory of a host.

    Args:
        host: Where commands run.

    """

    def __init__(self, host: Commands) -> None:
        self._host = host

    def shares(self) -> list[Share]:
        """What each domain has, shall have, and may have."""
        limits = _limits(self._host.run(["xentop", "-b", "-i", "1"]).stdout)
        stored = _stored(self._host.run(["xenstore-ls", "-f", "/local/domain"]).stdout)
        shares = []
        for row in table.read(self._host.xl("list")):
            target, static_max = (stored.get((row.id, key)) for key in ("target", "static-max"))
            in_kb = (target, static_max, limits.get(row.name))
            in_mib = (None if kb is None else kb / 1024 for kb in in_kb)
            shares.append(Share(row.name, row.id, row.memory, *in_mib))
        return shares

    def table(self) -> pd.DataFrame:
        """What each domain has, shall have, and may have, in MiB: the fields of `Share`, by name."""
        frame = pd.DataFrame(map(asdict, self.shares())).set_index("name")
        return frame.astype(dict.fromkeys(["target", "static_max", "xen_max"], "Float64"))

    def free(self) -> int:
        """MiB that no domain has."""
        facts = dict(re.findall(r"^(\w+)\s*: (.*)$", self._host.xl("info"), re.MULTILINE))
        return int(facts["free_memory"])

    def set_target(self, name: str, mebibytes: int) -> None:
        """Set what a guest's balloon driver shall leave it (``xl mem-set``). Raises `CommandFailed` if `xl` refuses."""
        self._host.xl("mem-set", name, f"{mebibytes}m")

    def set_static_max(self, name: str, mebibytes: int) -> None:
        """Set the most that a domain may have (``xl mem-max``). Raises `CommandFailed` if `xl` refuses."""
        self._host.xl("mem-max", name, f"{mebibytes}m")

    def watch(
        self, name: str, console: Callable[[], str], seconds: float, target: int | None = None
    ) -> pd.DataFrame:
        """Look again and again what a domain has and what its kernel says of it, for so many seconds.

        Args:
            name: The domain.
            console: Returns what it has printed; it must run the workload ``meminfo``.
            seconds: How long.
            target: MiB that its balloon driver shall leave it: set after the first look.

        Returns:
            A row a look, by the time in seconds: has (MiB, as Xen counts), total and free (MiB, as Linux counts).

        """
        start, rows = self._host.now(), []
        while (time := self._host.now() - start) <= seconds:
            has = table.read(self._host.xl("list", name))[0].memory
            seen = read_meminfo(console())
            rows.append((time, has, seen.total / 1024, seen.free / 1024))
            if target is not None and len(rows) == 1:
                self.set_target(name, target)
            self._host.wait(0.25)
        return pd.DataFrame(rows, columns=["time", "has", "total", "free"]).set_index("time")

    # -- Xen's tables

    def p2m(self, name: str) -> mfndump.P2m:
        """The p2m of a PV guest, and which of its pages hold page tables.

        Raises:
            CommandFailed: It is no PV guest, or it is dom0.

        """
        return mfndump.read_p2m(self._mfndump("dump-p2m", self._id(name)))

    def m2p(self) -> FrameNumbers:
        """Xen's m2p: for each frame of the machine, which page of its owner it is; -1 if it is no domain's."""
        return mfndump.read_m2p(self._mfndump("dump-m2p"))

    def entries(self, name: str, mfn: int) -> Table:
        """The 512 entries of a page table of a guest. Raises `CommandFailed` if there is none in this frame."""
        return mfndump.read_ptes(self._mfndump("dump-ptes", self._id(name), f"{mfn:#x}"))

    def walker(self, name: str) -> Callable[[int], Walk]:
        """Return what walks a kernel address through a PV guest's real tables.

        It begins at the kernel's own root, the first of the guest's pinned ones. Tables are read once; take a new
        walker for a new look.
        """
        p2m, m2p = self.p2m(name), self.m2p()
        pinned = np.flatnonzero(p2m.types == mfndump.PINNED | 4)
        if not len(pinned):
            raise XenlabError(f"{name} must have a pinned root table: it has not booted yet")
        read = cache(lambda mfn: self.entries(name, mfn))
        return lambda address: direct(
            address,
            int(p2m.mfns[pinned[0]]),
            lambda mfn, slot: Entry.of(int(read(mfn)[slot])),
            lambda mfn: None if m2p[mfn] == INVALID else int(m2p[mfn]),
        )

    def owners(self) -> npt.NDArray[np.int32]:
        """For each frame of the machine the id of the domain that has it, -1 where none has.

        A frame that has a page by the m2p, and is in no PV guest's p2m, is taken for dom0's.
        """
        m2p = self.m2p()
        owners = np.where(m2p == INVALID, FREE, 0).astype(np.int32)
        for row in table.read(self._host.xl("list")):
            if row.id:
                mfns = self.p2m(row.name).mfns
                owners[mfns[mfns != INVALID]] = row.id
        return owners

    def _mfndump(self, *words: str) -> str:
        done: Completed = self._host.run(["xen-mfndump", *words], check=False)
        if done.status == 127:
            raise XenlabError(
                "xen-mfndump must be in dom0's PATH: Debian's package xen-utils-4.17 has it in /usr/lib/xen-4.17/bin"
            )
        if not done.ok:
            raise CommandFailed(done)
        return done.stdout

    def _id(self, name: str) -> str:
        return self._host.xl("domid", name).strip()


def _stored(listing: str) -> dict[tuple[int, str], int]:
    """What xenstore holds of each domain's memory, KiB, by domain and key, from what ``xenstore-ls -f`` printed.

    >>> _stored('/local/domain/3/memory/target = "131072"')
    {(3, 'target'): 131072}
    """
    found = re.findall(r'^/local/domain/(\d+)/memory/(\S+) = "(\d+)"', listing, re.MULTILINE)
    return {(int(domid), key): int(value) for domid, key, value in found}


def _limits(xentop: str) -> dict[str, int]:
    """Xen's maximum by domain, KiB, from what ``xentop -b`` printed; without those that have none.

    >>> _limits('''      NAME  STATE   CPU(sec) CPU(%)     MEM(k) MEM(%)  MAXMEM(k) MAXMEM(%) VCPUS
    ...   Domain-0 -----r         15    0.0     393216   37.5   no limit       n/a     2
    ...        web --b---          3    0.0     131072   12.5     132096      12.6     1''')
    {'web': 132096}
    """
    rows = [line.split() for line in xentop.splitlines()[1:]]
    return {row[0]: int(row[6]) for row in rows if row[6].isdigit()}
