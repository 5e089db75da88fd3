"""Event channels: the interrupts between domains, in the two-level layout.

An event channel has two ends, a *port* in each domain; sending on one sets a bit for the other. The bits
lie on a page that a guest shares with Xen, in two levels, so that of 4096 ports the guest finds the pending
ones by looking at two words:

    vcpu_info.evtchn_upcall_pending   is there anything at all?
    vcpu_info.evtchn_pending_sel      which of the 64 words of evtchn_pending have news
    evtchn_pending[64], evtchn_mask[64]   a bit for each port

Xen makes a vCPU jump to its event handler, the *upcall*, only when the last of these bits goes from 0 to 1.
So any number of sends to a port that is pending or masked costs one upcall, or none.

Sources: xen/include/public/event_channel.h, xen/include/public/xen.h (shared_info, vcpu_info; x86-64);
xen/common/event_2l.c: evtchn_2l_set_pending, evtchn_2l_unmask; xen/common/event_channel.c:
evtchn_alloc_unbound, evtchn_bind_interdomain, evtchn_send, evtchn_close; the guest's side as Linux has it
(events_2l.c).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from errno import EEXIST, EINVAL, ENOSPC, ESRCH, errorcode

from xenlab.commands import XenlabError

PORTS = 64 * 64
VCPUS = 32
_VCPU_INFO_SIZE = 64
_UPCALL_PENDING, _UPCALL_MASK = 0, 1  # bytes of a vcpu_info
_PENDING_SEL = 1  # word of a vcpu_info (offset 8)
_PENDING, _MASK = 2048 // 8, 2560 // 8  # words of shared_info

Handler = Callable[[int], None]


class State(IntEnum):
    """What a port is bound to (EVTCHNSTAT_*)."""

    CLOSED = 0
    UNBOUND = 1
    INTERDOMAIN = 2
    PIRQ = 3
    VIRQ = 4
    IPI = 5


class EventChannelError(XenlabError):
    """An event channel operation that Xen refused; `.errno` is the (positive) code."""

    def __init__(self, errno: int, why: str) -> None:
        self.errno = errno
        super().__init__(f"{why} (-{errorcode[errno]})")


@dataclass
class Channel:
    """Xen's record of one port (struct evtchn)."""

    state: State = State.CLOSED
    remote: int = 0  # the other domain (unbound: who may bind)
    remote_port: int = 0
    virq: int = 0
    vcpu: int = 0  # whose upcall it makes


class SharedInfo:
    """The page a guest shares with Xen, as far as events go; every bit lies where x86-64 Xen has it.

    Argument: `page`, 4096 bytes. Like Linux at boot, it starts with every port masked.
    """

    def __init__(self, page: memoryview) -> None:
        self.bytes = page
        self.words = page.cast("Q")
        for word in range(64):
            self.words[_MASK + word] = ~0 & (1 << 64) - 1

    def pending(self, port: int) -> bool:
        """True if an event on the port waits to be handled."""
        return bool(self.words[_PENDING + port // 64] >> port % 64 & 1)

    def masked(self, port: int) -> bool:
        """True if the guest does not want to be disturbed by this port."""
        return bool(self.words[_MASK + port // 64] >> port % 64 & 1)

    def upcall_pending(self, vcpu: int) -> bool:
        """True if the vCPU is to run its event handler."""
        return bool(self.bytes[vcpu * _VCPU_INFO_SIZE + _UPCALL_PENDING])

    def upcalls_masked(self, vcpu: int) -> bool:
        """True while the vCPU takes no upcall, as with interrupts disabled."""
        return bool(self.bytes[vcpu * _VCPU_INFO_SIZE + _UPCALL_MASK])

    def mask_upcalls(self, vcpu: int, masked: bool) -> None:
        """Disable or enable a vCPU's upcalls, as cli and sti do with interrupts."""
        self.bytes[vcpu * _VCPU_INFO_SIZE + _UPCALL_MASK] = masked

    def mask(self, port: int) -> None:
        """Let events on the port wait (the guest does this by itself; to unmask it asks Xen)."""
        self.words[_MASK + port // 64] |= 1 << port % 64

    def set_pending(self, port: int, vcpu: int) -> bool:
        """Xen: an event for this port. Return True if that makes an upcall (evtchn_2l_set_pending)."""
        word, bit = _PENDING + port // 64, 1 << port % 64
        if self.words[word] & bit:
            return False
        self.words[word] |= bit
        return not self.masked(port) and self._select(port, vcpu)

    def unmask(self, port: int, vcpu: int) -> bool:
        """Xen: unmask a port; return True if what had waited makes an upcall (evtchn_2l_unmask)."""
        was_masked = self.masked(port)
        self.words[_MASK + port // 64] &= ~(1 << port % 64)
        return was_masked and self.pending(port) and self._select(port, vcpu)

    def _select(self, port: int, vcpu: int) -> bool:
        word, bit = vcpu * _VCPU_INFO_SIZE // 8 + _PENDING_SEL, 1 << port // 64
        if self.words[word] & bit:
            return False
        self.words[word] |= bit
        if self.upcall_pending(vcpu):
            return False
        self.bytes[vcpu * _VCPU_INFO_SIZE + _UPCALL_PENDING] = 1
        return True

    def clear(self, port: int) -> None:
        """Forget that an event is pending on the port."""
        self.words[_PENDING + port // 64] &= ~(1 << port % 64)

    def upcall(self, vcpu: int, handle: Handler) -> int:
        """The guest's event handler: clear what is pending on this vCPU and call `handle` for each port.

        It swaps `pending_sel` for 0 first, then clears each bit before it handles it: what arrives
        meanwhile sets the bits anew and is handled in another turn. Returns the number of events handled.
        """
        selector = vcpu * _VCPU_INFO_SIZE // 8 + _PENDING_SEL
        handled = 0
        while self.upcall_pending(vcpu):
            self.bytes[vcpu * _VCPU_INFO_SIZE + _UPCALL_PENDING] = 0
            selected, self.words[selector] = self.words[selector], 0
            for word in _bits(selected):
                for bit in _bits(self.words[_PENDING + word] & ~self.words[_MASK + word]):
                    self.clear(word * 64 + bit)
                    handle(word * 64 + bit)
                    handled += 1
        return handled


def _bits(word: int) -> list[int]:
    """Return the numbers of the bits that are set, lowest first."""
    found = []
    while word:
        lowest = word & -word
        found.append(lowest.bit_length() - 1)
        word ^= lowest
    return found


class EventChannels:
    """Xen's side: who is bound to whom, and the hypercalls that bind, send, mask and close.

    `kicked` holds (domain, vCPU) for each upcall that is due, oldest first: whoever runs the machine takes
    them from there. `sends` and `upcalls` count.

    >>> events = EventChannels()
    >>> guest = events.add_domain(1, memoryview(bytearray(4096)))
    >>> dom0 = events.add_domain(0, memoryview(bytearray(4096)))
    >>> port = events.alloc_unbound(1, remote=0)         # the guest offers a port to domain 0 …
    >>> events.bind_interdomain(0, 1, port)              # … which binds it to one of its own
    1
    >>> events.unmask(1, port)
    >>> for _ in range(3):
    ...     events.send(0, 1)
    >>> events.sends, events.kicked                      # three events, one upcall
    (3, deque([(1, 0)]))
    >>> guest.upcall(0, lambda port: print("event on port", port))
    event on port 1
    1
    """

    def __init__(self) -> None:
        self.kicked: deque[tuple[int, int]] = deque()
        self.sends = 0
        self.upcalls = 0
        self._shared: dict[int, SharedInfo] = {}
        self._channels: dict[int, list[Channel]] = {}

    def add_domain(self, domid: int, page: memoryview) -> SharedInfo:
        """Register a domain with the page of its shared_info."""
        self._shared[domid] = SharedInfo(page)
        self._channels[domid] = [Channel(State.CLOSED)]  # port 0 is never given out
        return self._shared[domid]

    def channel(self, domid: int, port: int) -> Channel:
        """Return Xen's record of an open port (EVTCHNOP_status); raise `EventChannelError` if closed."""
        channels = self._channels.get(domid)
        if channels is None:
            raise EventChannelError(ESRCH, f"there is no d{domid}")
        if not 0 < port < len(channels) or channels[port].state is State.CLOSED:
            raise EventChannelError(EINVAL, f"port {port} of d{domid} is closed")
        return channels[port]

    def _open(self, domid: int, channel: Channel) -> int:
        """Give the channel the domain's lowest free port."""
        channels = self._channels[domid]
        for port in range(1, len(channels)):
            if channels[port].state is State.CLOSED:
                channels[port] = channel
                return port
        if len(channels) == PORTS:
            raise EventChannelError(ENOSPC, f"d{domid} has all its {PORTS} ports open")
        channels.append(channel)
        return len(channels) - 1

    def alloc_unbound(self, domid: int, remote: int) -> int:
        """Open a port that domain `remote` may bind to; return it (EVTCHNOP_alloc_unbound)."""
        return self._open(domid, Channel(State.UNBOUND, remote))

    def bind_interdomain(self, domid: int, remote: int, remote_port: int) -> int:
        """Bind a new port to one that another domain keeps for this one (EVTCHNOP_bind_interdomain).

        Return it. It is pending at once: the other end may have sent before anyone listened. Raises
        `EventChannelError` if the other port is not unbound and waiting for this very domain.
        """
        other = self.channel(remote, remote_port)
        if other.state is not State.UNBOUND or other.remote != domid:
            raise EventChannelError(EINVAL, f"port {remote_port} of d{remote} does not wait for d{domid}")
        port = self._open(domid, Channel(State.INTERDOMAIN, remote, remote_port))
        other.state, other.remote_port = State.INTERDOMAIN, port
        self._set_pending(domid, port)
        return port

    def bind_virq(self, domid: int, virq: int, vcpu: int = 0) -> int:
        """Bind a new port to a virtual interrupt, the timer's for one; return it (EVTCHNOP_bind_virq)."""
        if any(c.state is State.VIRQ and (c.virq, c.vcpu) == (virq, vcpu) for c in self._channels[domid]):
            raise EventChannelError(EEXIST, f"VIRQ {virq} of d{domid}v{vcpu} is bound already")
        return self._open(domid, Channel(State.VIRQ, virq=virq, vcpu=vcpu))

    def bind_ipi(self, domid: int, vcpu: int = 0) -> int:
        """Open a port by which a domain's own vCPUs interrupt this one; return it (EVTCHNOP_bind_ipi)."""
        return self._open(domid, Channel(State.IPI, vcpu=vcpu))

    def raise_virq(self, domid: int, virq: int, vcpu: int = 0) -> None:
        """Xen itself sends a virtual interrupt; without a port bound to it, it is lost."""
        for port, channel in enumerate(self._channels[domid]):
            if channel.state is State.VIRQ and (channel.virq, channel.vcpu) == (virq, vcpu):
                self._set_pending(domid, port)

    def bind_vcpu(self, domid: int, port: int, vcpu: int) -> None:
        """Choose the vCPU that is to take the port's upcalls (EVTCHNOP_bind_vcpu)."""
        if not 0 <= vcpu < VCPUS:
            raise EventChannelError(EINVAL, f"vcpu(={vcpu}) must be from 0 to {VCPUS - 1}")
        self.channel(domid, port).vcpu = vcpu

    def send(self, domid: int, port: int) -> None:
        """Notify the other end (EVTCHNOP_send); if nobody has bound it yet, that is lost in silence."""
        channel = self.channel(domid, port)
        if channel.state is State.INTERDOMAIN:
            self.sends += 1
            self._set_pending(channel.remote, channel.remote_port)
        elif channel.state is State.IPI:
            self.sends += 1
            self._set_pending(domid, port)
        elif channel.state is not State.UNBOUND:
            raise EventChannelError(EINVAL, f"port {port} of d{domid} has no other end")

    def unmask(self, domid: int, port: int) -> None:
        """Unmask a port (EVTCHNOP_unmask); what came while it was masked is delivered now."""
        vcpu = self.channel(domid, port).vcpu
        if self._shared[domid].unmask(port, vcpu):
            self._kick(domid, vcpu)

    def close(self, domid: int, port: int) -> None:
        """Close a port (EVTCHNOP_close); the other end goes back to waiting for this domain."""
        channel = self.channel(domid, port)
        if channel.state is State.INTERDOMAIN:
            other = self.channel(channel.remote, channel.remote_port)
            other.state, other.remote, other.remote_port = State.UNBOUND, domid, 0
        self._channels[domid][port] = Channel()
        self._shared[domid].clear(port)

    def open_ports(self, domid: int) -> dict[int, Channel]:
        """Return a domain's open ports, lowest first, and Xen's record of each."""
        channels = enumerate(self._channels[domid])
        return {port: channel for port, channel in channels if channel.state is not State.CLOSED}

    def remove_domain(self, domid: int) -> None:
        """Close all ports of a domain and forget it (evtchn_destroy)."""
        for port in self.open_ports(domid):
            self.close(domid, port)
        del self._channels[domid], self._shared[domid]

    def _set_pending(self, domid: int, port: int) -> None:
        vcpu = self._channels[domid][port].vcpu
        if self._shared[domid].set_pending(port, vcpu):
            self._kick(domid, vcpu)

    def _kick(self, domid: int, vcpu: int) -> None:
        self.upcalls += 1
        self.kicked.append((domid, vcpu))
