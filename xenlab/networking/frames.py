"""Frames: the bytes on the wire, built and read with dpkt.

A frame is what one network interface hands to the next: an Ethernet header with two hardware (MAC) addresses,
and inside it an ARP message or an IPv4 packet. Everything that moves in this package's networks is such a
frame, byte for byte, checksums included; a capture of the model opens in Wireshark.

Addresses are text here (``00:16:3e:00:00:01``, ``10.0.1.1``) and bytes only inside a frame.

>>> question = arp(REQUEST, "00:16:3e:00:00:01", "10.0.0.1", "10.0.0.2")
>>> frame = ethernet("00:16:3e:00:00:01", BROADCAST, question)
>>> len(frame), frame[:6].hex(":")
(42, 'ff:ff:ff:ff:ff:ff')

Sources: RFC 826 (ARP), RFC 791 (IPv4), RFC 792 (ICMP), RFC 768 (UDP), RFC 9293 (TCP).
"""

from __future__ import annotations

import io
import socket
import struct
from collections.abc import Iterable

import dpkt

from xenlab.commands import XenlabError

BROADCAST = "ff:ff:ff:ff:ff:ff"
NO_MAC = "00:00:00:00:00:00"

#: The most bytes TCP puts into a packet of 1500, without options.
MSS = 1460
#: ARP operations.
REQUEST, REPLY = dpkt.arp.ARP_OP_REQUEST, dpkt.arp.ARP_OP_REPLY
#: TCP flags.
FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10

_HEADER_OF_ERRORS = 0xC0  # Linux sends ICMP errors with "internetwork control" precedence (icmp.c: icmp_send)


def mac_text(raw: bytes) -> str:
    """Six bytes as a MAC address: ``00:16:3e:00:00:01``."""
    return raw.hex(":")


def mac_bytes(text: str) -> bytes:
    """A MAC address as six bytes."""
    return bytes.fromhex(text.replace(":", ""))


def ip_text(raw: bytes) -> str:
    """Four bytes as an IPv4 address: ``10.0.1.1``."""
    return socket.inet_ntoa(raw)


def ip_bytes(text: str) -> bytes:
    """An IPv4 address as four bytes."""
    return socket.inet_aton(text)


def ethernet(source: str, destination: str, payload: dpkt.Packet | bytes) -> bytes:
    """A whole Ethernet II frame, without the checksum that the wire adds.

    `payload` is an ARP message, or an IPv4 packet (as an object or as bytes).

    >>> packet = ipv4("10.0.0.1", "10.0.0.2", udp(4000, 9999, b"hello"))
    >>> ethernet("00:16:3e:00:00:01", "00:16:3e:00:00:02", packet)[12:14].hex()
    '0800'
    """
    kind: int = dpkt.ethernet.ETH_TYPE_ARP if isinstance(payload, dpkt.arp.ARP) else dpkt.ethernet.ETH_TYPE_IP
    return mac_bytes(destination) + mac_bytes(source) + kind.to_bytes(2, "big") + bytes(payload)


def payload(frame: bytes) -> dpkt.Packet | None:
    """What is in a frame: an ARP message or an IPv4 packet, or None if it is neither, or broken."""
    opener = {dpkt.ethernet.ETH_TYPE_ARP: dpkt.arp.ARP, dpkt.ethernet.ETH_TYPE_IP: dpkt.ip.IP}.get(
        int.from_bytes(frame[12:14], "big")
    )
    try:
        return opener and opener(frame[14:])
    except dpkt.Error:
        return None


def arp(
    operation: int, sender_mac: str, sender_ip: str, target_ip: str, target_mac: str = NO_MAC
) -> dpkt.Packet:
    """An ARP message: REQUEST asks who has `target_ip`, REPLY says that `sender_ip` is at `sender_mac`."""
    return dpkt.arp.ARP(
        op=operation,
        sha=mac_bytes(sender_mac),
        spa=ip_bytes(sender_ip),
        tha=mac_bytes(target_mac),
        tpa=ip_bytes(target_ip),
    )


def ipv4(
    source: str,
    destination: str,
    payload: dpkt.Packet,
    *,
    ttl: int = 64,
    ident: int = 0,
    dont_fragment: bool = True,
    tos: int = 0,
) -> dpkt.Packet:
    """An IPv4 packet around an ICMP message, a TCP segment or a UDP datagram."""
    protocol = {dpkt.icmp.ICMP: 1, dpkt.tcp.TCP: 6, dpkt.udp.UDP: 17}[type(payload)]
    return dpkt.ip.IP(
        src=ip_bytes(source),
        dst=ip_bytes(destination),
        p=protocol,
        ttl=ttl,
        id=ident,
        df=int(dont_fragment),
        tos=tos,
        data=payload,
    )


def seal(packet: dpkt.Packet) -> bytes:
    """The bytes of an IPv4 packet with all its checksums computed anew, after a header field was changed.

    >>> packet = ipv4("10.0.0.1", "10.0.0.2", echo(8, 1, 1, b""))
    >>> before = seal(packet)
    >>> packet.ttl -= 1
    >>> seal(packet) == before, dpkt.ip.IP(seal(packet)).ttl
    (False, 63)
    """
    packet.sum = 0
    if isinstance(packet.data, dpkt.Packet):
        packet.data.sum = 0
    return bytes(packet)


def echo(kind: int, ident: int, sequence: int, data: bytes) -> dpkt.Packet:
    """An ICMP echo request (`kind` 8) or reply (0): what `ping` sends and gets."""
    return dpkt.icmp.ICMP(type=kind, data=dpkt.icmp.ICMP.Echo(id=ident, seq=sequence, data=data))


def icmp_error(kind: int, code: int, about: bytes) -> dpkt.Packet:
    """An ICMP error that quotes the packet it is about: `kind` 3 is unreachable, 11 time exceeded.

    As Linux does, it quotes as much of the packet as keeps the error itself within 576 bytes (RFC 1812
    §4.3.2.3).
    """
    quote = dpkt.icmp.ICMP.Unreach if kind == 3 else dpkt.icmp.ICMP.TimeExceed
    return dpkt.icmp.ICMP(type=kind, code=code, data=quote(bytes(4) + about[: 576 - 28]))


def error_packet(source: str, destination: str, error: dpkt.Packet, ident: int) -> dpkt.Packet:
    """The IPv4 packet that carries an ICMP error; a router may fragment it, and should hurry."""
    return ipv4(source, destination, error, ident=ident, dont_fragment=False, tos=_HEADER_OF_ERRORS)


def udp(source_port: int, destination_port: int, data: bytes) -> dpkt.Packet:
    """A UDP datagram."""
    return dpkt.udp.UDP(sport=source_port, dport=destination_port, ulen=8 + len(data), data=data)


def tcp(
    source_port: int,
    destination_port: int,
    flags: int,
    sequence: int,
    acknowledgement: int,
    window: int,
    *,
    options: bytes = b"",
    data: bytes = b"",
) -> dpkt.Packet:
    """A TCP segment; `options` must fill whole 32-bit words."""
    segment = dpkt.tcp.TCP(
        sport=source_port,
        dport=destination_port,
        flags=flags,
        seq=sequence,
        ack=acknowledgement,
        win=window,
        opts=options,
        data=data,
    )
    segment.off = 5 + len(options) // 4
    return segment


def tcp_options(clock: int, echo: int, *, syn: bool) -> bytes:
    """The options of Linux's TCP segments: timestamps, and in a SYN the segment size, SACK and the window's scale.

    `clock` is the sender's time in milliseconds, `echo` the last that it got from the other end.
    """
    timestamps = struct.pack(">BBII", 8, 10, clock, echo)
    if syn:
        scale = struct.pack(">BBBB", 1, 3, 3, 7)
        return struct.pack(">BBHBB", 2, 4, MSS, 4, 2) + timestamps + scale
    return b"\x01\x01" + timestamps


def write_pcap(frames: Iterable[tuple[float, bytes]]) -> bytes:
    """A capture file in the classic pcap format, from (time in seconds, frame) pairs.

    Wireshark, tcpdump and `read_pcap` open it. Times are kept to the microsecond.

    >>> read_pcap(write_pcap([(0.25, bytes(42))])) == [(0.25, bytes(42))]
    True
    """
    file = io.BytesIO()
    writer = dpkt.pcap.Writer(file)
    for time, frame in frames:
        writer.writepkt(frame, time)
    return file.getvalue()


def read_pcap(data: bytes) -> list[tuple[float, bytes]]:
    """The (time in seconds, frame) pairs of a capture file, of this package, tcpdump or Wireshark (pcap or pcapng).

    Raises `XenlabError` if `data` is neither.
    """
    try:
        return [(float(time), frame) for time, frame in dpkt.pcap.UniversalReader(io.BytesIO(data))]
    except (ValueError, dpkt.Error) as error:
        raise XenlabError(
            f"data({len(data)} bytes) must be a pcap or pcapng file ({error}): tcpdump -w writes one"
        ) from error
