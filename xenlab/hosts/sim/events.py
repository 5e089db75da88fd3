"""The event channels of the simulated machine, and ``lsevtchn``, which lists a domain's (tools/misc, xen-utils).

A guest's first ports are those of a guest on Debian's kernel in the box: xenstore's and the console's, which
libxl opens for it, then the timer's and the interrupts between its vCPUs.
"""

from __future__ import annotations

from xenlab.devices.evtchn import Channel, State
from xenlab.devices.ring import PAGE_SIZE
from xenlab.hosts.sim.machine import Domain
from xenlab.hosts.sim.process import NotSimulated, Process
from xenlab.hosts.sim.world import World

DOM0_PORTS = 39  # what dom0 has open before the first guest, in the box
VIRQ_TIMER = 0


def add_dom0(world: World) -> None:
    """Register dom0, with what it has open before the first guest."""
    world.events.add_domain(0, memoryview(bytearray(PAGE_SIZE)))
    for _ in range(DOM0_PORTS):
        world.events.bind_ipi(0)


def add_domain(world: World, domid: int) -> None:
    """Register a new domain and join its xenstore and its console to dom0 (libxl__domain_make)."""
    world.events.add_domain(domid, memoryview(bytearray(PAGE_SIZE)))
    for _ in ("xenstore", "console"):
        world.events.bind_interdomain(0, domid, world.events.alloc_unbound(domid, 0))


def open_kernel_ports(world: World, domain: Domain) -> None:
    """What Linux opens for itself: a timer for each vCPU, and the interrupts between them."""
    vcpus = len(domain.vcpus)
    between = (3 if domain.type == "pvh" else 4) + (
        vcpus > 1
    )  # one for spinlocks where there is somebody to wait for
    for vcpu in range(vcpus):
        world.events.bind_virq(domain.domid, VIRQ_TIMER, vcpu)
        for _ in range(between):
            world.events.bind_ipi(domain.domid, vcpu)


def remove_domain(world: World, domid: int) -> None:
    """Close a domain's ports, and dom0's ends of them."""
    joined = [c for c in world.events.open_ports(domid).values() if c.state is State.INTERDOMAIN]
    world.events.remove_domain(domid)
    for channel in joined:
        world.events.close(channel.remote, channel.remote_port)


def lsevtchn(world: World, process: Process) -> int:
    """``lsevtchn DOMID``: the domain's open ports and what each is bound to."""
    words = process.argv[1:]
    if len(words) != 1 or not words[0].isdigit() or words[0] == "0":
        raise NotSimulated(f"{' '.join(process.argv)} (only of a guest)")
    try:
        ports = world.events.open_ports(int(words[0]))
    except KeyError:
        process.err("xc_evtchn_status: No such process\n")
        return 1
    for port, channel in ports.items():
        process.out(f"{port:4d}: VCPU {channel.vcpu}: {_described(channel)}\n")
    return 0


def _described(channel: Channel) -> str:
    if channel.state is State.UNBOUND:
        return f"Interdomain (Waiting connection) - Remote Domain {channel.remote}"
    if channel.state is State.INTERDOMAIN:
        return f"Interdomain (Connected) - Remote Domain {channel.remote}, Port {channel.remote_port}"
    if channel.state is State.VIRQ:
        return f"Virtual IRQ {channel.virq}"
    return "IPI"


PROGRAMS = {"lsevtchn": lsevtchn}
