"""TCP, small: connections that open, carry bytes in order, close, are refused, and outlive lost segments.

Three segments open a connection (SYN, SYN-ACK, ACK). Every segment with data is acknowledged at once, as
Linux does while a connection is young; what is not acknowledged in time is sent again, after twice the time
at each further try. FIN closes one direction. A SYN for a port where nobody listens is answered with RST:
*connection refused*.

What a real TCP has beyond this is left out: delayed acknowledgements of data, fast retransmit, congestion
control beyond slow start, selective acknowledgements (offered, never used). Segments carry the options
Linux's carry, so that lengths are the same.

Sources: RFC 9293; Linux net/ipv4/tcp_input.c, tcp_output.c, tcp_timer.c, include/net/tcp.h (times).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import dpkt
import simpy

from xenlab.networking import frames, icmp
from xenlab.networking.clock import Timer
from xenlab.networking.frames import ACK, FIN, PSH, RST, SYN, ip_text

if TYPE_CHECKING:
    from xenlab.networking.host import Host

_SEGMENT = frames.MSS - 12  # each segment also carries 12 bytes of timestamps
_WINDOW = {"SYN": 64240, "SYN-ACK": 65160, "later": 502}
#: Seconds: until a SYN is sent again; the least until anything else is; how long a closed connection lingers.
SYN_TIMEOUT, RTO_MIN, TIME_WAIT = 1.0, 0.2, 60.0
DELAYED_ACK = 0.04
RETRIES = 6
_INITIAL_WINDOW, _MAX_WINDOW = 10 * _SEGMENT, 65535

#: Address and port of both ends: local, then remote.
Ends = tuple[str, int, str, int]
Process = Generator[simpy.Event, Any, None]


class State(StrEnum):
    """Where a connection stands (RFC 9293 §3.3.2), in the words of `ss`."""

    SYN_SENT = "SYN-SENT"
    SYN_RECV = "SYN-RECV"
    ESTABLISHED = "ESTAB"
    FIN_WAIT_1 = "FIN-WAIT-1"
    FIN_WAIT_2 = "FIN-WAIT-2"
    CLOSING = "CLOSING"
    TIME_WAIT = "TIME-WAIT"
    CLOSE_WAIT = "CLOSE-WAIT"
    LAST_ACK = "LAST-ACK"
    CLOSED = "CLOSED"


@dataclass(frozen=True)
class _Sent:
    """A segment that waits for its acknowledgement."""

    sequence: int
    flags: int
    data: bytes

    @property
    def end(self) -> int:
        return self.sequence + len(self.data) + bool(self.flags & (SYN | FIN))


class Connection:
    """One end of a TCP connection.

    `opened` is an event whose value is ``""`` once the connection stands, or else what the socket would say
    (``Connection refused``). Sequence numbers start low enough not to wrap around.
    """

    def __init__(self, env: simpy.Environment, host: Host, ends: Ends, state: State) -> None:
        self._env = env
        self._host = host
        self.ends = ends
        self.state = state
        self.opened: simpy.Event = env.event()
        self._reader: simpy.Event | None = None
        self._arrived = bytearray()
        self._ended = False
        self._unsent = bytearray()
        self._closing = False
        self._flight: deque[_Sent] = deque()
        self._next = self._unacknowledged = host.rng.randrange(2**31)
        self._expected = 0
        self._early: dict[int, dpkt.Packet] = {}  # segments that came before those they follow
        self._recovering = 0  # after a time-out: everything before this is sent again
        self._window = _INITIAL_WINDOW
        self._tries = 0
        self._rto = SYN_TIMEOUT
        self._clock = host.rng.randrange(2**31)
        self._echo = 0
        self._progress = False
        self._heard_data = False
        self._conversing = False  # have we answered data with data? (Linux: "pingpong mode")
        self._timer = Timer(env, self._timed_out)
        self._late_ack = Timer(env, self._send_ack)

    # --- what a program does ---

    def send(self, data: bytes) -> None:
        """Send bytes; they leave as the window allows."""
        self._unsent += data
        self._conversing = self._conversing or self._heard_data
        self._push()

    def read(self) -> simpy.Event:
        """An event whose value is what has arrived since the last read; ``b""`` at the end."""
        reader = self._reader = self._env.event()
        self._wake_reader()
        return reader

    def close(self) -> None:
        """Send nothing more: a FIN follows the last byte. One not yet open is given up in silence."""
        if self.state is State.SYN_SENT:
            self._finish("Connection aborted")
        elif self.state is not State.CLOSED:
            self._closing = True
            self._push()

    @property
    def all_sent(self) -> bool:
        """Has everything been sent and acknowledged?"""
        return not self._unsent and not self._flight

    # --- what the network does ---

    def start(self) -> None:
        """Send the first segment: SYN, or SYN-ACK in answer to one."""
        flags = SYN if self.state is State.SYN_SENT else SYN | ACK
        self._transmit(_Sent(self._next, flags, b""), new=True)

    def receive(self, segment: dpkt.Packet) -> None:
        """Handle a segment of this connection."""
        if segment.flags & RST:
            self._finish("Connection refused" if self.state is State.SYN_SENT else "Connection reset by peer")
            return
        self._echo = _timestamp(segment) or self._echo
        if segment.flags & SYN:
            self._receive_syn(segment)
            return
        if segment.flags & ACK:
            self._acknowledged(segment.ack)
        if segment.data or segment.flags & FIN:
            self._receive_data(segment)
        self._push()

    def fail(self, why: str) -> None:
        """An ICMP error ends a connection that is being opened; one that stands takes no notice."""
        if self.state is State.SYN_SENT:
            self._finish(why)

    def _receive_syn(self, segment: dpkt.Packet) -> None:
        if self.state is State.SYN_SENT and segment.flags & ACK:
            self._expected = segment.seq + 1
            self._acknowledged(segment.ack)
            self.state = State.ESTABLISHED
            self._send_ack()
            self.opened.succeed("")
        elif self.state is State.SYN_RECV:
            self._expected = segment.seq + 1
            if self._flight:  # the SYN came again: so must our answer
                self._transmit(self._flight[0])
            else:
                self.start()
        else:
            self._send_ack()

    def _receive_data(self, segment: dpkt.Packet) -> None:
        if segment.seq >= self._expected:
            self._early[segment.seq] = segment
        while self._expected in self._early:
            self._take(self._early.pop(self._expected))
        if self.state is State.CLOSE_WAIT and self._conversing:
            self._late_ack.start(DELAYED_ACK)  # our own FIN will probably carry it
        else:
            self._send_ack()
        if self.state is State.TIME_WAIT:
            self._timer.start(TIME_WAIT)

    def _take(self, segment: dpkt.Packet) -> None:
        """Accept the segment that is next in order."""
        self._arrived += segment.data
        self._heard_data = self._heard_data or bool(segment.data)
        self._expected += len(segment.data)
        if segment.flags & FIN:
            self._expected += 1
            self._ended = True
            self.state = {
                State.ESTABLISHED: State.CLOSE_WAIT,
                State.FIN_WAIT_1: State.CLOSING,
                State.FIN_WAIT_2: State.TIME_WAIT,
            }.get(self.state, self.state)
        self._wake_reader()

    def _acknowledged(self, number: int) -> None:
        if not self._unacknowledged < number <= self._next:
            return
        self._unacknowledged = number
        while self._flight and self._flight[0].end <= number:
            self._flight.popleft()
        self._tries, self._rto, self._progress = 0, RTO_MIN, True
        self._window = min(self._window + _SEGMENT, _MAX_WINDOW)
        if self._flight:
            self._timer.start(self._rto)
            if number < self._recovering:  # more was lost with it: send that again too
                self._transmit(self._flight[0])
        else:
            self._timer.stop()
        if self.state is State.SYN_RECV:
            self.state = State.ESTABLISHED
            self.opened.succeed("")
        if self._closing and self.all_sent:
            self._our_fin_arrived()

    def _our_fin_arrived(self) -> None:
        if self.state is State.FIN_WAIT_1:
            self.state = State.FIN_WAIT_2
        elif self.state is State.CLOSING:
            self.state = State.TIME_WAIT
            self._timer.start(TIME_WAIT)
        elif self.state is State.LAST_ACK:
            self._finish("")

    def _push(self) -> None:
        """Send what may be sent: data within the window, then the FIN."""
        if self.state not in (State.ESTABLISHED, State.CLOSE_WAIT):
            return
        while self._unsent and self._next - self._unacknowledged < self._window:
            data = bytes(self._unsent[:_SEGMENT])
            del self._unsent[:_SEGMENT]
            self._transmit(_Sent(self._next, ACK | (0 if self._unsent else PSH), data), new=True)
        if self._closing and not self._unsent:
            self.state = State.FIN_WAIT_1 if self.state is State.ESTABLISHED else State.LAST_ACK
            self._transmit(_Sent(self._next, FIN | ACK, b""), new=True)

    def _transmit(self, sent: _Sent, *, new: bool = False) -> None:
        if new:
            self._next = sent.end
            self._flight.append(sent)
            if len(self._flight) == 1:
                self._timer.start(self._rto)
        self._emit(sent.sequence, sent.flags, sent.data)

    def _send_ack(self) -> None:
        self._emit(self._next, ACK, b"")

    def _emit(self, sequence: int, flags: int, data: bytes) -> None:
        _, local_port, _, remote_port = self.ends
        now = (self._clock + int(self._env.now * 1000)) % 2**32
        kind = ("SYN-ACK" if flags & ACK else "SYN") if flags & SYN else "later"
        segment = frames.tcp(
            local_port,
            remote_port,
            flags,
            sequence,
            self._expected if flags & ACK else 0,
            _WINDOW[kind],
            options=frames.tcp_options(now, self._echo, syn=bool(flags & SYN)),
            data=data,
        )
        self._late_ack.stop()
        confirmed, self._progress = self._progress, False
        self._host.tcp.emit(self.ends, segment, confirmed=confirmed)

    def _timed_out(self) -> None:
        if self.state is State.TIME_WAIT:
            self._finish("")
        elif self._tries >= RETRIES:
            self._finish("Connection timed out")
        elif self._flight:
            self._tries += 1
            self._rto *= 2
            self._window = _SEGMENT
            self._recovering = self._next
            self._timer.start(self._rto)
            self._transmit(self._flight[0])

    def _wake_reader(self) -> None:
        if self._reader is not None and (self._arrived or self._ended):
            reader, self._reader = self._reader, None
            data, self._arrived = bytes(self._arrived), bytearray()
            reader.succeed(data)

    def _finish(self, why: str) -> None:
        self.state = State.CLOSED
        self._timer.stop()
        self._late_ack.stop()
        self._flight.clear()
        self._host.tcp.forget(self)
        if not self.opened.triggered:
            self.opened.succeed(why)
        self._ended = True
        self._wake_reader()


class Tcp:
    """TCP in one host: its connections, and the ports on which it takes new ones."""

    def __init__(self, env: simpy.Environment, host: Host) -> None:
        self._env = env
        self._host = host
        self._listeners: dict[int, Callable[[Connection], Process]] = {}
        self._connections: dict[Ends, Connection] = {}

    def connections(self) -> list[Connection]:
        """All connections, oldest first."""
        return list(self._connections.values())

    def listen(self, port: int, program: Callable[[Connection], Process]) -> None:
        """Take connections on a port; each is served by a SimPy process made by `program`."""
        self._listeners[port] = program

    def connect(self, address: str, port: int, *, local_port: int = 0) -> Connection:
        """Begin a connection; without a `local_port`, from any free one. Wait for its `opened` event."""
        source = self._host.source_for(address)
        local_port = local_port or self._host.rng.randrange(32768, 61000)
        connection = Connection(self._env, self._host, (source, local_port, address, port), State.SYN_SENT)
        if not source:
            connection.fail(icmp.SOCKET_WORDS[icmp.NET])
            return connection
        self._connections[connection.ends] = connection
        connection.start()
        return connection

    def receive(self, packet: dpkt.Packet) -> None:
        """Hand a segment to its connection; or open one, if somebody listens; or refuse it."""
        segment = packet.data
        ends = (ip_text(packet.dst), segment.dport, ip_text(packet.src), segment.sport)
        connection = self._connections.get(ends)
        if connection is not None:
            connection.receive(segment)
        elif segment.flags & (SYN | ACK | RST) == SYN and segment.dport in self._listeners:
            self._accept(ends, segment)
        elif not segment.flags & RST:
            self._refuse(ends, segment)

    def trouble(self, trouble: icmp.Trouble) -> None:
        """A segment of ours met an error."""
        about = trouble.about
        if trouble.is_final and isinstance(about.data, dpkt.tcp.TCP):
            ends = (ip_text(about.src), about.data.sport, ip_text(about.dst), about.data.dport)
            if ends in self._connections:
                self._connections[ends].fail(icmp.SOCKET_WORDS[trouble.code])

    def emit(
        self, ends: Ends, segment: dpkt.Packet, *, confirmed: bool = False, ident: int | None = None
    ) -> None:
        """Send a segment from one end to the other."""
        ident = self._host.next_ident() if ident is None else ident
        self._host.send(frames.ipv4(ends[0], ends[2], segment, ident=ident), confirmed=confirmed)

    def forget(self, connection: Connection) -> None:
        """A connection is over."""
        self._connections.pop(connection.ends, None)

    def _accept(self, ends: Ends, segment: dpkt.Packet) -> None:
        connection = Connection(self._env, self._host, ends, State.SYN_RECV)
        self._connections[ends] = connection
        program = self._listeners[segment.dport]

        def serve(_: simpy.Event) -> None:
            if connection.state is not State.CLOSED:
                self._env.process(program(connection))

        connection.opened.callbacks.append(serve)
        connection.receive(segment)

    def _refuse(self, ends: Ends, segment: dpkt.Packet) -> None:
        length = len(segment.data) + bool(segment.flags & SYN) + bool(segment.flags & FIN)
        if segment.flags & ACK:
            refusal = frames.tcp(ends[1], ends[3], RST, segment.ack, 0, 0)
        else:
            refusal = frames.tcp(ends[1], ends[3], RST | ACK, 0, segment.seq + length, 0)
        self.emit(ends, refusal, ident=0)


def _timestamp(segment: dpkt.Packet) -> int:
    for kind, data in filter(None, dpkt.tcp.parse_opts(segment.opts)):
        if kind == dpkt.tcp.TCP_OPT_TIMESTAMP:
            return int.from_bytes(data[:4], "big")
    return 0
