"""Listening on the cable: what one side of a TCP connection said, out of the frames that QEMU wrote down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import dpkt

from xenlab.migration.heard import Piece

Ends = tuple[bytes, int, bytes]  # who speaks, from which port, to whom


def pieces(capture: Path, port: int) -> Iterator[Piece]:
    """What went to TCP port `port` in the connection that carried most: when, and the bytes.

    `capture` is a file in the pcap format. QEMU writes a frame down again when the other end was not ready for
    it, and a host sends again what it thinks was lost: what was heard before is left out. Raises `ValueError`
    where the beginning or something in between was not heard.
    """
    carried: Counter[Ends] = Counter()
    for _, ends, segment in _segments(capture, port):
        carried[ends] += len(segment.data)
    if not carried:
        return
    loudest = carried.most_common(1)[0][0]
    expected: int | None = None
    for time, ends, segment in _segments(capture, port):
        if ends != loudest:
            continue
        if segment.flags & dpkt.tcp.TH_SYN:
            expected = segment.seq + 1
            continue
        if expected is None:
            raise ValueError(f"{capture}: a connection must be heard from its beginning")
        again = (expected - segment.seq) % 2**32  # how many of these bytes were heard before
        if again > 2**31:
            raise ValueError(f"{capture}: frames must follow each other without a gap")
        if again < len(segment.data):
            yield time, bytes(segment.data[again:])
            expected = segment.seq + len(segment.data)


def _segments(capture: Path, port: int) -> Iterator[tuple[float, Ends, dpkt.tcp.TCP]]:
    with capture.open("rb") as file:
        for time, frame in dpkt.pcap.Reader(file):
            packet = dpkt.ethernet.Ethernet(frame).data
            segment = getattr(packet, "data", None)
            if isinstance(segment, dpkt.tcp.TCP) and segment.dport == port:
                yield time, (packet.src, segment.sport, packet.dst), segment
