"""An NFS root: the command line the kernel gets, and every way in which the boot can fail."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenlab.storage.nfsroot import (
    NfsRoot,
    NfsRootError,
    Phase,
    State,
    StaticAddress,
    World,
    advance,
    boot,
)

ROOT = NfsRoot("10.0.0.1", "/srv/guest")
WORLDS = st.builds(World, *[st.booleans()] * 5)


def test_the_command_line_is_what_the_kernel_documents():
    assert NfsRoot("192.168.0.1", "/srv/guest", ()).cmdline() == (
        "root=/dev/nfs nfsroot=192.168.0.1:/srv/guest ip=dhcp rw"
    )
    own = StaticAddress("10.0.0.7", "255.255.255.0")
    assert replace(ROOT, own=own).cmdline() == (
        "root=/dev/nfs nfsroot=10.0.0.1:/srv/guest,vers=3,tcp ip=10.0.0.7:10.0.0.1::255.255.255.0:::off rw"
    )
    assert ROOT.exports("10.0.0.7") == "/srv/guest 10.0.0.7(rw,sync,no_root_squash,no_subtree_check)"


@pytest.mark.parametrize(
    ("server", "path"), [("nas", "/srv"), ("10.0.0", "/srv"), ("10.0.0.1", "srv"), ("10.0.0.1", "/a,b")]
)
def test_what_the_kernel_could_not_read_is_refused(server, path):
    with pytest.raises(NfsRootError, match="must be"):
        NfsRoot(server, path)


def console(world, root=ROOT):
    return "\n".join(event.console for event in boot(root, world) if event.console).split("\n")


def test_a_good_boot():
    events = boot(ROOT, World())
    assert [event.phase for event in events] == [Phase.ADDRESS, Phase.MOUNT, Phase.RUNNING]
    assert console(World())[-1] == "nfsroot: 10.0.0.1:/srv/guest"
    assert (
        boot(replace(ROOT, own=StaticAddress("10.0.0.7", "255.255.255.0")), World(dhcp=False))[-1].phase
        is Phase.RUNNING
    )


@pytest.mark.parametrize(
    ("world", "errno"),
    [
        (World(server=False), "Connection refused"),
        (World(exported=False), "Permission denied"),
        (World(vif=False), "Network is unreachable"),
    ],
)
def test_a_root_that_cannot_be_mounted_ends_in_a_panic_after_six_tries(world, errno):
    events = boot(ROOT, world)
    assert events[-1].phase is Phase.PANIC
    assert len([event for event in events if "of 6" in event.why]) == 6
    tried = [line for line in console(world) if line.endswith(f"on /mnt failed: {errno}")]
    assert len(tried) == 6
    assert console(world)[-2] == "nfsroot: no root"
    assert console(world)[-1].startswith("Kernel panic - not syncing: Attempted to kill init!")
    start = {True: 2, False: 12}[world.vif]  # an address in 2 s, or 12 s of waiting for an interface
    assert events[-1].time == start + 5 + 10 + 20 + 30 + 30


def test_without_dhcp_it_asks_for_ever():
    events = boot(ROOT, World(dhcp=False))
    assert events[-1].phase is Phase.ADDRESS
    assert console(World(dhcp=False)) == [
        "Sending DHCP requests ...... timed out!",
        "IP-Config: Retrying forever (NFS root)...",
    ]
    again, event = advance(ROOT, State(Phase.ADDRESS, events[-1].time), World())
    assert (again.phase, event.phase) == (Phase.MOUNT, Phase.MOUNT)  # the DHCP server came back


def test_a_squashed_root_runs_but_is_warned_of():
    assert "root_squash" in boot(ROOT, World(root_squash=True))[-1].why


def test_a_lost_server_stops_the_guest_and_a_returned_one_lets_it_go_on():
    running = State(Phase.RUNNING, 100)
    assert advance(ROOT, running, World()) == (running, None)
    stuck, event = advance(ROOT, running, World(server=False))
    assert (stuck.phase, event.time) == (Phase.STUCK, 280)
    assert event.console == "nfs: server 10.0.0.1 not responding, still trying"
    assert advance(ROOT, stuck, World(server=False)) == (stuck, None)
    running, event = advance(ROOT, stuck, World())
    assert (running.phase, event.console) == (Phase.RUNNING, "nfs: server 10.0.0.1 OK")


def test_a_soft_mount_gives_errors_as_often_as_a_real_guest_did():
    """Debian's 6.1 said so every 3.07 s."""
    soft = replace(ROOT, options=("soft", "timeo=10", "retrans=1"))
    after, event = advance(soft, State(Phase.RUNNING), World(server=False))
    assert (after.phase, after.time) == (Phase.RUNNING, 3)
    assert event.console == "nfs: server 10.0.0.1 not responding, timed out"


@given(st.lists(WORLDS, max_size=40))
def test_whatever_happens_time_goes_on_and_a_panic_is_the_end(worlds):
    state = State()
    for world in worlds:
        after, event = advance(ROOT, state, world)
        assert after.time >= state.time
        assert (event is None) == (after == state)
        assert state.phase is not Phase.PANIC or after == state
        state = after


@given(WORLDS)
def test_every_boot_ends_and_runs_only_with_all_it_needs(world):
    last = boot(ROOT, world)[-1]
    assert (last.phase is Phase.RUNNING) == (world.vif and world.dhcp and world.server and world.exported)
