"""Reading frames: one line for each in tcpdump's words, or one frame opened layer by layer.

>>> from xenlab.networking import frames
>>> ask = frames.arp(frames.REQUEST, "00:16:3e:00:00:01", "10.0.0.1", "10.0.0.2")
>>> frame = frames.ethernet("00:16:3e:00:00:01", frames.BROADCAST, ask)
>>> Tcpdump().describe(frame)
'ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 28'
>>> [layer.name for layer in layers(frame)]
['Ethernet', 'ARP']
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dpkt

from xenlab.networking.frames import ACK, FIN, NO_MAC, PSH, RST, SYN, ip_text, mac_text, payload

if TYPE_CHECKING:
    import pandas as pd

_FLAG_LETTERS = ((FIN, "F"), (SYN, "S"), (RST, "R"), (PSH, "P"), (ACK, "."))
_PROTOCOLS = {1: "ICMP", 6: "TCP", 17: "UDP"}
#: What tcpdump says of the codes of ICMP's "destination unreachable" that name no port or protocol.
_UNREACHABLE = {
    0: "net {} unreachable",
    1: "host {} unreachable",
    4: "{} unreachable - need to frag",
    9: "net {} unreachable - admin prohibited",
    10: "host {} unreachable - admin prohibited",
    13: "host {} unreachable - admin prohibited filter",
}


def protocol(frame: bytes) -> str:
    """The protocol that a frame is about: ARP, ICMP, TCP, UDP, or the EtherType in hexadecimal."""
    packet = payload(frame)
    if isinstance(packet, dpkt.arp.ARP):
        return "ARP"
    if isinstance(packet, dpkt.ip.IP):
        return _PROTOCOLS.get(packet.p, f"IP protocol {packet.p}")
    return f"0x{frame[12:14].hex()}"


def endpoints(frame: bytes) -> tuple[str, str]:
    """The source and destination MAC addresses of a frame."""
    return mac_text(frame[6:12]), mac_text(frame[:6])


class Tcpdump:
    """Describes frames, one after another, in the words of ``tcpdump -n`` (4.99, Debian 12).

    It remembers TCP connections: as tcpdump does, it prints sequence numbers relative to the first segment
    seen of a connection, except in segments that carry SYN or RST.
    """

    def __init__(self) -> None:
        self._bases: dict[tuple[bytes, int, bytes, int], tuple[int, int]] = {}

    def describe(self, frame: bytes) -> str:
        """One line about the frame."""
        packet = payload(frame)
        if isinstance(packet, dpkt.arp.ARP):
            return f"ARP, {_arp(packet)}, length {len(packet)}"
        if not isinstance(packet, dpkt.ip.IP):
            return f"ethertype 0x{frame[12:14].hex()}, length {len(frame)}"
        if isinstance(packet.data, dpkt.tcp.TCP):
            return "IP " + self._tcp(packet, packet.data)
        if isinstance(packet.data, dpkt.udp.UDP):
            return f"IP {_between(packet, packet.data)}: UDP, length {packet.data.ulen - 8}"
        if isinstance(packet.data, dpkt.icmp.ICMP):
            return (
                f"IP {ip_text(packet.src)} > {ip_text(packet.dst)}: "
                f"ICMP {_icmp(packet.data)}, length {len(packet.data)}"
            )
        return f"IP {ip_text(packet.src)} > {ip_text(packet.dst)}: ip-proto-{packet.p} {len(packet.data)}"

    def _tcp(self, packet: dpkt.Packet, segment: dpkt.Packet) -> str:
        sequence, acknowledgement = self._relative(packet, segment)
        flags = "".join(letter for bit, letter in _FLAG_LETTERS if segment.flags & bit)
        text = f"{_between(packet, segment)}: Flags [{flags or 'none'}]"
        length = len(segment.data)
        if length:
            text += f", seq {sequence}:{(sequence + length) % 2**32}"
        elif segment.flags & (SYN | FIN | RST):
            text += f", seq {sequence}"
        if segment.flags & ACK:
            text += f", ack {acknowledgement}"
        text += f", win {segment.win}"
        if segment.opts:
            text += f", options [{','.join(_tcp_options(segment.opts))}]"
        return f"{text}, length {length}"

    def _relative(self, packet: dpkt.Packet, segment: dpkt.Packet) -> tuple[int, int]:
        there = (packet.src, segment.sport, packet.dst, segment.dport)
        back = (packet.dst, segment.dport, packet.src, segment.sport)
        bases = self._bases.get(there)
        if bases is None or segment.flags & SYN:
            self._bases[there] = (segment.seq, segment.ack - 1)
            self._bases[back] = (segment.ack - 1, segment.seq)
            return segment.seq, segment.ack
        if segment.flags & RST:
            return segment.seq, segment.ack
        return (segment.seq - bases[0]) % 2**32, (segment.ack - bases[1]) % 2**32


def _between(packet: dpkt.Packet, transport: dpkt.Packet) -> str:
    return f"{ip_text(packet.src)}.{transport.sport} > {ip_text(packet.dst)}.{transport.dport}"


def _arp(message: dpkt.Packet) -> str:
    if message.op == dpkt.arp.ARP_OP_REPLY:
        return f"Reply {ip_text(message.spa)} is-at {mac_text(message.sha)}"
    known = mac_text(message.tha)
    known = "" if known == NO_MAC else f" ({known})"
    return f"Request who-has {ip_text(message.tpa)}{known} tell {ip_text(message.spa)}"


def _icmp(message: dpkt.Packet) -> str:
    if not isinstance(message.data, dpkt.Packet):  # cut short, or of a kind dpkt does not open
        return f"type-#{message.type}"
    if message.type in (0, 8):
        kind = "request" if message.type == 8 else "reply"
        return f"echo {kind}, id {message.data.id}, seq {message.data.seq}"
    if message.type == 11:
        return "time exceeded in-transit"
    if message.type != 3:
        return f"type-#{message.type}"
    about = message.data.data
    target = ip_text(about.dst)
    if message.code == 2:
        return f"{target} protocol {about.p} unreachable"
    if message.code == 3 and isinstance(about.data, dpkt.tcp.TCP | dpkt.udp.UDP):
        return f"{target} {_PROTOCOLS[about.p].lower()} port {about.data.dport} unreachable"
    return _UNREACHABLE.get(message.code, f"{{}} unreachable, code {message.code}").format(target)


def _tcp_options(options: bytes) -> Iterator[str]:
    for kind, data in filter(None, dpkt.tcp.parse_opts(options)):  # None: one that is broken
        match kind:
            case dpkt.tcp.TCP_OPT_NOP:
                yield "nop"
            case dpkt.tcp.TCP_OPT_MSS:
                yield f"mss {int.from_bytes(data, 'big')}"
            case dpkt.tcp.TCP_OPT_WSCALE if len(data) == 1:
                yield f"wscale {data[0]}"
            case dpkt.tcp.TCP_OPT_SACKOK:
                yield "sackOK"
            case dpkt.tcp.TCP_OPT_TIMESTAMP if len(data) == 8:
                value, echoed = struct.unpack(">II", data)
                yield f"TS val {value} ecr {echoed}"
            case _:
                yield f"unknown-{kind}"


def as_table(captured: Iterable[tuple[float, str, bytes]]) -> pd.DataFrame:
    """Captured frames as a table, from (time in seconds, link, frame) triples.

    Columns: `time`, `link`, `src` and `dst` (MAC addresses), `protocol`, `summary` in the words of tcpdump, and the
    length of the frame in `bytes`.

    >>> from xenlab.networking import frames
    >>> ask = frames.arp(frames.REQUEST, "00:16:3e:00:00:01", "10.0.0.1", "10.0.0.2")
    >>> table = as_table([(0.5, "vif1.0", frames.ethernet("00:16:3e:00:00:01", frames.BROADCAST, ask))])
    >>> table["protocol"].tolist(), table["bytes"].tolist()
    (['ARP'], [42])
    """
    import pandas as pd

    dumps: dict[str, Tcpdump] = {}
    rows = []
    for time, link, frame in captured:
        summary = dumps.setdefault(link, Tcpdump()).describe(frame)
        rows.append((time, link, *endpoints(frame), protocol(frame), summary, len(frame)))
    return pd.DataFrame(rows, columns=["time", "link", "src", "dst", "protocol", "summary", "bytes"])


_MASKS = (
    (re.compile(r"\bTS val \d+ ecr \d+"), "TS"),
    (re.compile(r"\b(win|wscale) \d+"), r"\1 *"),
    (re.compile(r"\b(seq|ack) \d{6,}"), r"\1 *"),
    (re.compile(r"\bid \d{4,}"), "id *"),
)


def fingerprint(frames: Iterable[bytes]) -> list[str]:
    """What is the same of a link's frames whenever, and on whatever machine, the same thing happens.

    One line a frame: its MAC addresses, tcpdump's line, and for IPv4 time to live, type of service and
    don't-fragment. Masked are what machines draw at random or take from a clock: initial sequence numbers,
    timestamps, window sizes, and ICMP identifiers above 999 (smaller ones a program has chosen).

    >>> from xenlab.networking import frames as f
    >>> syn = f.tcp(40001, 80, f.SYN, 305419896, 0, 64240)
    >>> frame = f.ethernet("00:16:3e:00:00:01", "00:16:3e:00:00:02", f.ipv4("10.0.0.1", "10.0.0.2", syn))
    >>> fingerprint([frame])[0].split(" IP ")  # doctest: +NORMALIZE_WHITESPACE
    ['00:16:3e:00:00:01 > 00:16:3e:00:00:02',
     '10.0.0.1.40001 > 10.0.0.2.80: Flags [S], seq *, win *, length 0 ttl 64 tos 0 DF']
    """
    dump = Tcpdump()
    lines = []
    for frame in frames:
        text = dump.describe(frame)
        for pattern, mask in _MASKS:
            text = pattern.sub(mask, text)
        source, destination = endpoints(frame)
        packet = payload(frame)
        if isinstance(packet, dpkt.ip.IP):
            text += f" ttl {packet.ttl} tos {packet.tos}" + " DF" * packet.df
        lines.append(f"{source} > {destination} {text}")
    return lines


@dataclass(frozen=True)
class Field:
    """One field of a header: its name, its value as text, and the bytes `start:end` of the frame that hold
    it.
    """

    name: str
    value: str
    start: int
    end: int


@dataclass(frozen=True)
class Layer:
    """One protocol's part of a frame: its name, its fields, and the bytes `start:end` that it spans."""

    name: str
    fields: tuple[Field, ...]
    start: int
    end: int


def layers(frame: bytes) -> tuple[Layer, ...]:
    """A frame opened: its protocols from the outside in, each with its fields and where they stand.

    What follows the last header dpkt knows is a layer called ``data``.

    >>> from xenlab.networking import frames
    >>> packet = frames.ipv4("10.0.0.1", "10.0.0.2", frames.udp(4000, 9999, b"hello"), ttl=63)
    >>> frame = frames.ethernet("00:16:3e:00:00:01", "00:16:3e:00:00:02", packet)
    >>> for layer in layers(frame):
    ...     print(layer.name, layer.start, layer.end)
    Ethernet 0 14
    IP 14 34
    UDP 34 42
    data 42 47
    >>> next(field for field in layers(frame)[1].fields if field.name == "ttl")
    Field(name='ttl', value='63', start=22, end=23)
    """
    found: list[Layer] = []
    kind = int.from_bytes(frame[12:14], "big")
    packet = dpkt.ethernet.Ethernet(dst=frame[:6], src=frame[6:12], type=kind)
    packet.data, start = payload(frame), 0
    while isinstance(packet, dpkt.Packet):
        end = start + packet.__hdr_len__
        fields = list(_fields(packet, start))
        options = bytes(getattr(packet, "opts", b""))
        if options:
            fields.append(Field("options", options.hex(" "), end, end + len(options)))
            end += len(options)
        found.append(Layer(type(packet).__name__, tuple(fields), start, end))
        packet, start = packet.data, end
    if start < len(frame):
        found.append(Layer("data", (), start, len(frame)))
    return tuple(found)


def _fields(packet: dpkt.Packet, start: int) -> Iterator[Field]:
    for name, code, _ in packet.__hdr__:
        size = struct.calcsize(">" + code)
        bits = packet.__bit_fields__.get(name) if hasattr(packet, "__bit_fields__") else None
        if bits is None:
            yield Field(name, _value(name, getattr(packet, name)), start, start + size)
        else:  # several fields share these bytes
            for part, _width in bits:
                if not part.startswith("_"):
                    yield Field(part, str(getattr(packet, part)), start, start + size)
        start += size


def _value(name: str, value: int | bytes) -> str:
    if isinstance(value, bytes):
        return ip_text(value) if len(value) == 4 else value.hex(":")
    return f"0x{value:04x}" if name in ("type", "sum", "pro") and value > 255 else str(value)
