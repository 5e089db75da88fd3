"""Devices of a simulated guest come and go by the handshake of the box's kernels, in virtual time."""

import pytest

from xenlab.hosts.sim import NotSimulated, SimDom0

CONFIG = """name = "web"
kernel = "/var/lib/xenlab-guest/vmlinux"
ramdisk = "/var/lib/xenlab-guest/initrd.gz"
memory = 64
type = "{type}"
extra = "console=hvc0 quiet"
"""
DEVICES = 'disk = [ "/var/lib/xenlab/root.img,raw,xvda,w" ]\nvif = [ "bridge=xenbr0" ]\n'
EXTRA = "/var/lib/xenlab/extra.img,raw,xvdb,rw"
FRONT, BACK = "/local/domain/1/device/vbd/51728", "/local/domain/0/backend/vbd/1/51728"


@pytest.fixture
def dom0():
    dom0 = SimDom0()
    for name in ("root", "extra"):
        dom0.run(["truncate", "-s", "1M", f"/var/lib/xenlab/{name}.img"])
    return dom0


def run(dom0, line, status=0):
    done = dom0.run(line.split())
    assert done.status == status, done
    return done.stdout


def start(dom0, devices=DEVICES, kind="pv"):
    dom0.put((CONFIG.format(type=kind) + devices).encode(), "/root/web.cfg")
    run(dom0, "xl create /root/web.cfg")
    dom0.wait(3)


def watched_states(dom0, *paths):
    """The states that appear at these paths from now on, with the times."""
    seen = []
    store = dom0.world.store

    def note(path):
        if path.endswith("/state") and store.read(path):
            seen.append((path.split("/")[4], store.read(path), dom0.now()))

    for path in paths:
        store.watch(path, note)
    return seen


def test_a_watcher_sees_the_states_in_the_order_of_the_protocol_and_time_between_them(dom0):
    start(dom0)
    seen = watched_states(dom0, FRONT, BACK)
    run(dom0, f"xl block-attach web {EXTRA}")
    dom0.wait(1)
    assert [(side, state) for side, state, _ in seen] == [
        ("device", "1"),
        ("backend", "1"),
        ("backend", "2"),
        ("device", "3"),
        ("backend", "4"),
        ("device", "4"),
    ]
    times = [time for _, _, time in seen]
    assert times == sorted(times)
    assert len(set(times)) == 5  # the toolstack writes both at once
    seen.clear()
    run(dom0, "xl block-detach web xvdb")
    assert [(side, state) for side, state, _ in seen] == [("backend", "5"), ("device", "6"), ("backend", "6")]


def test_nobody_sees_half_of_what_is_written_together(dom0):
    start(dom0)
    store = dom0.world.store
    complete = []

    def note(path):
        if path == f"{FRONT}/ring-ref":
            complete.append(store.read(f"{FRONT}/event-channel") is not None)

    store.watch(FRONT, note)
    run(dom0, f"xl block-attach web {EXTRA}")
    assert complete == [True]


def test_a_guest_without_a_driver_leaves_its_half_where_it_was(dom0):
    """The shipped guest loads a frontend only if it finds such a device when it boots."""
    start(dom0, devices="")
    run(dom0, f"xl block-attach web {EXTRA}")
    dom0.wait(5)
    assert (run(dom0, f"xenstore-read {FRONT}/state"), run(dom0, f"xenstore-read {BACK}/state")) == (
        "1\n",
        "2\n",
    )


def test_a_paused_guest_answers_once_it_goes_on(dom0):
    start(dom0)
    run(dom0, "xl pause web")
    run(dom0, f"xl block-attach web {EXTRA}")
    dom0.wait(5)
    assert run(dom0, f"xenstore-read {FRONT}/state") == "1\n"
    run(dom0, "xl unpause web")
    dom0.wait(1)
    assert run(dom0, f"xenstore-read {FRONT}/state") == "4\n"


def test_a_disk_that_is_not_let_go_of_stays_and_an_interface_is_taken(dom0):
    start(dom0)
    run(dom0, "xl pause web")
    before = dom0.now()
    done = dom0.run("xl block-detach web xvda".split())
    assert done.status == 1
    assert 10 < dom0.now() - before < 11
    assert "51712" in run(dom0, "xl block-list web")
    before = dom0.now()
    run(dom0, "xl network-detach web 0")
    assert dom0.now() - before > 10
    assert len(run(dom0, "xl network-list web").splitlines()) == 1


def test_a_disk_that_is_replaced_behind_a_guests_back_is_not_noticed(dom0):
    """To its kernel the folder has been there all along: as in the box."""
    start(dom0)
    run(dom0, f"xl block-attach web {EXTRA}")
    dom0.wait(1)
    run(dom0, "xl pause web")
    run(dom0, "xl block-detach -f web xvdb")
    run(dom0, f"xl block-attach web {EXTRA}")
    run(dom0, "xl unpause web")
    dom0.wait(5)
    assert run(dom0, f"xenstore-read {FRONT}/state") == "1\n"


def test_a_restored_guest_has_its_drivers_and_connects_anew(dom0):
    start(dom0)
    run(dom0, "xl save web /var/lib/xenlab/web.save")
    run(dom0, "xl restore /var/lib/xenlab/web.save")
    dom0.wait(1)
    run(dom0, f"xl block-attach web {EXTRA}")
    dom0.wait(1)
    assert [line.split()[3] for line in run(dom0, "xl block-list web").splitlines()[1:]] == ["4", "4"]


@pytest.mark.parametrize("kind", ["pv", "pvh"])
def test_a_destroyed_guest_leaves_no_port_no_backend_and_no_watch(dom0, kind):
    events, store = dom0.world.events, dom0.world.store
    ports, watches, folders = (
        len(events.open_ports(0)),
        len(store._watches),
        dom0.world.files.names("/sys/bus"),
    )
    start(dom0, kind=kind)
    run(dom0, f"xl block-attach web {EXTRA}")
    run(dom0, "xl destroy web")
    dom0.wait(1)
    assert len(events.open_ports(0)) == ports
    assert len(store._watches) == watches
    assert dom0.world.backends == {}
    assert dom0.world.files.names("/sys/bus") == folders
    assert dom0.world.files.names("/sys/bus/xen-backend/devices") == []


def test_numbers_that_were_given_back_are_given_out_again(dom0):
    start(dom0)
    seen = []
    for _ in range(3):
        run(dom0, f"xl block-attach web {EXTRA}")
        dom0.wait(1)
        seen.append(run(dom0, "xl block-list web").splitlines()[2])
        run(dom0, "xl block-detach web xvdb")
    assert len(set(seen)) == 1


def test_a_volume_is_in_use_while_it_is_plugged_in(dom0):
    start(dom0)
    run(dom0, "vgcreate vg /dev/vdc")
    run(dom0, "lvcreate -L 8M -n extra vg")
    run(dom0, "xl block-attach web /dev/vg/extra,raw,xvdb,rw")
    assert dom0.run("lvremove -y vg/extra".split()).status != 0
    run(dom0, "xl block-detach web xvdb")
    run(dom0, "lvremove -y vg/extra")


def test_events_are_watched_for(dom0):
    start(dom0)
    assert run(dom0, "xenstore-watch -n 1 /local/domain/1/name") == "/local/domain/1/name\n"
    with pytest.raises(NotSimulated, match="for longer than 600 seconds"):
        dom0.run("xenstore-watch -n 2 /local/domain/1/name".split())


def test_the_log_of_xenstored_holds_what_was_written_while_it_was_on(dom0):
    run(dom0, "xenstore-control log on")  # into no file
    run(dom0, "xenstore-write /tool/before 1")
    run(dom0, "xenstore-control logfile /run/xs.log")
    run(dom0, "xenstore-write /tool/during 1")
    run(dom0, "xenstore-control log off")
    run(dom0, "xenstore-write /tool/after 1")
    log = dom0.get("/run/xs.log").decode()
    assert log.startswith("\n***\n")
    assert "WRITE (/tool/during 1)" in log
    assert "before" not in log
    assert "after" not in log


def test_event_channels_of_nobody(dom0):
    done = dom0.run(["lsevtchn", "77"])
    assert (done.status, done.stdout, done.stderr) == (1, "", "xc_evtchn_status: No such process\n")
