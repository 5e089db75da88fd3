"""Frames: their bytes are right, and tcpdump's words about them are tcpdump's."""

from __future__ import annotations

import struct

import dpkt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenlab.commands import XenlabError
from xenlab.networking import frames
from xenlab.networking.dissect import Tcpdump, fingerprint, layers, protocol

A, B = "00:16:3e:00:00:01", "00:16:3e:00:00:02"
IP_A, IP_B = "10.0.0.1", "10.0.0.2"


def of_ip(payload: dpkt.Packet, source: str = IP_A, target: str = IP_B) -> bytes:
    return frames.ethernet(A, B, frames.ipv4(source, target, payload))


def segment(flags: int, seq: int, ack: int, data: bytes = b"", back: bool = False) -> bytes:
    ports = (7777, 40002) if back else (40002, 7777)
    ends = (IP_B, IP_A) if back else (IP_A, IP_B)
    return of_ip(frames.tcp(*ports, flags, seq, ack, 100, data=data), *ends)


SYN, ACK, PSH, FIN, RST = frames.SYN, frames.ACK, frames.PSH, frames.FIN, frames.RST
DATAGRAM = frames.ipv4(IP_A, IP_B, frames.udp(4000, 9999, b"x"))

#: One capture, and what tcpdump 4.99.3 of Debian 12 says of it: `tcpdump -nr capture.pcap`.
TCPDUMP = (
    (frames.ethernet(A, frames.BROADCAST, frames.arp(1, A, IP_A, IP_B)),
     "ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 28"),
    (frames.ethernet(B, A, frames.arp(2, B, IP_B, IP_A, A)),
     "ARP, Reply 10.0.0.2 is-at 00:16:3e:00:00:02, length 28"),
    (frames.ethernet(A, frames.BROADCAST, frames.arp(1, A, IP_A, IP_A)),
     "ARP, Request who-has 10.0.0.1 tell 10.0.0.1, length 28"),
    (frames.ethernet(A, B, frames.arp(1, A, IP_A, IP_B, B)),
     "ARP, Request who-has 10.0.0.2 (00:16:3e:00:00:02) tell 10.0.0.1, length 28"),
    (segment(SYN, 5000, 0), "IP 10.0.0.1.40002 > 10.0.0.2.7777: Flags [S], seq 5000, win 100, length 0"),
    (segment(SYN | ACK, 9000, 5001, back=True),
     "IP 10.0.0.2.7777 > 10.0.0.1.40002: Flags [S.], seq 9000, ack 5001, win 100, length 0"),
    (segment(ACK, 5001, 9001), "IP 10.0.0.1.40002 > 10.0.0.2.7777: Flags [.], ack 1, win 100, length 0"),
    (segment(PSH | ACK, 5001, 9001, b"hello"),
     "IP 10.0.0.1.40002 > 10.0.0.2.7777: Flags [P.], seq 1:6, ack 1, win 100, length 5"),
    (segment(FIN | ACK, 9001, 5006, back=True),
     "IP 10.0.0.2.7777 > 10.0.0.1.40002: Flags [F.], seq 1, ack 6, win 100, length 0"),
    (segment(RST, 9001, 0, back=True),
     "IP 10.0.0.2.7777 > 10.0.0.1.40002: Flags [R], seq 9001, win 100, length 0"),
    (of_ip(frames.echo(8, 3, 1, bytes(56))),
     "IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 3, seq 1, length 64"),
    (frames.ethernet(A, B, DATAGRAM), "IP 10.0.0.1.4000 > 10.0.0.2.9999: UDP, length 1"),
    (of_ip(frames.icmp_error(3, 0, bytes(DATAGRAM)), IP_B, IP_A),
     "IP 10.0.0.2 > 10.0.0.1: ICMP net 10.0.0.2 unreachable, length 37"),
    (of_ip(frames.icmp_error(3, 1, bytes(DATAGRAM)), IP_B, IP_A),
     "IP 10.0.0.2 > 10.0.0.1: ICMP host 10.0.0.2 unreachable, length 37"),
    (of_ip(frames.icmp_error(3, 2, bytes(DATAGRAM)), IP_B, IP_A),
     "IP 10.0.0.2 > 10.0.0.1: ICMP 10.0.0.2 protocol 17 unreachable, length 37"),
    (of_ip(frames.icmp_error(3, 3, bytes(DATAGRAM)), IP_B, IP_A),
     "IP 10.0.0.2 > 10.0.0.1: ICMP 10.0.0.2 udp port 9999 unreachable, length 37"),
    (of_ip(frames.icmp_error(11, 0, bytes(DATAGRAM)), IP_B, IP_A),
     "IP 10.0.0.2 > 10.0.0.1: ICMP time exceeded in-transit, length 37"),
)  # fmt: skip


def test_tcpdump_says_the_same() -> None:
    dump = Tcpdump()
    assert [dump.describe(frame) for frame, _ in TCPDUMP] == [line for _, line in TCPDUMP]


def ones_complement_sum(data: bytes) -> int:
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@settings(max_examples=40)
@given(st.binary(max_size=64), st.integers(1, 255), st.integers(0, 65535))
def test_every_checksum_holds_after_a_header_has_changed(data: bytes, ttl: int, port: int) -> None:
    packet = dpkt.ip.IP(bytes(frames.ipv4(IP_A, IP_B, frames.udp(4000, 9999, data))))
    packet.ttl, packet.data.dport = ttl, port
    raw = frames.seal(packet)
    assert ones_complement_sum(raw[:20]) == 0xFFFF
    pseudo_header = raw[12:20] + bytes([0, 17]) + len(raw[20:]).to_bytes(2, "big")
    assert ones_complement_sum(pseudo_header + raw[20:]) == 0xFFFF


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(st.integers(0, 10**9).map(lambda usec: usec / 1e6), st.binary(min_size=14, max_size=80))
    )
)
def test_a_capture_file_gives_back_what_was_written(captured: list[tuple[float, bytes]]) -> None:
    read = frames.read_pcap(frames.write_pcap(captured))
    assert [frame for _, frame in read] == [frame for _, frame in captured]
    assert [time for time, _ in read] == pytest.approx([time for time, _ in captured], abs=1.1e-6)


@pytest.mark.parametrize("data", [b"", bytes(24), b"not a capture at all, and long enough"])
def test_what_is_no_capture_file_is_refused(data: bytes) -> None:
    with pytest.raises(XenlabError, match="must be a pcap or pcapng file"):
        frames.read_pcap(data)


@pytest.mark.parametrize("frame", [frame for frame, _ in TCPDUMP], ids=protocol)
def test_the_layers_of_a_frame_cover_it_without_a_gap(frame: bytes) -> None:
    opened = layers(frame)
    assert [layer.start for layer in opened] == [0, *[layer.end for layer in opened[:-1]]]
    assert opened[-1].end == len(frame)
    assert all(layer.start <= part.start < part.end <= layer.end for layer in opened for part in layer.fields)


def test_a_fingerprint_hides_what_is_random_and_nothing_else() -> None:
    one, other, third = (
        of_ip(frames.tcp(40001, 80, SYN, seq, 0, 64240, options=_timestamps(clock)))
        for seq, clock in ((1_000_000, 5), (2_000_000, 6), (2_000_000, 6))
    )
    assert fingerprint([one]) == fingerprint([other])
    packet = dpkt.ip.IP(third[14:])
    packet.ttl -= 1
    assert fingerprint([frames.ethernet(A, B, frames.seal(packet))]) != fingerprint([one])


def _timestamps(value: int) -> bytes:
    return b"\x01\x01" + struct.pack(">BBII", 8, 10, value, 0)


SYN_WITH_OPTIONS = of_ip(frames.tcp(40001, 80, SYN, 1, 0, 64240, options=frames.tcp_options(7, 0, syn=True)))
whole = st.sampled_from([*(frame for frame, _ in TCPDUMP), SYN_WITH_OPTIONS])


@settings(max_examples=150)
@given(whole, st.lists(st.tuples(st.integers(12, 80), st.integers(0, 255)), max_size=4), st.integers(14, 120))
def test_no_frame_is_too_broken_to_be_described(
    frame: bytes, flips: list[tuple[int, int]], length: int
) -> None:
    broken = bytearray(frame)
    for position, value in flips:
        broken[position % len(frame)] = value
    cut = bytes(broken[:length])
    assert Tcpdump().describe(cut)
    assert protocol(cut)
    assert layers(cut)[-1].end == len(cut)
    assert fingerprint([cut])
