"""The driver of devices says what it runs, reads what comes back, and leaves xenstored's log off."""

import pytest

import xenlab
from xenlab.commands import CommandFailed
from xenlab.devices.driver import LOG, Devices

DISK = "/var/lib/xenlab/b.img,raw,xvdb,rw"


@pytest.fixture
def host():
    with xenlab.connect("sim") as host:
        for name in ("a", "b"):
            host.run(["truncate", "-s", "1M", f"/var/lib/xenlab/{name}.img"])
        guest = host.create(
            name="web", disks=["/var/lib/xenlab/a.img,raw,xvda,rw"], vifs=[""], workload="disk"
        )
        guest.wait_for("disk: 64 KiB", 60)
        yield host


def commands(host):
    return [entry.command_line for entry in host.transcript]


def test_the_log_is_on_only_while_a_device_is_plugged(host):
    before = len(host.transcript)
    Devices(host).attach_disk("web", DISK)
    assert commands(host)[before:] == [
        "xl domid web",
        f"xenstore-control logfile {LOG}",
        f"xl block-attach web {DISK}",
        "xenstore-control log off",
        f"rm -f {LOG}",
    ]


def test_a_refusal_is_xls_own_and_the_log_is_off_afterwards(host):
    with pytest.raises(CommandFailed, match="libxl_device_disk_add failed"):
        Devices(host).attach_disk("web", "/nowhere,raw,xvdb,rw")
    assert commands(host)[-2:] == ["xenstore-control log off", f"rm -f {LOG}"]
    assert list(Devices(host).disks("web").index) == [51712]


def test_a_guest_that_does_not_answer_ends_the_waiting(host):
    host["web"].pause()
    seen = Devices(host).attach_disk("web", DISK)
    assert seen.states[-1] == ("backend", "backend", "INIT_WAIT")
    assert not seen.connected
    with pytest.raises(CommandFailed, match="libxl_device_disk_safe_remove failed"):
        Devices(host).detach_disk("web", "xvdb")
    forced = Devices(host).detach_disk("web", "xvdb", force=True)
    assert [(step.side, step.removed) for step in forced.steps if step.removed] == [
        ("frontend", True),
        ("backend", True),
    ]


def test_rings_have_their_pages_and_both_ends_of_their_channels(host):
    rings = Devices(host).rings("web")
    assert list(rings.index) == [("vbd-51712", "ring"), ("vif-0", "rx"), ("vif-0", "tx")]
    assert rings["grant"].is_unique
    assert rings["port"].is_unique
    assert rings["dom0 port"].is_unique
    assert not rings["dom0 port"].isna().any()


def test_a_guest_with_two_vcpus_has_a_ring_for_each(host):
    host.run(["truncate", "-s", "1M", "/var/lib/xenlab/smp.img"])
    guest = host.create(name="smp", vcpus=2, disks=["/var/lib/xenlab/smp.img,raw,xvda,rw"], vifs=[""])
    guest.wait_for("workload=idle", 60)
    host.wait(1)
    rings = Devices(host).rings("smp")
    assert list(rings.index) == [
        ("vbd-51712", "queue-0"),
        ("vbd-51712", "queue-1"),
        *(("vif-0", f"queue-{queue}/{way}") for queue in (0, 1) for way in ("rx", "tx")),
    ]
    assert Devices(host).disks("smp").loc[51712, "ring"] == -1


def test_a_write_of_64_kib_is_one_request_of_128_sectors(host):
    row = Devices(host).requests("web").loc[51712]
    assert row["writes"] == row["flushes"] > 0
    assert row["sectors written"] == 128 * row["writes"]
