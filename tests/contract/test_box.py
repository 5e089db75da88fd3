"""The box as a thing that runs on this machine: it starts alone, listens to us alone, and leaves nothing behind."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from xenlab.hosts.box import box as boxes
from xenlab.hosts.box import image
from xenlab.hosts.box.box import AttachedBox, Box, NoSuchBox
from xenlab.hosts.box.qemu import BoxDied
from xenlab.hosts.host import Host

pytestmark = [pytest.mark.box, pytest.mark.timeout(300)]


def alive(pid):
    return Path(f"/proc/{pid}").exists()


def wait_until(true, seconds=15):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def listening(pid):
    """The addresses on which a process listens, as /proc/net/tcp writes them."""
    inodes = {
        os.readlink(link)[8:-1]
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if os.readlink(link).startswith("socket:")
    }
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    return {row[1].split(":")[0] for row in rows if row[3] == "0A" and row[9] in inodes}


@pytest.fixture(scope="module")
def one():
    started = Box("one")
    yield started
    started.close()


def qemu_of(started):
    return int((started.run_folder / "qemu.pid").read_text())


def test_a_box_listens_on_127_0_0_1_only(one):
    assert listening(qemu_of(one)) == {"0100007F"}


def test_its_run_folder_is_this_users_alone(one):
    assert one.run_folder.parent.stat().st_mode & 0o077 == 0


def test_dom0_has_the_right_time_and_its_own_name(one):
    assert abs(float(one.run(["date", "+%s"]).stdout) - time.time()) < 20
    assert one.run(["hostname"]).stdout == "one\n"


def test_files_go_in_and_come_out_as_they_were(one):
    data = bytes(range(256)) * 4096
    one.put(data, "/tmp/data")
    assert one.get("/tmp/data") == data
    with pytest.raises(FileNotFoundError, match="/tmp/none"):
        one.get("/tmp/none")


def test_a_missing_program_gives_status_127(one):
    assert one.run(["no-such-program"]).status == 127


def test_a_guest_gets_its_disk_and_its_bridged_interface_from_the_real_hotplug_scripts(one):
    host = Host(one)
    guest = host.create(
        name="linked",
        disks=["/dev/vdc,raw,xvda,rw"],
        vifs=["bridge=xenbr0"],
        workload="disk",
        extra="xenlab.ip=10.77.0.2/24",
    )
    guest.wait_for("KiB written", 180)
    assert host.xl("block-list", guest.name).split("\n")[1].split()[3] == "4"
    assert host.xl("network-list", guest.name).split("\n")[1].split()[4] == "4"
    assert f"vif{guest.id}.0" in host.run(["brctl", "show", "xenbr0"]).stdout
    assert host.run(["ping", "-c", "1", "-W", "10", "10.77.0.2"]).ok
    guest.destroy()


def test_dom0_has_the_programs_that_hotplug_scripts_and_chapters_call(one):
    names = "awk logger flock losetup brctl ip iptables nft tcpdump lvcreate qemu-img exportfs ping".split()
    missing = [name for name in names if not one.run(["bash", "-c", f"type {name}"]).ok]
    assert missing == []


def test_a_second_box_is_another_host_with_other_keys(one):
    second = Box("two")
    try:
        assert {found.name for found in boxes.boxes()} >= {"one", "two"}
        one.put(b"1", "/tmp/mine")
        assert not second.run(["test", "-e", "/tmp/mine"]).ok
        keys = [started.run(["cat", "/root/.ssh/authorized_keys"]).stdout for started in (one, second)]
        assert keys[0] != keys[1]
    finally:
        second.close()
    assert not second.run_folder.exists()


def test_another_connection_attaches_by_name_and_leaves_it_running(one):
    other = AttachedBox("one")
    assert other.run(["hostname"]).stdout == "one\n"
    other.close()
    assert one.run(["true"]).ok


def test_attaching_to_none_names_those_there_are(one):
    with pytest.raises(NoSuchBox, match=r"no running box is called 'none' \(running: .*one"):
        AttachedBox("none")


def test_a_box_ends_with_its_owner_however_that_ends():
    script = "import time; from xenlab.hosts.box.box import Box; b = Box('orphan'); print('up', flush=True)"
    script += "; time.sleep(600)"
    owner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert owner.stdout.readline() == "up\n"
    running = boxes.find_running("orphan")
    qemu = int((running.run / "qemu.pid").read_text())
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    wait_until(lambda: not alive(qemu) and not alive(running.supervisor) and not running.run.exists())


def test_a_qemu_that_dies_is_reported_at_once_with_its_last_words():
    with contextlib.closing(Box("dying")) as started:
        os.kill(qemu_of(started), signal.SIGKILL)
        begin = time.monotonic()
        with pytest.raises(BoxDied, match="QEMU ended while running a command"):
            started.run(["true"])
        assert time.monotonic() - begin < 5
    assert not started.run_folder.exists()


def test_an_image_that_is_there_is_not_built_again():
    steps = []
    begin = time.monotonic()
    built = image.build(lambda step, done: steps.append(step), small_guest=image.find().small_guest)
    assert steps == ["reading package lists", "ready"]
    assert time.monotonic() - begin < 60
    assert built.folder == image.find().folder


def test_a_place_without_an_image_says_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("XENLAB_BOX", str(tmp_path))
    with pytest.raises(image.NoImage, match=r"image\.json is missing; build one with `xenlab box build`"):
        image.find()
