"""KVM behind a trial, Xen's trace and VMCBs taken apart, the simulated ones among them; and the pages of chapter 04."""

import struct
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

import xenlab
from xenlab.commands import XenlabError
from xenlab.emulation.x86 import assemble
from xenlab.fullvirt import kvm, vmcb
from xenlab.fullvirt.assisted import Assisted
from xenlab.fullvirt.compare import MONITORS, compare, grouped, table
from xenlab.fullvirt.story import heap
from xenlab.fullvirt.trapping import TrapAndEmulate
from xenlab.fullvirt.view import ShadowHeap, TwoStageWalk, UnderMonitor, show_exits, show_real_exits
from xenlab.fullvirt.walk import walk
from xenlab.fullvirt.xentrace import AMD, INTEL, Exits, exits, reason, records, trace

# -- KVM


def test_kvm_and_the_emulated_processor_have_the_same_exits():
    code = kvm.hello("KVM")
    tried, emulated = kvm.run(code), kvm.emulated(code)
    assert (tried.console, tried.exits) == (emulated.console, emulated.exits) == ("KVM", _hello_exits(3))
    assert tried.by == "KVM" or tried.missing  # where it does not run, it is said why


def _hello_exits(letters):
    return {"port input or output": 2 * letters, "hlt": 1}


def test_a_trial_that_never_ends_is_ended_and_the_model_takes_over(monkeypatch):
    monkeypatch.setattr(sys, "executable", _sleeper())
    done = kvm.run(kvm.hello("late"), deadline=0.3)
    assert done.missing == "it had not come back after 0.3 s"
    assert str(done).startswith(
        "KVM is not to be had here: it had not come back after 0.3 s.\nBy an emulated"
    )
    assert done.exits == _hello_exits(4)


def _sleeper():
    import tempfile
    from pathlib import Path

    program = Path(tempfile.mkdtemp()) / "sleeper"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    return str(program)


def test_a_guest_that_runs_on_and_on_is_ended_whoever_runs_it():
    done = kvm.run(assemble("loop: jmp loop", bits=16), deadline=1)
    assert done.missing
    assert done.exits == {"it did not halt": 1}


def test_a_child_that_fails_says_why_in_one_line():
    beyond_memory = assemble("mov ax, 0xf000; mov ds, ax; mov al, byte ptr [0x100]; hlt", bits=16)
    done = subprocess.run(
        [sys.executable, "-m", "xenlab.fullvirt.kvm", beyond_memory.hex()],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


def test_without_the_device_the_reason_is_named(monkeypatch):
    monkeypatch.setattr(
        kvm.os, "open", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Permission denied"))
    )
    with pytest.raises(XenlabError, match="/dev/kvm cannot be opened: Permission denied"):
        kvm.Kvm(b"\xf4")


# -- xentrace


def packed(event, cycles, *words):
    head = event | len(words) << 28 | (1 << 31 if cycles else 0)
    return (
        struct.pack("<I", head)
        + (struct.pack("<Q", cycles) if cycles else b"")
        + struct.pack(f"<{len(words)}I", *words)
    )


@given(
    st.lists(
        st.tuples(
            st.integers(0, 0xFFFFFFF).filter(lambda event: event != 0x1F003),
            st.integers(0, 2**64 - 1),
            st.lists(st.integers(0, 2**32 - 1), max_size=7),
        )
    ),
    st.integers(0, 3),
)
def test_records_are_read_as_they_were_written(written, cut):
    data = b"".join(packed(event, cycles, *words) for event, cycles, words in written)
    found = [(each.event, each.cycles, list(each.words)) for each in records(data)]
    assert found == [(event, cycles, words) for event, cycles, words in written]
    if written and cut:
        assert len(list(records(data[:-cut]))) == len(written) - 1


def test_exits_belong_to_the_domain_that_ran_on_that_processor():
    def cpu(number):
        return packed(0x1F003, 0, number, 0)

    def runs(domid):
        return packed(0x21101, 1, domid << 16)

    halted, port = (
        packed(0x81102, 9, 0x78, 0, 0),
        packed(0x81102, 9, 0x8000007B, 0, 0) + packed(0x82016, 9, 0x42, 0xFF),
    )
    data = (
        cpu(0) + runs(3) + halted + port + cpu(1) + runs(5) + halted + cpu(0) + halted + packed(0x1F001, 9, 7)
    )
    third, fifth = exits(data, 3), exits(data, 5)
    assert third.by_reason == {"hlt": 2, "port input or output": 1}
    assert third.ports == {("read", 0x42): 1}
    assert fifth.by_reason == {"hlt": 1}
    assert (third.total, third.lost) == (3, 7)


def test_codes_of_both_makers_have_words():
    assert Exits(Counter({12: 2, 48: 1}), Counter(), 0, 0).by_reason == {
        "hlt": 2,
        "page missing in the nested table": 1,
    }
    assert {reason(code, AMD) for code in (0, 0x10, 0x30, 0x4E, 0x200)} == {
        "control register",
        "debug register",
        "exception",
        "code 0x200",
    }
    assert reason(77, INTEL) == "code 0x4d"


@pytest.fixture
def host():
    with xenlab.connect("sim") as host:
        yield host


def test_the_simulated_xentrace_tells_a_boot_from_idleness(host):
    guest = host.create(name="watched", type="pvh", paused=True)
    other = host.create(name="other", type="pv")
    guest.unpause()
    booting, idle = exits(trace(host, 5), guest.id), exits(trace(host, 5), guest.id)
    assert booting.ports["read", 0x42] == 100_004
    assert 50 < idle.total < 500
    assert not idle.ports
    assert exits(trace(host, 1), other.id).total == 0  # a PV guest runs in no guest mode
    burning = host.create(name="burning", type="pvh", workload="burn")
    burning.wait_for("xenlab: workload")
    busy = exits(trace(host, 5), burning.id)
    assert busy.by_reason["interrupt for Xen"] > busy.by_reason["hlt"] == 0


def test_the_simulated_vmcb_is_read_as_the_boxs_is(host):
    guest = host.create(name="watched", type="pvh", vcpus=2)
    guest.wait_for("xenlab: workload")
    host.wait(1)
    found = vmcb.read(host, guest.id)
    assert found is not None
    assert (found.last_exit, found.nested, found.vcpu) == ("hlt", True, 0)
    assert found.exits_at("cpuid")
    assert not found.exits_at("write to cr3")
    assert vmcb.read(host, 0) is None
    assert len(list(vmcb.vmcbs(host.xl("dmesg")))) == 2  # of the last dump only
    assert list(vmcb.vmcbs("(XEN) nothing of the kind")) == []


# -- comparisons and pictures


def test_every_monitor_is_compared_on_the_same_output():
    outcomes = compare()
    assert [each.name for each in outcomes] == ["bare machine", *MONITORS]
    assert len({(each.console, each.instructions) for each in outcomes}) == 1
    assert outcomes[0].total == 0
    bare, trapping, _, assisted = outcomes
    assert assisted.references > 3 * bare.references
    assert "other" not in {group for each in outcomes for group in grouped(each.exits)}
    assert len(table(outcomes).splitlines()) == 5
    assert trapping.software > 0


@pytest.mark.parametrize("levels", range(1, 5))
@pytest.mark.parametrize("nested", range(5))
def test_walks_of_all_depths_are_walked_by_the_real_mmu(levels, nested):
    found = walk(levels, nested)
    assert len(found.references) == levels + nested + levels * nested
    assert found.place & 15 == 7
    assert sum(each.table == "guest" for each in found.references) == levels


def test_depths_that_do_not_exist_are_refused():
    with pytest.raises(XenlabError, match=r"levels\(=5\) must be from 1 to 4"):
        walk(5, 1)
    with pytest.raises(XenlabError, match=r"nested\(=-1\) must be from 0 to 4"):
        walk(1, -1)


def test_the_shadow_ends_with_the_real_frames_of_what_the_guest_mapped():
    looks = heap()
    last = looks[-1]
    assert [entry >> 4 for entry in last.shadow] == list(last.real)
    assert [look.what for look in looks if look.page == 2] == ["fault", "write", "fill"]
    for look in looks:
        assert all(not shadow or guest for guest, shadow in zip(look.guest, look.shadow, strict=True))


def test_the_widgets_say_what_the_monitors_did():
    under = UnderMonitor(TrapAndEmulate())
    assert len(under.steps) == 260
    assert under.steps[-1]["number"] == sum(under.steps[-1]["counts"].values()) == 431
    assert "The guest has stopped." in under.describe()
    assert "431 exits in all" in under.picture()
    assert len(UnderMonitor(Assisted()).steps) == 66
    assert "0x95" in ShadowHeap().picture()
    two = TwoStageWalk(2, 2)
    two.moment = 5
    two.levels = 3
    assert (two.moment, len(two.captions)) == (0, 3 + 2 + 6 + 1)


def test_figures_are_described_and_labelled(capsys):
    show_exits(compare())
    assert "hardware-assisted: 66 exits, of them 1 for privileged instructions" in capsys.readouterr().out
    show_real_exits(Exits(Counter({0x78: 5}), Counter(), 1, 2), "Idle", simulated=True)
    assert capsys.readouterr().out.splitlines()[-1] == "Simulated. Idle: 5 exits. hlt: 5. Xen lost 2 records."
