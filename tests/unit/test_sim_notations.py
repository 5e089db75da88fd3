"""Disks, network interfaces, sets of pCPUs, sizes and options are read as Xen's tools read them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenlab.hosts.sim.devices import disk_number
from xenlab.hosts.sim.getopt import BadOption, parse_options
from xenlab.hosts.sim.xl.diskspec import BadDiskError, parse_disk
from xenlab.hosts.sim.xl.memory import parse_size_kb
from xenlab.hosts.sim.xl.vcpu import BadRangeError, parse_cpus, show_cpus
from xenlab.hosts.sim.xl.vifspec import BadVifError, parse_rate, parse_vif


def disk(spec):
    reports = []
    try:
        return parse_disk(spec, "x.cfg", reports.append)
    except BadDiskError:
        return reports


# The examples of xl-disk-configuration(5) and of tools/xl/check-xl-disk-parse.
@pytest.mark.parametrize(
    "spec",
    [
        "/dev/vg/guest-volume,,hda",
        "/dev/vg/guest-volume,raw,hda,rw",
        "raw:/dev/vg/guest-volume,hda,w",
        "phy:/dev/vg/guest-volume,hda",
        "format=raw, vdev=hda, access=rw, target=/dev/vg/guest-volume",
    ],
)
def test_several_notations_of_one_disk(spec):
    assert disk(spec) == disk("/dev/vg/guest-volume,raw,hda,w")


def test_other_disks():
    assert disk("/root/image.iso,,hdc,cdrom").cdrom
    assert not disk("/root/image.iso,,hdc,cdrom").readwrite
    assert (disk(",,hdc:cdrom,r").format, disk(",,hdc:cdrom,r").vdev) == ("empty", "hdc")
    assert disk("iscsi:iqn.2001-05,xvda,w").script == "block-iscsi"
    assert disk("/x.qcow2,qcow2,xvda,ro").readwrite is False


# What libxlutil.so.4.17 of Debian 12 printed.
@pytest.mark.parametrize(
    ("spec", "what"),
    [
        ("/x,raw,xvda,w,w", "too many positional parameters: near `w'"),
        ("/x,qcow9,xvda", "unknown value for format: near `qcow9'"),
        ("/x,raw,xvda,rwx", "unknown value for access: near `rwx'"),
        ("zz=1", "unknown parameter: near `zz=1'"),
        ("foo:/x,xvda", "unknown deprecated disk prefix: near `foo:'"),
        ("/x", "no vdev specified"),
        ("vdev=xvda", "no target specified (and device not removable)"),
        ("/x,raw,xvda,format=qcow2", "format respecified: near `qcow2'"),
    ],
)
def test_what_is_wrong_with_a_disk(spec, what):
    assert disk(spec)[0] == f"x.cfg: config parsing error in disk specification: {what} in `{spec}'"


@pytest.mark.parametrize(
    ("vdev", "number"),
    [
        ("xvda", 51712),
        ("xvdb", 51728),
        ("xvdaa1", 1 << 28 | 26 << 8 | 1),
        ("sda", 2048),
        ("hdc", 5632),
        ("fd0", None),
    ],
)
def test_disk_numbers(vdev, number):
    assert disk_number(vdev) == number


def test_interfaces():
    vif = parse_vif("mac=0:16:3e:1:2:3, bridge=br1,mtu=9000,untrusted", "x.cfg", print)
    assert (vif.mac, vif.bridge, vif.mtu, vif.trusted) == ("00:16:3e:01:02:03", "br1", 9000, False)
    reports = []
    parse_vif("colour=red,mac=nonsense,type=wifi", "x.cfg", reports.append)
    assert reports == [
        "unrecognized argument `colour=red'",
        "Invalid parameter `mac'.",
        "Invalid parameter `type'.",
    ]


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("10Mb/s", (62500, 50000)),
        ("250KB/s", (12500, 50000)),
        ("1GB/s@20ms", (20000000, 20000)),
        ("10Mb/s@2", (2500000, 2000000)),
    ],
)
def test_rates(text, rate):
    assert parse_rate(text, "x.cfg", print) == rate


def test_a_wrong_rate():
    reports = []
    with pytest.raises(BadVifError):
        parse_rate("fast", "x.cfg", reports.append)
    assert reports == ["x.cfg: config parsing error in vif: invalid rate in `fast'"]


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
