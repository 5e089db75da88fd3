"""What busybox's programs print about the network, where it differs from what iputils and its like print."""

from __future__ import annotations

from xenlab.networking.apps import Pinged

NO_NETWORK = "PING {0} ({0}): 56 data bytes\nping: sendto: Network is unreachable"


def busybox_ping(pinged: Pinged) -> str:
    """What ``ping -c 1`` of busybox 1.35 prints, without the last line's end.

    >>> print(busybox_ping(Pinged("10.0.0.2", sent=1)))
    PING 10.0.0.2 (10.0.0.2): 56 data bytes
    <BLANKLINE>
    --- 10.0.0.2 ping statistics ---
    1 packets transmitted, 0 packets received, 100% packet loss
    """
    target = pinged.target
    if pinged.refusal:
        return NO_NETWORK.format(target)
    lines = [f"PING {target} ({target}): 56 data bytes"]
    lines += [
        f"{answer.size} bytes from {answer.source}: seq={answer.sequence} ttl={answer.ttl} "
        f"time={1000 * time:.3f} ms"
        for answer, time in pinged.answers
        if answer.trouble is None
    ]
    lost = 100 * (pinged.sent - pinged.received) // pinged.sent
    lines += [
        "",
        f"--- {target} ping statistics ---",
        f"{pinged.sent} packets transmitted, {pinged.received} packets received, {lost}% packet loss",
    ]
    if times := [1000 * time for time in pinged.times]:
        low, mean, high = min(times), sum(times) / len(times), max(times)
        lines.append(f"round-trip min/avg/max = {low:.3f}/{mean:.3f}/{high:.3f} ms")
    return "\n".join(lines)
