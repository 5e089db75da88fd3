"""A simulated host: memory, domains, and the three things they share by way of Xen.

A `Machine` has frames of memory, grant tables, event channels and a xenstore, and nothing happens in it by
itself: `run` delivers watch events and upcalls, in the order they came about, until there are none. So
every run is the same, and a reader can stop before any step. Virtual CPUs, schedulers and time are other
chapters' matter.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from xenlab.commands import XenlabError
from xenlab.devices.evtchn import EventChannels, Handler
from xenlab.devices.grants import Grants, Mapping, Memory
from xenlab.devices.xenstore import Xenstore


class Domain:
    """A domain as its own kernel sees it: its memory, its grant table, its ports, its connection to xenstore.

    Made by `Machine.create`. `handlers` says what to call for an event on each port.
    """

    def __init__(self, machine: Machine, domid: int) -> None:
        self.machine = machine
        self.domid = domid
        self.grants = machine.grants.add_domain(domid)
        self.shared_info = machine.events.add_domain(domid, machine.memory[machine.memory.allocate(domid)])
        self.store = machine.store.client(domid)
        self.handlers: dict[int, Handler] = {}

    def listen(self, port: int, handler: Handler) -> None:
        """Call `handler(port)` for each event on the port from now on, and unmask it."""
        self.handlers[port] = handler
        self.machine.events.unmask(self.domid, port)

    def close(self, port: int) -> None:
        """Stop listening and close the port."""
        self.shared_info.mask(port)
        del self.handlers[port]
        self.machine.events.close(self.domid, port)

    def notify(self, port: int) -> None:
        """Send an event through the port."""
        self.machine.events.send(self.domid, port)

    def map(self, granter: int, gref: int, *, readonly: bool = False) -> Mapping:
        """Map another domain's granted page; raise `GrantError` if Xen refuses."""
        return self.machine.grants.map(self.domid, granter, gref, readonly=readonly)

    def unmap(self, mapping: Mapping) -> None:
        """End a mapping."""
        self.machine.grants.unmap(self.domid, mapping)

    def disable_upcalls(self, vcpu: int = 0) -> None:
        """Let events wait, as a kernel does where it must not be interrupted."""
        self.shared_info.mask_upcalls(vcpu, True)

    def enable_upcalls(self, vcpu: int = 0) -> None:
        """Take upcalls again; what has come meanwhile is handled now."""
        self.shared_info.mask_upcalls(vcpu, False)
        self.upcall(vcpu)

    def upcall(self, vcpu: int) -> None:
        """Handle the events pending on a vCPU, unless it takes no upcalls now."""
        if not self.shared_info.upcalls_masked(vcpu):
            self.shared_info.upcall(vcpu, lambda port: self.handlers[port](port))


@dataclass
class Machine:
    """A host with domain 0, and guests as they are created.

    >>> machine = Machine()
    >>> web = machine.create(1, "web")
    >>> web.store.read("name")
    'web'
    >>> port = machine.events.alloc_unbound(web.domid, remote=0)
    >>> web.listen(port, lambda port: print("event on port", port))
    >>> machine.dom0.notify(machine.events.bind_interdomain(0, web.domid, port))
    >>> machine.run()
    event on port 1
    """

    memory: Memory = field(default_factory=Memory)
    store: Xenstore = field(default_factory=Xenstore)
    events: EventChannels = field(default_factory=EventChannels)
    domains: dict[int, Domain] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.grants = Grants(self.memory)
        self.dom0 = self.create(0, "Domain-0")

    def create(self, domid: int, name: str) -> Domain:
        """Make a domain and its home in xenstore, in which it may write where libxl lets it.

        Raises `XenlabError` if the number is taken. Source: libxl_create.c, libxl__domain_make.
        """
        if domid in self.domains:
            raise XenlabError(
                f"domid(={domid}) must be unused; d{domid} is {self.domains[domid].store.read('name')}"
            )
        domain = self.domains[domid] = Domain(self, domid)
        store, home = self.store.client(0), f"/local/domain/{domid}"
        store.mkdir(home)
        store.set_permissions(home, f"n0,r{domid}")
        store.write(f"{home}/name", name)
        store.write(f"{home}/domid", domid)
        store.mkdir(f"{home}/device")
        for node in ("error", "data", "drivers", "feature", "attr"):
            store.mkdir(f"{home}/{node}")
            store.set_permissions(f"{home}/{node}", f"n{domid}")
        return domain

    def run(self) -> None:
        """Deliver watch events and upcalls until nothing more happens."""
        while self.store.deliver() or self.events.kicked:
            if self.events.kicked:
                domid, vcpu = self.events.kicked.popleft()
                self.domains[domid].upcall(vcpu)
