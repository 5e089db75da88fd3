"""Devices plugged in and out of a running guest, on the simulator and on a real Xen alike.

What the programs in dom0 print, with mistakes on the way, is compared by ``make compare``: devices.txt.
"""

import pytest

from xenlab.devices.driver import Devices

pytestmark = pytest.mark.timeout(400)

PLUGGED = [
    ("toolstack", "frontend", "INITIALISING"),
    ("toolstack", "backend", "INITIALISING"),
    ("backend", "backend", "INIT_WAIT"),
]


@pytest.fixture(scope="module")
def plugged(host):
    """A guest that found a disk and a network interface when it booted, and therefore has both frontends."""
    for name in ("first", "second"):
        host.run(["truncate", "-s", "1M", f"/var/lib/xenlab/{name}.img"])
    disk = "/var/lib/xenlab/first.img,raw,xvda,rw"
    guest = host.create(name="plug", disks=[disk], vifs=["bridge=xenbr0"], workload="disk")
    guest.wait_for("disk: 128 KiB", 180)
    yield Devices(host)
    guest.destroy()


def test_a_disk_goes_through_the_handshake_and_back(host, plugged):
    came = plugged.attach_disk("plug", "/var/lib/xenlab/second.img,raw,xvdb,rw")
    assert came.states == [
        *PLUGGED,
        ("frontend", "frontend", "INITIALISED"),
        ("backend", "backend", "CONNECTED"),
        ("frontend", "frontend", "CONNECTED"),
    ]
    assert came.connected
    ring = plugged.rings("plug").loc[("vbd-51728", "ring")]
    assert [str(ring["grant"]), str(ring["port"])] == [
        came.published["ring-ref"],
        came.published["event-channel"],
    ]
    assert ring["dom0 port"] > 0
    listed = plugged.disks("plug").loc[51728]
    assert (listed["state"], listed["ring"], listed["event channel"]) == (
        "CONNECTED",
        ring["grant"],
        ring["port"],
    )
    went = plugged.detach_disk("plug", "xvdb")
    assert went.states == [
        ("toolstack", "backend", "CLOSING"),
        ("frontend", "frontend", "CLOSED"),
        ("backend", "backend", "CLOSED"),
    ]
    assert went.gone
    assert list(plugged.disks("plug").index) == [51712]


def test_a_network_interface_is_connected_by_its_frontend_first(host, plugged):
    came = plugged.attach_vif("plug", "bridge=xenbr0", "mac=00:16:3e:00:00:42")
    assert came.states == [
        *PLUGGED,
        ("frontend", "frontend", "CONNECTED"),
        ("backend", "backend", "CONNECTED"),
    ]
    assert came.steps[0].keys[-1] == ("mtu", "1500")
    listed = plugged.interfaces("plug").loc[1]
    assert (listed["mac"], listed["state"]) == ("00:16:3e:00:00:42", "CONNECTED")
    assert listed["rings"] == f"{came.published['tx-ring-ref']}/{came.published['rx-ring-ref']}"
    assert [port[-2:] for port in ports_of_the_bridge(host)] == [".0", ".1"]
    went = plugged.detach_vif("plug", 1)
    assert went.gone
    assert [port[-2:] for port in ports_of_the_bridge(host)] == [".0"]
    assert list(plugged.interfaces("plug").index) == [0]


def ports_of_the_bridge(host):
    words = host.run(["brctl", "show", "xenbr0"]).stdout.split()
    return sorted(word for word in words if word.startswith("vif"))


def test_dom0_counts_what_a_guest_asks_of_its_disk(host, plugged):
    """Each write of 64 KiB is one request: Linux puts its 16 pages on an indirect one."""
    before = plugged.requests("plug").loc[51712]
    host.wait(4)
    more = plugged.requests("plug").loc[51712] - before
    assert more["writes"] >= 2
    assert more["sectors written"] == 128 * more["writes"]
    assert abs(more["flushes"] - more["writes"]) <= 1
