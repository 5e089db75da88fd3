"""Volumes, snapshots, images and NFS roots, on the simulator and on a real Xen alike.

What the programs in dom0 print is compared by ``make compare``: storage.txt and diskspecs.txt. Chapter 12 boots
guests on a volume, on overlays of a golden image and from a directory that is not exported.
"""

import io
import re

import pytest

from xenlab.commands import CommandFailed
from xenlab.domains.model import State
from xenlab.storage.blockdev import StorageError
from xenlab.storage.driver import Storage
from xenlab.storage.images import ImageFile
from xenlab.storage.nfs import NfsServer, diskless
from xenlab.storage.nfsroot import NfsRoot, StaticAddress
from xenlab.storage.qcow2 import Image, format_image, served_by

pytestmark = pytest.mark.timeout(400)
DISK = "/dev/vdc"  # blank on both


@pytest.fixture
def shop(host):
    group = Storage(host).create_group("shop", DISK)
    yield group
    host.wait(1)  # a guest's backend lets go of its volume after the guest is gone
    group.remove()


def test_the_table_of_copies_is_read_from_the_disk_as_the_model_writes_it(host, shop):
    web = shop.create("web", "16M")
    web.write(300)
    monday = web.snapshot("monday", "4M")
    was = web.read(300)
    web.write(270)
    web.write(2, at=4000)
    store = monday.store()
    assert set(store.exceptions) == {*range(270), 4000, 4001}
    areas = {1, 1 + store.per_area + 1}
    assert set(store.exceptions.values()) == set(range(2, 2 + 272 + 1)) - areas
    assert (store.used_sectors // 8, store.total_sectors // 8) == monday.chunks() == (275, 1024)
    assert web.read(300) != was == monday.read(300)
    monday.merge()
    assert web.read(300) == was
    assert list(Storage(host).volumes().index) == ["web"]


def test_a_guest_lives_on_a_snapshot_until_that_runs_full_and_gives_it_io_errors(host, shop):
    web = shop.create("web", "16M")
    monday = web.snapshot("monday", "4M")
    guest = host.create(name="lost", disks=[monday.disk()], workload="disk")
    guest.wait_for("disk: 128 KiB written", 180)
    assert monday.chunks()[0] >= 2 + 2 * 16  # header, table, two blocks of 64 KiB
    assert Storage(host).volumes()["attr"].to_dict() == {"web": "owi-a-s---", "monday": "swi-aos---"}
    with pytest.raises(StorageError, match="shop/monday must not be in use"):
        monday.merge()
    web.write(2000)
    assert not monday.valid
    said = guest.wait_for("lost async page write", 60)
    assert re.search(
        r"I/O error, dev xvda, sector \d+ op 0x1:\(WRITE\) flags 0x800 phys_seg 16 prio class 2\n", said
    )
    assert guest.state in (State.BLOCKED, State.RUNNING, State.RUNNABLE)
    assert len(web.read(1)) == 4096
    guest.destroy()


def test_what_is_written_to_an_overlay_leaves_the_golden_image_alone_and_locked(host):
    golden = Storage(host).create_image("/var/lib/xenlab/golden.qcow2", "2M")
    golden.write(0, 1 << 20)
    before = host.get(golden.path)
    overlay = golden.overlay("/var/lib/xenlab/web.qcow2")
    device = overlay.connect()
    host.run(
        ["dd", "if=/dev/urandom", f"of={device}", *"bs=64k count=2 conv=notrunc,fsync status=none".split()]
    )
    for image in (golden, overlay):
        with pytest.raises(CommandFailed, match='Failed to get "write" lock'):
            image.write(0, 4096)
    overlay.disconnect(device)
    held = overlay.map().query("depth == 0 and data")
    assert (held["start"].min(), held["length"].sum()) == (0, 128 << 10)
    assert host.get(golden.path) == before
    overlay.commit()
    assert 0 not in set(overlay.map()["depth"])
    assert host.get(golden.path) != before
    for image in (overlay, golden):
        assert "No errors were found" in image.check()
        image.remove()


def test_images_written_here_and_in_dom0_are_read_there_and_here(host):
    """Both ways: QEMU checks, maps and commits what the model wrote, and the model reads what QEMU made of it."""
    golden_file, top_file = io.BytesIO(), io.BytesIO()
    format_image(golden_file, 1 << 20)
    golden = Image(golden_file)
    golden.write(0, b"golden" * 50_000)
    format_image(top_file, 1 << 20, backing_file="golden.qcow2", backing_format="qcow2")
    top = Image(top_file, backing=golden)
    top.write(100_000, b"top" * 30_000)
    expected = top.read(0, top.size)
    there = [ImageFile(host, f"/var/lib/xenlab/{name}.qcow2") for name in ("golden", "top")]
    for image, file in zip(there, (golden_file, top_file), strict=True):
        host.put(file.getvalue(), image.path)
        assert "No errors were found" in image.check()
    found = there[1].map().query("data")[["start", "length", "depth"]]
    ours = [(each.start, each.length, each.depth) for each in served_by(top) if each.serving == "data"]
    assert list(found.itertuples(index=False, name=None)) == ours
    there[1].write(901_120, 5120, 0x59)
    there[1].commit()
    below = Image(io.BytesIO(host.get(there[0].path)))
    assert below.read(0, below.size) == expected[:901_120] + b"\x59" * 5120 + expected[906_240:]
    for image in there:
        image.remove()


def diskless_guest(host, server, name, address, *options):
    """A guest with a root of its own on the server; it complains soon when that is gone."""
    path = f"/var/lib/xenlab/{name}"
    server.lay_out(path, f"hello {name}")
    server.export(path, "10.77.0.0/24")
    own = StaticAddress(address, "255.255.255.0")
    return host.create(
        diskless(name, NfsRoot("10.77.0.1", path, ("vers=3", "tcp", "timeo=10", "retrans=1", *options), own))
    )


def test_guests_whose_root_comes_over_nfs_wait_for_their_server_or_get_errors(host):
    server = NfsServer(host)
    server.start()
    hard = diskless_guest(host, server, "hard", "10.77.0.9")
    soft = diskless_guest(host, server, "soft", "10.77.0.10", "soft")
    said = hard.wait_for("nfs: wrote 2\n", 180).splitlines()
    start = said.index("nfsroot: 10.77.0.1:/var/lib/xenlab/hard")
    assert said[start + 1 : start + 3] == ["hello hard", "nfs: wrote 1"]
    soft.wait_for("nfs: wrote 1\n", 180)

    server.stop()
    hard.wait_for("nfs: server 10.77.0.1 not responding, still trying", 60)
    said = soft.wait_for("/sbin/init: line 9: busybox: Input/output error", 60)
    assert "nfs: server 10.77.0.1 not responding, timed out" in said
    assert "/sbin/init: line 8: can't create /var/count: Input/output error" in said
    count = hard.console().count("nfs: wrote")  # the file may be empty: cut off, and not yet written
    assert hard.state in (State.BLOCKED, State.RUNNING, State.RUNNABLE)

    server.start()
    said = hard.wait_for(f"nfs: wrote {count + 2}\n", 60)
    assert said.index("nfs: server 10.77.0.1 OK") < said.index(f"nfs: wrote {count + 1}\n")
    for guest in (hard, soft):
        guest.destroy()
        server.unexport(f"/var/lib/xenlab/{guest.name}", "10.77.0.0/24")
        server.remove(f"/var/lib/xenlab/{guest.name}")
    assert len(server.exports()) == 0
    server.stop()
    assert not server.running
