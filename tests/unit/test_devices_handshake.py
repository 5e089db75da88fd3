"""xenstored's log is read back as it was meant: a real one, recorded in the box, a simulated one, and odd ones."""

import re
from pathlib import Path

import pytest

from xenlab.devices import handshake, storelog
from xenlab.devices.handshake import NoHandshakeError
from xenlab.devices.machine import Machine
from xenlab.devices.trace import Trace
from xenlab.devices.vbd import attach
from xenlab.devices.xenbus import XenbusState
from xenlab.storage.blockdev import MemoryDisk

#: Xen 4.17.7 with Linux 6.1 at both ends: a disk and a network interface plugged in and out. Of the requests, those
#: that change nothing were left out.
RECORDED = Path(__file__).with_name("devices_xenstored.log").read_text()
CONNECTED = XenbusState.CONNECTED

PLUG = [
    ("toolstack", "frontend", "INITIALISING"),
    ("toolstack", "backend", "INITIALISING"),
    ("backend", "backend", "INIT_WAIT"),
]
DISK_IN = [
    *PLUG,
    ("frontend", "frontend", "INITIALISED"),
    ("backend", "backend", "CONNECTED"),
    ("frontend", "frontend", "CONNECTED"),
]
VIF_IN = [*PLUG, ("frontend", "frontend", "CONNECTED"), ("backend", "backend", "CONNECTED")]
DISK_OUT = [
    ("toolstack", "backend", "CLOSING"),
    ("frontend", "frontend", "CLOSED"),
    ("backend", "backend", "CLOSED"),
]
VIF_OUT = [DISK_OUT[0], DISK_OUT[1], ("backend", "backend", "CLOSING"), DISK_OUT[2]]


def recorded(device):
    """What was recorded of one device: plugged in, and out again."""
    changes = [change for change in storelog.read(RECORDED, guest=1) if device in change.path]
    cut = next(i for i, c in enumerate(changes) if c.path.endswith("/online") and c.value == "0")
    return handshake.read(changes[:cut], 1), handshake.read(changes[cut:], 1, CONNECTED, CONNECTED)


@pytest.mark.parametrize(
    ("device", "plugged_in", "plugged_out"), [("51728", DISK_IN, DISK_OUT), ("vif/1", VIF_IN, VIF_OUT)]
)
def test_a_recorded_handshake_tells_who_did_what(device, plugged_in, plugged_out):
    came, went = recorded(device)
    assert came.states == plugged_in
    assert came.connected
    assert not came.gone
    assert went.states == plugged_out
    assert went.gone


def test_who_wrote_which_keys():
    came, _ = recorded("51728")
    assert came.published == {
        "ring-ref": "524",
        "event-channel": "11",
        "protocol": "x86_64-abi",
        "feature-persistent": "1",
    }
    script = [key for step in came.steps if step.writer == "hotplug script" for key, _ in step.keys]
    assert script == ["node", "physical-device", "physical-device-path", "hotplug-status"]
    assert {step.seconds for step in came.steps} <= set(range(60))


def test_the_model_goes_through_the_recorded_states():
    machine, trace = Machine(), Trace()
    attach(machine, machine.create(1, "web"), MemoryDisk(1 << 20), trace=trace).detach()
    model = [(step.actor, step.detail) for step in trace.steps if step.action == "state"]
    came, went = recorded("51728")
    kernels = [
        (writer, state) for writer, _, state in came.states + went.states if writer in ("frontend", "backend")
    ]
    assert model == kernels


# -- odd logs


def line(text, connection="0x2", direction="IN"):
    return f"{direction} {connection} 20261125 11:20:32 {text}\n"


WRITE = "WRITE (device/vbd/51728/state 3)"


def test_what_a_transaction_changed_counts_only_once_it_is_committed():
    begin = line("TRANSACTION_START ( )") + line(WRITE)
    given_up = begin + line("TRANSACTION_END (F )") + line("TRANSACTION_END (OK )", direction="OUT")
    refused = begin + line("TRANSACTION_END (T )") + line("ERROR (EAGAIN )", direction="OUT")
    done = begin + line("TRANSACTION_END (T )") + line("TRANSACTION_END (OK )", direction="OUT")
    for log, count in ((begin, 0), (given_up, 0), (refused, 0), (done, 1), (refused + done, 1)):
        assert len(storelog.read(log, guest=1)) == count


def test_others_go_on_while_a_transaction_is_under_way():
    log = line("TRANSACTION_START ( )") + line(WRITE)
    log += line("WRITE (backend/vbd/1/51728/state 4)", "0x3") + line("TRANSACTION_END (T )")
    assert [change.writer for change in storelog.read(log, guest=1)] == ["backend", "frontend"]


def test_a_value_may_hold_spaces_and_line_ends():
    log = line("WRITE (data/note one two\nthree)") + line(WRITE)
    first, second = storelog.read(log, guest=7)
    assert (first.path, first.value) == ("/local/domain/7/data/note", "one two\nthree")
    assert second.value == "3"


def test_a_log_without_a_device_is_refused():
    with pytest.raises(NoHandshakeError, match="a disk or vif of d9; it does not"):
        handshake.read(storelog.read(RECORDED, guest=1), guest=9)


def test_an_address_that_is_used_again_is_another_client():
    """The address of a connection that was closed is free for the next."""
    programs = re.findall(r"CREATE connection (\S+)", RECORDED)
    assert len(programs) > len(set(programs))
