"""vif strings are read as xl reads them: the vectors of tools/xl/check-xl-vif-parse, and xl's messages."""

from __future__ import annotations

import random
import re

import pytest

from xenlab.networking.vifspec import (
    FatalVifError,
    Rate,
    VifError,
    VifSpec,
    parse_rate,
    read_arguments,
    read_config,
)

#: check-xl-vif-parse: what xl makes of a rate.
ACCEPTED = {
    (100_000, 50_000): "16000000b/s 16000000b/s@50ms 2000000B/s 2000000B/s@50ms "
    "16Mb/s 16Mb/s@50ms 2MB/s 2MB/s@50ms",
    (100, 50_000): "16Kb/s 16Kb/s@50ms 2KB/s 2KB/s@50ms",
    (50_000_000, 50_000): "8Gb/s 8Gb/s@50ms 1GB/s 1GB/s@50ms",
    (10_000_000, 1_000_000): "80Mb/s@1s 10MB/s@1s",
    (20_000, 20_000): "1MB/s@20ms",
}
#: check-xl-vif-parse: what xl rejects, and the words in which it does (libxlu_vif.c).
REJECTED = {
    "invalid rate": "foo 10MB 10MB/m 10ZB 10ZB/s 10ZB/m",
    "rate overflow": "4294967296b/s 4294967296Kb/s 4294967296Mb/s 4294967296Gb/s 0B/s "
    "4294967295GB/s@5us 4296MB/s@4294s",
    "invalid replenishment interval": "10Mb/s@foo 10Mb/s@10h 10MB/s@foo 10MB/s@10h",
    "replenishment interval overflow": "1B/s@4294967296us 1B/s@4294968ms 1B/s@4295s 1B/s@0us",
    "no rate specified": "@",
}


@pytest.mark.parametrize(
    ("text", "expected"), [(text, expected) for expected, texts in ACCEPTED.items() for text in texts.split()]
)
def test_rates_that_xl_takes(text: str, expected: tuple[int, int]) -> None:
    assert read_arguments([f"rate={text}"]) == (VifSpec(rate=Rate(*expected)), [])


@pytest.mark.parametrize(
    ("text", "words"), [(text, words) for words, texts in REJECTED.items() for text in texts.split()]
)
def test_rates_that_xl_rejects(text: str, words: str) -> None:
    message = rf"command line: config parsing error in vif: {words} in `.*'"
    with pytest.raises(FatalVifError, match=message):
        read_arguments([f"rate={text}"])
    with pytest.raises(FatalVifError, match=r"^guest\.cfg: config parsing error"):
        read_config(f"bridge=xenbr0,rate={text}", source="guest.cfg")


def test_an_interval_without_a_unit_is_in_seconds_though_the_manual_says_microseconds() -> None:
    assert parse_rate("10Mb/s@20") == Rate(25_000_000, 20_000_000)


def test_a_leading_zero_makes_a_number_octal_as_strtoull_reads_it() -> None:
    assert parse_rate("010B/s@1s") == Rate(8, 1_000_000)
    with pytest.raises(FatalVifError, match="rate overflow"):
        parse_rate("08B/s")


def test_the_rate_in_xenstore_is_bytes_and_microseconds() -> None:
    assert parse_rate("16Mb/s").xenstore == "100000,50000"


def test_every_option_is_read() -> None:
    spec, said = read_config(
        "type=vif, mac=00:16:3E:0:00:1, bridge=xenbr1, script=vif-route, ip=10.0.0.1 10.0.0.2, vifname=web,"
        "gatewaydev=eth1, backend=driver, model=e1000, devid=3, mtu=9000, untrusted"
    )
    assert said == []
    assert spec == VifSpec(
        type="vif", mac="00:16:3e:00:00:01", bridge="xenbr1", script="vif-route", ip="10.0.0.1 10.0.0.2",
        vifname="web", gatewaydev="eth1", backend="driver", model="e1000", devid=3, mtu=9000, trusted=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("foo", "unrecognized argument `foo'"),
        ("Bridge=xenbr0", "unrecognized argument `Bridge=xenbr0'"),
        ("type=pv", "Invalid parameter `type'."),
        ("mac=00:16:3e:00:00", "Invalid parameter `mac'."),
        ("mac=00:16:3e:00:00:100", "Invalid parameter `mac'."),
        ("mac=guest", "Invalid parameter `mac'."),
    ],
)
def test_network_attach_ends_where_create_only_complains(token: str, message: str) -> None:
    with pytest.raises(VifError, match=f"^{re.escape(message)}$"):
        read_arguments(["bridge=xenbr1", token])
    assert read_config(f"{token},bridge=xenbr1") == (VifSpec(bridge="xenbr1"), [message])


@pytest.mark.parametrize("token", ["devid=x", "mtu=big", "devid=18446744073709551615"])
def test_a_number_that_is_none_ends_xl(token: str) -> None:
    value = token.partition("=")[2]
    with pytest.raises(FatalVifError, match=f'^xl: failed to convert "{value}" to number$'):
        read_config(token)


def test_old_names_are_taken_with_a_word() -> None:
    spec, said = read_config("netdev=eth1,accel=solarflare")
    assert spec.gatewaydev == "eth1"
    assert said == [
        "the netdev parameter is deprecated, please use gatewaydev instead",
        "the accel parameter for vifs is currently not supported",
    ]


def test_libxl_fills_in_what_is_missing() -> None:
    spec = read_config("")[0].with_defaults(random.Random(4))
    assert (spec.bridge, spec.script, spec.model, spec.mtu, spec.type) == (
        "xenbr0", "vif-bridge", "rtl8139", 1500, "vif",
    )  # fmt: skip
    assert re.fullmatch(r"00:16:3e:[0-7][0-9a-f]:[0-9a-f]{2}:[0-9a-f]{2}", spec.mac)
    assert VifSpec(mac="00:16:3e:00:00:01", mtu=9000).with_defaults(random.Random(4)).mtu == 9000
