"""The strings of ``vif = [...]``: what a guest's network interface should be.

A guest's configuration lists one string for each virtual interface, a comma-separated list of ``key=value``:

>>> spec, said = read_config("mac=00:16:3e:00:00:01, bridge=xenbr0, rate=16Mb/s")
>>> spec.bridge, spec.rate
('xenbr0', Rate(bytes_per_interval=100000, interval_usec=50000))

`xl create` reads them so (`read_config`): it complains about a key it does not know and goes on, but ends at
a rate it cannot read. `xl network-attach` takes the same options as separate arguments (`read_arguments`) and
ends at the first it does not like. Both say so in the words of `xl`.

Sources: tools/xl/xl_parse.c (parse_nic_config), tools/libs/util/libxlu_vif.c, tools/libs/light/libxl_nic.c
(libxl__device_nic_setdefault), xl-network-configuration(5); Xen 4.17. The COLO options (``colo_*``,
``forwarddev``) are not read.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from xenlab.commands import XenlabError

_UINT32, _UINT64 = 2**32 - 1, 2**64 - 1
DEFAULT_INTERVAL_USEC = 50_000


class VifError(XenlabError):
    """`xl` does not like an option of a vif; the text is what it prints."""


class FatalVifError(VifError):
    """An option that ends `xl` wherever it stands, in a configuration file too; `said` is what came before it."""

    said: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rate:
    """A transmission limit: `bytes_per_interval` bytes in every `interval_usec` microseconds."""

    bytes_per_interval: int
    interval_usec: int

    @property
    def xenstore(self) -> str:
        """The value of the backend's xenstore key ``rate``."""
        return f"{self.bytes_per_interval},{self.interval_usec}"


@dataclass(frozen=True)
class VifSpec:
    """What a guest's network interface should be; empty or None where the configuration says nothing."""

    mac: str = ""
    bridge: str = ""
    script: str = ""
    ip: str = ""
    rate: Rate | None = None
    gatewaydev: str = ""
    type: str = ""
    model: str = ""
    vifname: str = ""
    backend: str = ""
    devid: int | None = None
    mtu: int = 0
    trusted: bool | None = None

    def with_defaults(self, rng: random.Random) -> VifSpec:
        """The interface as libxl completes it for a PV or PVH guest; a missing MAC address is drawn from
        `rng`.

        >>> VifSpec().with_defaults(random.Random(1)).mac
        '00:16:3e:44:20:82'
        """
        drawn = bytes([0x00, 0x16, 0x3E, rng.randrange(256) & 0x7F, rng.randrange(256), rng.randrange(256)])
        return replace(
            self,
            mac=self.mac or drawn.hex(":"),
            bridge=self.bridge or "xenbr0",
            script=self.script or "vif-bridge",
            type=self.type or "vif",
            model=self.model or "rtl8139",
            devid=self.devid or 0,
            mtu=self.mtu or 1500,
            trusted=self.trusted is not False,
        )


def read_arguments(arguments: Iterable[str], source: str = "command line") -> tuple[VifSpec, list[str]]:
    """Read options as `xl network-attach` does: the interface, and what `xl` says on the way.

    Raises `VifError` at the first option it rejects.
    """
    spec, said = VifSpec(), list[str]()
    for argument in arguments:
        spec = _apply(spec, argument, source, said)
    return spec, said


def read_config(entry: str, source: str = "config file") -> tuple[VifSpec, list[str]]:
    """Read an entry of ``vif = [...]`` as `xl create` does: the interface, and what `xl` says on the way.

    Raises `FatalVifError` for a rate or a number that cannot be read; other mistakes are said and passed
    over.

    >>> read_config("brigde=xenbr0")[1]
    ["unrecognized argument `brigde=xenbr0'"]
    """
    spec, said = VifSpec(), list[str]()
    for token in filter(None, entry.split(",")):
        try:
            spec = _apply(spec, token.lstrip(" "), source, said)
        except FatalVifError as error:
            error.said = tuple(said)
            raise
        except VifError as error:
            said.append(str(error))
    return spec, said


def _apply(spec: VifSpec, token: str, source: str, said: list[str]) -> VifSpec:
    """The interface with one more option."""
    key, equals, value = token.partition("=")
    if token in ("trusted", "untrusted"):
        return replace(spec, trusted=token == "trusted")
    if equals and key in _TEXT:
        return replace(spec, **{key: value})  # type: ignore[arg-type]
    if equals and key == "netdev":
        said.append("the netdev parameter is deprecated, please use gatewaydev instead")
        return replace(spec, gatewaydev=value)
    if equals and key == "accel":
        said.append("the accel parameter for vifs is currently not supported")
        return spec
    if equals and key == "rate":
        return replace(spec, rate=parse_rate(value, source))
    if equals and key in _READ:
        return replace(spec, **{key: _READ[key](value)})  # type: ignore[arg-type]
    raise VifError(f"unrecognized argument `{token}'")


def _type(value: str) -> str:
    if value not in ("vif", "ioemu"):
        raise VifError("Invalid parameter `type'.")
    return value


def _mac(value: str) -> str:
    """Six hexadecimal numbers; whatever single character stands between them."""
    match = re.match(r"([0-9a-f]+)" + r"[^0-9a-f]([0-9a-f]+)" * 5, value, re.IGNORECASE)
    numbers = [int(part, 16) for part in match.groups()] if match else [256]
    if max(numbers) > 255:
        raise VifError("Invalid parameter `mac'.")
    return bytes(numbers).hex(":")


def _number(value: str) -> int:
    match = re.match(r"\s*\+?(\d+)", value)
    if match is None or int(match[1]) >= _UINT64:
        raise FatalVifError(f'xl: failed to convert "{value}" to number')
    return int(match[1])


_TEXT = ("bridge", "gatewaydev", "ip", "script", "backend", "vifname", "model")
_READ: dict[str, Callable[[str], str | int]] = {"type": _type, "mac": _mac, "devid": _number, "mtu": _number}


def parse_rate(text: str, source: str = "command line") -> Rate:
    """Read a rate, ``RATE/s[@INTERVAL]``: ``16Mb/s``, ``2MB/s@20ms``.

    A small ``b`` counts bits, a capital ``B`` bytes; K, M and G are powers of 1000. The interval is 50 ms by
    default; one without a unit is in *seconds* (the manual page says microseconds). Raises `FatalVifError` in
    the words of `xl`; `source` is the file, or ``command line``.

    >>> parse_rate("1MB/s@20ms")
    Rate(bytes_per_interval=20000, interval_usec=20000)
    >>> parse_rate("10MB")
    Traceback (most recent call last):
    ...
    xenlab.networking.vifspec.FatalVifError: command line: config parsing error in vif: invalid rate in `10MB'
    """

    def wrong(what: str, where: str) -> FatalVifError:
        return FatalVifError(f"{source}: config parsing error in vif: {what} in `{where}'")

    speed, at, interval = text.partition("@")
    if not speed:
        raise wrong("no rate specified", text)
    if not re.fullmatch(r"[0-9]+[GMK]?[Bb]/s", speed):
        raise wrong("invalid rate", speed)
    bytes_per_second, unit = _leading_number(speed)
    if not 0 < bytes_per_second <= _UINT32:
        raise wrong("rate overflow", speed)
    bytes_per_second *= {"G": 10**9, "M": 10**6, "K": 10**3}.get(unit[0], 1)
    if "b" in unit:
        bytes_per_second //= 8

    usec = DEFAULT_INTERVAL_USEC
    if at:
        if not re.fullmatch(r"[0-9]+[mu]?s?", interval):
            raise wrong("invalid replenishment interval", interval)
        usec, unit = _leading_number(interval)
        if not 0 < usec <= _UINT32:
            raise wrong("replenishment interval overflow", interval)
        usec *= {"": 10**6, "s": 10**6, "m": 10**3}.get(unit[:1], 1)
        if usec > _UINT32:
            raise wrong("replenishment interval overflow", interval)
    if bytes_per_second > _UINT64 // usec:
        raise wrong("rate overflow", text)
    return Rate(bytes_per_second * usec // 10**6, usec)


def _leading_number(text: str) -> tuple[int, str]:
    """A number as C's strtoull(…, 0) reads it (a leading 0 means octal), and what follows it."""
    match = re.match(r"0[0-7]*|[1-9][0-9]*", text)
    digits = match[0] if match else "0"
    return int(digits, 8 if digits[0] == "0" else 10), text[len(digits) :]
