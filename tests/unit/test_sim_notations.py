"""Network interfaces, sets of pCPUs, sizes and options are read as Xen's tools read them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenlab.hosts.sim import SimDom0
from xenlab.hosts.sim.domconfig import Vif
from xenlab.hosts.sim.getopt import BadOption, parse_options
from xenlab.hosts.sim.xl.memory import parse_size_kb
from xenlab.hosts.sim.xl.vcpu import BadRangeError, parse_cpus, show_cpus
from xenlab.networking.vifspec import read_config


def test_interfaces():
    spec, _ = read_config("mac=0:16:3e:1:2:3, bridge=br1,mtu=9000,untrusted,type=ioemu,rate=10Mb/s@2")
    vif = Vif.of(spec)
    assert (vif.mac, vif.bridge, vif.mtu, vif.trusted) == ("00:16:3e:01:02:03", "br1", 9000, False)
    assert (vif.type, vif.rate, vif.devid, vif.ip) == ("vif_ioemu", (2500000, 2000000), -1, None)


def test_a_rate_that_cannot_be_read_ends_xl_after_what_it_had_said_before():
    dom0 = SimDom0()
    dom0.put(b'name="web"\nkernel="/root/vmlinuz"\nvif=["colour=red, rate=fast"]\n', "/root/web.cfg")
    done = dom0.run(["xl", "create", "/root/web.cfg"])
    assert done.status == 1
    assert done.stderr.splitlines() == [
        "Parsing config from /root/web.cfg",
        "unrecognized argument `colour=red'",
        "/root/web.cfg: config parsing error in vif: invalid rate in `fast'",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x", "Invalid pcpu range: x."),
        ("3-1", "Invalid pcpu range: 3-1."),
        ("^all", 'Can\'t combine "^" and "all".'),
    ],
)
def test_wrong_sets_of_pcpus(text, problem):
    with pytest.raises(BadRangeError) as caught:
        parse_cpus(text, 4)
    assert str(caught.value) == problem


@settings(max_examples=40)
@given(st.frozensets(st.integers(0, 7)))
def test_what_is_shown_of_a_set_of_pcpus_reads_back(chosen):
    shown = show_cpus(chosen, 8)
    assert parse_cpus("" if shown == "none" else shown, 8) == chosen


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64", 65536),
        ("64m", 65536),
        ("1G", 1048576),
        ("512k", 512),
        ("2048b", 2),
        ("", 0),
        ("64MB", None),
        ("x", None),
    ],
)
def test_memory_sizes(text, size):
    assert parse_size_kb(text) == size


def test_options_may_stand_anywhere_and_be_abbreviated():
    long = {"domain": "d", "weight": "w", "schedparam": "s"}
    arguments = ["a", "-sd", "web", "--wei=5", "b", "--", "-x"]
    assert parse_options(arguments, "d:w:s", long) == (
        [("s", ""), ("d", "web"), ("w", "5")],
        ["a", "b", "-x"],
    )


@pytest.mark.parametrize(
    ("arguments", "letter"), [(["-x"], "x"), (["-d"], "d"), (["--no"], "\0"), (["--schedparam=1"], "s")]
)
def test_bad_options(arguments, letter):
    with pytest.raises(BadOption) as caught:
        parse_options(arguments, "d:s", {"domain": "d", "schedparam": "s"})
    assert caught.value.letter == letter
