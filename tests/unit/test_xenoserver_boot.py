"""Xen's log is read as Xen wrote it: the box's, which the simulator repeats, and those of other machines."""

import re
from itertools import pairwise

import pytest

import xenlab
from xenlab.commands import XenlabError
from xenlab.xenoserver.bootlog import STAGES, read
from xenlab.xenoserver.privilege import MODES, picture, ring_of
from xenlab.xenoserver.view import BootStory, Market, Privileges, SessionStory, memory_map

# What a machine with Intel's processor writes otherwise, line by line from xen/arch/x86 at RELEASE-4.17.7.
INTEL = """
(XEN) [2026-01-06 09:00:00] Xen version 4.17.7 (Debian 4.17.7-1) (gcc) debug=n Wed Nov  4 16:52:28 UTC 2026
(XEN) [2026-01-06 09:00:00] Command line: placeholder dom0_mem=2G
(XEN) [2026-01-06 09:00:00] EFI RAM map:
(XEN) [2026-01-06 09:00:00]  [0000000000000000, 000000007fffffff] (usable)
(XEN) [2026-01-06 09:00:00] System RAM: 2047MB (2097151kB)
(XEN) [2026-01-06 09:00:00] SRAT: PXM 0 -> APIC 00 -> Node 0
(XEN) [2026-01-06 09:00:00] Using scheduler: SMP Credit Scheduler rev2 (credit2)
(XEN) [2026-01-06 09:00:00] Intel VT-d Snoop Control enabled.
(XEN) [2026-01-06 09:00:00] VMX: Supported advanced features:
(XEN) [2026-01-06 09:00:00]  - APIC MMIO access virtualisation
(XEN) [2026-01-06 09:00:00] HVM: VMX enabled
(XEN) [2026-01-06 09:00:00] Brought up 8 CPUs
(XEN) [2026-01-06 09:00:00] Dom0 has maximum 8 VCPUs
(XEN) [2026-01-06 09:00:00] Freed 656kB init memory
(XEN) [2026-01-06 09:12:00] d1: some guest's complaint
"""


@pytest.fixture(scope="module")
def boot():
    with xenlab.connect("sim") as host:
        return read(host.xl("dmesg"))


def test_the_facts_are_found(boot):
    assert (boot.version, boot.processors, boot.dom0_vcpus, boot.hvm, boot.nested_paging) == (
        "4.17.7",
        2,
        2,
        "SVM",
        True,
    )
    assert "dom0_mem=384M" in boot.command_line
    assert boot.memory_kb // 1024 == 1023
    assert boot.dom0_entry == 0xFFFFFFFF830791C0


def test_every_stage_has_lines_and_no_line_is_lost(boot):
    with xenlab.connect("sim") as host:
        logged = host.xl("dmesg").splitlines()
    assert [line.text for line in boot.lines] == [line.removeprefix("(XEN) ") for line in logged if line]
    for number, stage in enumerate(STAGES):
        assert boot.stage(number), stage.name


def test_the_stages_come_in_order(boot):
    order = [line.stage for line in boot.lines]
    assert order == sorted(order)


def test_every_line_of_the_box_is_known_by_itself(boot):
    known = [line for stage in STAGES for line in stage.lines]
    strangers = [line.text for line in boot.lines if not any(re.match(each, line.text) for each in known)]
    assert strangers == []


def test_memory_is_where_the_log_says(boot):
    places = {
        region.what: (region.start, region.end)
        for region in boot.regions
        if region.what.startswith(("Xen", "dom0"))
    }
    assert places["dom0's first piece"] == (0x30000000, 0x38000000)
    ends = sorted(places.values())
    assert all(end <= start for (_, end), (start, _) in pairwise(ends)), "no two overlap"
    assert memory_map(boot).count("<rect") == 1 + len(places)


def test_times_and_other_processors_are_no_hindrance():
    boot = read(INTEL)
    assert (boot.version, boot.processors, boot.hvm, boot.nested_paging) == ("4.17.7", 8, "VMX", False)
    assert boot.scheduler == "SMP Credit Scheduler rev2 (credit2)"
    assert boot.lines[-1].text == "Freed 656kB init memory"
    assert boot.stage(4) == [
        "Using scheduler: SMP Credit Scheduler rev2 (credit2)",
        "Intel VT-d Snoop Control enabled.",
    ]
    assert memory_map(boot) == ""


def test_a_log_that_has_lost_its_beginning_is_refused():
    with pytest.raises(XenlabError, match="Xen version"):
        read("(XEN) d1v0: something went wrong\n")


# -- who runs where -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_xen_is_alone_in_ring_0_of_the_hosts_half(mode):
    below = [runner for runner in mode.runners if runner.ring == 0 and runner.root]
    assert len(below) == 1
    assert below[0].hypervisor == (mode.name != "no hypervisor")


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_a_picture_shows_everybody(mode):
    drawn = picture(mode)
    for runner in mode.runners:
        assert runner.name.replace("'", "&#x27;") in drawn
    assert drawn.count("ring ") >= 4


def test_a_selector_tells_its_ring():
    assert [ring_of(selector) for selector in (0xE033, 0xE019, 0x10, 0x33)] == [3, 1, 0, 3]


# -- on the page --------------------------------------------------------------------------------------------------


def test_widgets_say_in_words_what_they_show(boot):
    assert "Xen arrives" in BootStory(boot, simulated=True).describe()
    assert "simulated log" in BootStory(boot, simulated=True).picture()
    assert "log of a real Xen" in BootStory(boot, simulated=False).picture()
    assert len(Privileges().describe().splitlines()) == len(MODES)
    assert SessionStory().picture().count("<li>") == len(SessionStory().captions)


def test_a_market_answers_its_sliders():
    market = Market()
    before = market.result
    market.elasticity = 3.0
    assert market.result != before
    assert "300 %" in market.describe()
