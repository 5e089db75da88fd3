"""A PV guest built as dom0's builder does, and dom0's ends of its two rings: console and xenstore.

The builder puts into the guest's memory, one behind the other: the kernel, the table of frames (p2m), the start info
page, the pages of xenstore and console, the page tables, and a stack. It maps all that from address 0 on.

Sources, at RELEASE-4.17.7: tools/libs/guest/xg_dom_core.c (xc_dom_build_image), xg_dom_x86.c (start_info_x86_64,
alloc_magic_pages_pv); xen/include/public/xen.h, io/console.h, io/xs_wire.h.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from xenlab.commands import XenlabError
from xenlab.memory.builder import Area
from xenlab.memory.machine import Machine
from xenlab.paravirt.hypervisor import Hypervisor
from xenlab.paravirt.kernel import Image, Step, build, read
from xenlab.paravirt.policy import Domain
from xenlab.paravirt.processor import LIMIT, Processor
from xenlab.paravirt.space import PAGE, Space

MACHINE_FRAMES, XEN_FRAMES = 1 << 16, 1 << 10  # 256 MiB, of which Xen keeps 4
STORE_PORT, CONSOLE_PORT = 1, 2
#: Addresses are mapped in pieces of 4 MiB, and half a MiB behind the stack at least (xc_dom_build_image).
PIECE, SPARE = 4 << 20, 512 << 10
HEADER = struct.Struct("<IIII")  # struct xsd_sockmsg: type, req_id, tx_id, len

#: Takes what the guest has printed.
Console = Callable[[bytes], None]
#: Answers a message to xenstore: (type, payload) to (type, payload).
Store = Callable[[int, bytes], tuple[int, bytes]]


class PvGuest:
    """A guest with this kernel, under Xen, with a dom0 behind its two rings.

    Args:
        image: The kernel.
        machine: The machine whose frames it has; there is a domain of this number already, with its memory.
        domain: What Xen's rules look at in it.
        console: Takes what it prints.
        store: Answers what it asks xenstore.
        domids: The domains there are.

    Raises `XenlabError` if the kernel does not fit into the domain's memory.
    """

    def __init__(
        self,
        image: Image,
        machine: Machine,
        domain: Domain,
        console: Console = lambda text: None,
        store: Store = lambda kind, payload: (16, b"ENOSYS\0"),
        domids: Callable[[], Sequence[int]] = lambda: (0, 1),
    ) -> None:
        self.printed = ""
        self._console, self._store = console, store
        self.space = Space(machine, domain.domid)
        info, stack = self._lay_out(image, len(machine.domains[domain.domid].pages))
        self.xen = Hypervisor(self.space, domain, self._notified, domids)
        self.processor = Processor(self.xen, image.entry, stack, info)

    @classmethod
    def alone(cls, steps: Iterable[Step], mebibytes: int = 16) -> PvGuest:
        """A guest with these steps on a machine that has nobody else.

        >>> guest = PvGuest.alone([Step("ring", "mov rax, cs")])
        >>> guest.run(), guest.printed
        (0, 'ring 000000000000e033\\nthat was all\\n')
        """
        machine = Machine(MACHINE_FRAMES, xen=XEN_FRAMES)
        machine.add(1, mebibytes << 8)
        return cls(read(build(steps)), machine, Domain(1))

    def run(self, limit: int = LIMIT) -> int:
        """Run it to its end; return why it ended (`SCHEDOP_shutdown`); raises `Endless` if it does not."""
        return self.processor.run(limit)

    # -- building

    def _lay_out(self, image: Image, pages: int) -> tuple[int, int]:
        """Fill the memory; return the addresses of the start info page and of the end of the stack."""
        for address, data in image.segments:
            self.space.memory[address : address + len(data)] = data
        table = -(-image.end // PAGE)
        info = table + -(-8 * pages // PAGE)
        self._store_page, self._console_page, tables = info + 1, info + 2, info + 3
        count = stack = end = 0
        while count != 3 + -(-end // 512):  # the tables map themselves, too
            count = 3 + -(-end // 512)
            stack = tables + count
            end = -(-((stack + 1) * PAGE + SPARE) // PIECE) * PIECE // PAGE
        if end > pages:
            raise XenlabError(f"pages(={pages}) must be at least {end} for a kernel of this size")
        frames = self.space.p2m[:pages].astype(np.uint64)
        self.space.memory[table * PAGE : table * PAGE + 8 * pages] = frames.tobytes()
        self.space.memory[info * PAGE : (info + 1) * PAGE] = self._start_info(pages, table, tables, count)
        self.space.build([Area(0, 0, end)], first=tables)
        return info * PAGE, (stack + 1) * PAGE

    def _start_info(self, pages: int, table: int, tables: int, count: int) -> bytes:
        p2m = self.space.p2m
        page = bytearray(PAGE)
        page[:32] = b"xen-3.0-x86_64".ljust(32, b"\0")
        struct.pack_into("<Q", page, 32, pages)
        struct.pack_into("<QI", page, 56, int(p2m[self._store_page]), STORE_PORT)
        struct.pack_into("<QI", page, 72, int(p2m[self._console_page]), CONSOLE_PORT)
        struct.pack_into("<QQQ", page, 88, tables * PAGE, count, table * PAGE)
        return bytes(page)

    # -- dom0's ends of the rings

    def _notified(self, port: int) -> None:
        if port == CONSOLE_PORT:
            data = self._take(self._console_page, 1024, 2048, 3080, 3084)
            self.printed += data.decode(errors="replace")
            self._console(data)
        elif port == STORE_PORT:
            self._answer()

    def _answer(self) -> None:
        page = self._store_page
        request = self._take(page, 0, 1024, 2048, 2052)
        while len(request) >= HEADER.size:
            kind, number, transaction, length = HEADER.unpack_from(request)
            payload = request[HEADER.size : HEADER.size + length]
            request = request[HEADER.size + length :]
            kind, payload = self._store(kind, payload)
            self._put(page, HEADER.pack(kind, number, transaction, len(payload)) + payload)

    def _take(self, page: int, at: int, size: int, consumer: int, producer: int) -> bytes:
        """Read all there is in a ring."""
        memory, base = self.space.memory, page * PAGE
        (start,) = struct.unpack_from("<I", memory, base + consumer)
        (end,) = struct.unpack_from("<I", memory, base + producer)
        data = bytes(memory[base + at + (index & size - 1)] for index in range(start, end))
        struct.pack_into("<I", memory, base + consumer, end)
        return data

    def _put(self, page: int, data: bytes) -> None:
        """Write an answer into xenstore's second ring; these guests take it at once, so that it always fits."""
        memory, base = self.space.memory, page * PAGE
        (at,) = struct.unpack_from("<I", memory, base + 2060)
        for offset, byte in enumerate(data):
            memory[base + 1024 + (at + offset & 1023)] = byte
        struct.pack_into("<I", memory, base + 2060, at + len(data))
