"""The notation of one network interface (xl-network-configuration(5)); xl_parse.c, libxlu_vif.c."""

from __future__ import annotations

import re
from dataclasses import replace

from xenlab.hosts.sim.domconfig import Vif
from xenlab.hosts.sim.process import NotSimulated
from xenlab.hosts.sim.xlcfg import Report

_TEXT_KEYS = {
    "bridge": "bridge",
    "gatewaydev": "gatewaydev",
    "ip": "ip",
    "script": "script",
    "backend": "backend_domain",
    "vifname": "ifname",
    "model": "model",
}
DEFAULT_INTERVAL_US = 50_000
UINT32_MAX = 2**32 - 1


class BadVifError(Exception):
    """An interface specification that ends xl; the reason has been reported."""


def parse_vif(spec: str, source: str, report: Report) -> Vif:
    """Read one interface specification, ``mac=...,bridge=xenbr0``; an unknown key is reported and passed
    over.

    >>> parse_vif("bridge=br1, mtu=1400", "web.cfg", print).bridge
    'br1'
    """
    vif = Vif()
    for token in filter(None, spec.split(",")):
        vif = _with(vif, token.lstrip(" "), source, report)
    return vif


def _with(vif: Vif, token: str, source: str, report: Report) -> Vif:
    key, equals, value = token.partition("=")
    if equals and key in _TEXT_KEYS:
        return replace(vif, **{_TEXT_KEYS[key]: value})  # type: ignore[arg-type]
    if equals and key == "type":
        return _with_type(vif, value, report)
    if equals and key == "mac":
        return _with_mac(vif, value, report)
    if equals and key == "rate":
        return replace(vif, rate=parse_rate(value, source, report))
    if equals and key in ("devid", "mtu"):
        match = re.match(r"\s*\+?(\d+)", value)
        if not match:
            report(f'xl: failed to convert "{value}" to number')
            raise BadVifError(value)
        return replace(vif, devid=int(match[1])) if key == "devid" else replace(vif, mtu=int(match[1]))
    if token in ("trusted", "untrusted"):
        return replace(vif, trusted=token == "trusted")
    if equals and key == "accel":
        report("the accel parameter for vifs is currently not supported")
        return vif
    if equals and (key == "netdev" or key.startswith(("colo_", "forwarddev"))):
        raise NotSimulated(f"the vif key {key}=")
    report(f"unrecognized argument `{token}'")
    return vif


def _with_type(vif: Vif, value: str, report: Report) -> Vif:
    known = {"vif": "vif", "ioemu": "vif_ioemu"}
    if value not in known:
        report("Invalid parameter `type'.")
        return vif
    return replace(vif, type=known[value])


def _with_mac(vif: Vif, value: str, report: Report) -> Vif:
    parts = re.match(r"([0-9a-fA-F]+)" + r".([0-9a-fA-F]+)" * 5, value)
    if not parts or any(int(part, 16) > 255 for part in parts.groups()):
        report("Invalid parameter `mac'.")
        return vif
    return replace(vif, mac=":".join(f"{int(part, 16):02x}" for part in parts.groups()))


def parse_rate(text: str, source: str, report: Report) -> tuple[int, int]:
    """A rate such as ``10Mb/s@20ms``: bytes in each interval, and the interval in microseconds.

    >>> parse_rate("10Mb/s", "web.cfg", print)
    (62500, 50000)
    """

    def problem(message: str, near: str) -> BadVifError:
        report(f"{source}: config parsing error in vif: {message} in `{near}'")
        return BadVifError(text)

    speed, at, interval_text = text.partition("@")
    if not speed:
        raise problem("no rate specified", text)
    match = re.fullmatch(r"([0-9]+)([GMK]?)([Bb])/s", speed)
    if not match:
        raise problem("invalid rate", speed)
    number = int(match[1])
    if not 0 < number <= UINT32_MAX:
        raise problem("rate overflow", speed)
    number *= {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}[match[2]]
    bytes_per_second = number // 8 if match[3] == "b" else number
    interval = DEFAULT_INTERVAL_US
    if at:
        match = re.fullmatch(r"([0-9]+)([mu]?)(s?)", interval_text)
        if not match:
            raise problem("invalid replenishment interval", interval_text)
        # Without a unit the interval is in seconds; "us" counts as it stands.
        unit = {"m": 1000, "u": 1}.get(match[2], 1_000_000)
        interval = int(match[1]) * unit
        if not 0 < interval <= UINT32_MAX:
            raise problem("replenishment interval overflow", interval_text)
    return bytes_per_second * interval // 1_000_000, interval
