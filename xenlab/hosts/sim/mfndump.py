"""``xen-mfndump`` in the simulated dom0: the p2m, the m2p and the page tables of the simulated guests.

A simulated guest has the tables that its builder in dom0 made: of the kernel's area, and of all its memory once more
where Linux maps it. They follow its balloon. A real guest has more, for its processes.
"""

from __future__ import annotations

import numpy as np

from xenlab.hosts.sim.machine import AREA_PAGES, TABLE_PAGES, Domain
from xenlab.hosts.sim.process import NotSimulated, Process
from xenlab.hosts.sim.world import World
from xenlab.memory.builder import DIRECT, KERNEL, Area, Layout, lay_out
from xenlab.memory.entries import adjusted
from xenlab.memory.frames import INVALID
from xenlab.memory.mfndump import NO_FRAME, PINNED, Types, write_m2p, write_p2m, write_ptes

USAGE = """Usage: xen-mfndump <command> [args]
Commands:
  help                      show this help
  dump-m2p                  show M2P
  dump-p2m    <domid>       show P2M of <domid>
  dump-ptes   <domid> <mfn> show the PTEs in <mfn>
  lookup-pte  <domid> <mfn> find the PTE mapping <mfn>
  memcmp-mfns <domid1> <mfn1> <domid2> <mfn2>
                            compare content of <mfn1> & <mfn2>
"""
COMMANDS = {"help": 0, "dump-m2p": 0, "dump-p2m": 1, "dump-ptes": 2, "lookup-pte": 2, "memcmp-mfns": 4}


def xen_mfndump(world: World, process: Process) -> int:
    """Show p2m, m2p or a page table (tools/misc/xen-mfndump.c)."""
    words = process.argv[1:]
    if not words:
        process.err(USAGE)
        return 1
    command = next((name for name in COMMANDS if name.startswith(words[0])), None)
    if command is None:
        process.err(f"Unknown option '{words[0]}'")
        process.err(USAGE)
        return 1
    operands = words[1:]
    if command == "help" or len(operands) < COMMANDS[command] or (command == "dump-m2p" and operands):
        process.err(USAGE)
        return int(command != "help")
    if command == "dump-m2p":
        process.out(write_m2p(world.machine.memory.frames.m2p))
        return 0
    if command not in ("dump-p2m", "dump-ptes"):
        raise NotSimulated(f"xen-mfndump {command}")
    domain = _domain(world, process, operands[0])
    if command == "dump-p2m":
        mfns = world.machine.memory.domains[domain.domid].p2m
        process.out(write_p2m(domain.domid, mfns, _types(world, domain)))
        return 0
    return _dump_ptes(world, process, domain, operands[1])


def _domain(world: World, process: Process, number: str) -> Domain:
    domid = int(number) if number.isdigit() else 0  # atoi
    domain = world.machine.domains.get(domid)
    if domain is None:
        process.fail(f"Failed to obtain info for domain {domid}")
    if domid == 0:
        process.err(
            "xc: error: Could not map the shared info frame (MFN 0x3fd6b) (3 = No such process): Internal error\n"
        )
        process.fail("Could not map domain 0 memory information")
    if domain.type != "pv":
        process.err(
            "xc: error: Could not get domain address size (95 = Operation not supported): Internal error\n"
        )
        process.fail(f"Could not map domain {domid} memory information")
    return domain


def _dump_ptes(world: World, process: Process, domain: Domain, number: str) -> int:
    memory = world.machine.memory
    mfn = int(number, 16)
    if mfn >= len(memory.frames):
        process.err("Failed to map live M2P table")
        process.fail_silently()
    pages = len(memory.domains[domain.domid].p2m)
    pfn = memory.page_of(mfn)
    if pfn is None or pfn >= pages:
        process.fail(
            f"pfn {pfn if pfn is not None else (1 << 64) - 1:#x} out of range for domain {domain.domid}"
        )
    types = _types(world, domain)
    if types[pfn] in (0, NO_FRAME):
        process.fail(f"pfn {pfn:#x} for domain {domain.domid} is not a PT")
    # Like the program itself: the guest's page of this number, whoever has the frame.
    frame = memory.frame_of(domain.domid, pfn)
    assert frame is not None
    layout = _layout(world, domain)
    table = adjusted(layout.tables[pfn], layout.levels[pfn])
    process.out(write_ptes(domain.domid, pages, pfn, frame, int(types[pfn]), table))
    return 0


def _layout(world: World, domain: Domain) -> Layout:
    p2m = world.machine.memory.domains[domain.domid].p2m
    areas = [Area(KERNEL, 0, min(AREA_PAGES, len(p2m))), Area(DIRECT, 0, len(p2m))]
    return lay_out(p2m, areas, first=world.machine.behind_the_kernel(domain, TABLE_PAGES))


def _types(world: World, domain: Domain) -> Types:
    p2m = world.machine.memory.domains[domain.domid].p2m
    types = np.where(p2m == INVALID, NO_FRAME, 0).astype(np.uint8)
    layout = _layout(world, domain)
    for pfn, level in layout.levels.items():
        types[pfn] = level | (PINNED if pfn == layout.root else 0)
    return types


PROGRAMS = {"xen-mfndump": xen_mfndump}
