"""The life of a domain, on the simulator and on a real Xen alike."""

import json
import re

import pytest

from xenlab.commands import CommandFailed
from xenlab.domains import table
from xenlab.domains.model import State

pytestmark = pytest.mark.timeout(400)
ALIVE = (State.BLOCKED, State.RUNNING, State.RUNNABLE)


def fails(host, *argv):
    """Run a command that must fail; return its exit status and what it complained of."""
    done = host.run(argv, check=False)
    assert not done.ok
    return done.status, done.stderr


# -- looking ----------------------------------------------------------------------------------------------------------


def test_dom0_is_domain_0_and_runs(host):
    (row,) = [row for row in table.read(host.xl("list")) if row.id == 0]
    assert row.name == "Domain-0"
    assert row.letters == "r-----"


def test_the_table_has_xls_heading(host):
    assert host.xl("list").splitlines()[0] == table.HEADING


def test_a_guest_is_listed_with_its_memory_and_vcpus(host, guest):
    row = guest.row
    assert (row.name, row.memory, row.vcpus) == ("web", 128, 1)
    assert row.state in ALIVE


def test_the_domains_come_as_a_table_by_name(host, guest):
    frame = host.domains()
    assert frame.loc["Domain-0", "id"] == 0
    assert frame.loc["web", "memory"] == 128


def test_domid_and_domname_are_each_others_inverse(host, guest):
    assert host.xl("domname", guest.id) == "web\n"
    assert host.xl("domid", "web") == f"{guest.id}\n"


def test_the_whole_configuration_comes_as_json(host, guest):
    info = guest.info()
    assert info["domid"] == guest.id
    assert info["config"]["c_info"]["name"] == "web"
    assert info["config"]["c_info"]["type"] == "pv"
    assert info["config"]["b_info"]["max_vcpus"] == 1
    assert info["config"]["b_info"]["cmdline"].endswith("xenlab.workload=counter")


def test_vcpu_list_shows_each_vcpu(host, guest):
    frame = guest.vcpus()
    assert list(frame.index) == [0]
    assert frame.loc[0, "hard"] == "all"


def test_info_tells_of_the_machine(host):
    facts = dict(
        re.split(r"\s*: ", line, maxsplit=1) for line in host.xl("info").splitlines() if ": " in line
    )
    assert (facts["nr_cpus"], facts["xen_major"], facts["xen_minor"], facts["xen_scheduler"]) == (
        "2",
        "4",
        "17",
        "credit",
    )


def test_the_hypervisor_has_a_log(host):
    assert "(XEN)" in host.xl("dmesg")


def test_uptime_lists_every_domain(host, guest):
    lines = host.xl("uptime").splitlines()
    assert re.match(r"Name\s+ID\s+Uptime", lines[0])
    assert {line.split()[0] for line in lines[1:]} >= {"Domain-0", "web"}


def test_the_guest_prints_and_goes_on_printing(host, guest):
    assert "xenlab: workload=counter" in guest.console()
    last = int(re.findall(r"counter (\d+)", guest.console())[-1])
    guest.wait_for(f"counter {last + 2}\n", 30)


# -- pausing ----------------------------------------------------------------------------------------------------------


def test_a_paused_guest_is_paused_and_does_not_count(host, guest):
    guest.pause()
    assert guest.state is State.PAUSED
    before = guest.console()
    host.wait(3)
    assert guest.console() == before
    guest.unpause()
    assert guest.state in ALIVE


def test_pausing_twice_needs_unpausing_once(host, guest):
    """libxl asks Xen whether the domain is paused already: the hypervisor's own count would need two."""
    guest.pause()
    second = host.run(["xl", "pause", "web"], check=False)
    host.run(["xl", "unpause", "web"], check=False)
    states = [guest.state]
    if states[0] is State.PAUSED:
        host.run(["xl", "unpause", "web"], check=False)
    states.append(guest.state)
    assert second.status == 0
    assert states[-1] in ALIVE


# -- mistakes ---------------------------------------------------------------------------------------------------------

UNKNOWN = "nosuch is an invalid domain identifier (rc=-6)\n"


@pytest.mark.parametrize(
    "words",
    [
        ("list", "nosuch"),
        ("pause", "nosuch"),
        ("unpause", "nosuch"),
        ("destroy", "nosuch"),
        ("shutdown", "nosuch"),
        ("reboot", "nosuch"),
        ("rename", "nosuch", "other"),
        ("mem-set", "nosuch", "64"),
        ("mem-max", "nosuch", "64"),
        ("vcpu-list", "nosuch"),
        ("vcpu-set", "nosuch", "1"),
        ("vcpu-pin", "nosuch", "0", "0"),
        ("save", "nosuch", "/var/lib/xenlab/x"),
        ("sched-credit", "-d", "nosuch"),
    ],
    ids=lambda words: words[0],
)
def test_an_unknown_domain_is_refused_in_xls_words(host, words):
    status, said = fails(host, "xl", *words)
    assert (status, said) == (1, UNKNOWN)


def test_the_domid_of_an_unknown_domain(host):
    status, said = fails(host, "xl", "domid", "nosuch")
    assert status == 1
    assert "nosuch" in said


def test_a_taken_name_is_refused_and_the_first_guest_goes_on(host, guest):
    before = guest.id
    with pytest.raises(CommandFailed, match='Domain with name "web" already exists'):
        host.create(name="web")
    assert guest.id == before
    assert guest.state in ALIVE


def test_more_memory_than_the_host_has_is_refused(host):
    with pytest.raises(CommandFailed, match=r"not enough|failed to free memory|Cannot allocate"):
        host.create(name="huge", memory=20000)
    assert "huge" not in host.domains().index


def test_a_configuration_with_a_syntax_error_names_the_line(host):
    host.put(b'name = "bad"\nmemory = = 3\n', "/var/lib/xenlab/bad.cfg")
    status, said = fails(host, "xl", "create", "/var/lib/xenlab/bad.cfg")
    assert status == 1
    assert "/var/lib/xenlab/bad.cfg:2: config parsing error near" in said


def test_a_configuration_without_a_kernel_is_refused(host):
    host.put(b'name = "bad"\nmemory = 64\n', "/var/lib/xenlab/bad.cfg")
    status, said = fails(host, "xl", "create", "/var/lib/xenlab/bad.cfg")
    assert status == 1
    assert "No kernel" in said or "kernel" in said


def test_a_missing_configuration_file(host):
    status, said = fails(host, "xl", "create", "/var/lib/xenlab/missing.cfg")
    assert status == 3  # xl hands on libxl's ERROR_FAIL, -3, as it is (xl_vmcontrol.c: create_domain)
    assert "/var/lib/xenlab/missing.cfg" in said


def test_a_missing_save_file(host):
    status, said = fails(host, "xl", "restore", "/var/lib/xenlab/missing.save")
    assert status != 0
    assert said


def test_dom0_is_not_destroyed(host):
    status, said = fails(host, "xl", "destroy", "0")
    assert status != 0
    assert "Cannot destroy privileged domain 0" in said or "Not destroying domain 0" in said


def test_an_unknown_subcommand(host):
    status, said = fails(host, "xl", "fly")
    assert status == 1
    assert "command not implemented" in said


def test_too_few_arguments_print_the_usage(host):
    done = host.run(["xl", "pause"], check=False)
    assert done.status != 0
    assert "'xl pause' requires at least 1 argument" in done.stdout + done.stderr


# -- changing ---------------------------------------------------------------------------------------------------------


def test_a_new_name_is_the_name_everywhere(host, guest):
    guest.rename("shop")
    assert host["shop"].id == guest.id
    assert host.xenstore.read(f"/local/domain/{guest.id}/name") == "shop"
    guest.rename("web")
    assert "shop" not in host.domains().index


def test_the_balloon_gives_memory_back(host, guest):
    guest.mem_set(100)
    assert host.xenstore.read(f"/local/domain/{guest.id}/memory/target") == str(100 * 1024)
    host.wait(3)
    assert guest.row.memory == 100
    guest.mem_set(128)
    host.wait(3)
    assert guest.row.memory == 128


def test_more_than_the_maximum_is_refused_and_nothing_changes(host, guest):
    status, _ = fails(host, "xl", "mem-set", "web", "4096")
    assert status == 1
    assert host.xenstore.read(f"/local/domain/{guest.id}/memory/target") == str(128 * 1024)


def test_a_vcpu_is_pinned_and_freed_again(host, guest):
    guest.vcpu_pin(0, "1")
    assert guest.vcpus().loc[0, "hard"] == "1"
    guest.vcpu_pin("all", "all")
    assert guest.vcpus().loc[0, "hard"] == "all"


def test_a_weight_and_a_cap_read_back(host, guest):
    host.xl("sched-credit", "-d", "web", "-w", 512, "-c", 50)
    assert host.xl("sched-credit", "-d", "web").splitlines()[-1].split() == [
        "web",
        str(guest.id),
        "512",
        "50",
    ]
    host.xl("sched-credit", "-d", "web", "-w", 256, "-c", 0)


def test_a_weight_out_of_range_is_refused(host, guest):
    status, said = fails(host, "xl", "sched-credit", "-d", "web", "-w", "70000")
    assert status == 1
    assert "weight out of range, valid values are within range from 1 to 65535" in said


# -- xenstore ---------------------------------------------------------------------------------------------------------


def test_what_is_written_to_xenstore_is_read(host, guest):
    path = f"/local/domain/{guest.id}/data/greeting"
    host.xenstore.write(path, "ola")
    assert host.xenstore.read(path) == "ola"
    assert host.xenstore.list(f"/local/domain/{guest.id}/data") == ["greeting"]


def test_the_tree_of_a_guest_has_its_name_and_console(host, guest):
    lines = host.xenstore.ls(f"/local/domain/{guest.id}").splitlines()
    assert 'name = "web"' in lines
    assert any(line.startswith("console") for line in lines)


def test_reading_what_is_not_there(host):
    assert fails(host, "xenstore-read", "/no/such/key") == (
        1,
        "xenstore-read: couldn't read path /no/such/key\n",
    )


# -- coming and going -------------------------------------------------------------------------------------------------


def test_saved_and_restored_a_guest_goes_on_where_it_was(host, guest):
    counted = int(re.findall(r"counter (\d+)", guest.console())[-1])
    old = guest.id
    guest.save("/var/lib/xenlab/web.save")
    assert "web" not in host.domains().index
    back = host.restore("/var/lib/xenlab/web.save")
    assert back.name == "web"
    assert back.id > old
    back.wait_for(f"counter {counted + 1}\n", 60)
    host.run(["rm", "/var/lib/xenlab/web.save"])


def test_a_checkpoint_leaves_the_guest_running(host, guest):
    guest.save("/var/lib/xenlab/web.check", keep_running=True)
    assert guest.state in ALIVE
    host.run(["rm", "/var/lib/xenlab/web.check"])


def test_a_second_guest_is_made_paused_and_destroyed(host):
    second = host.create(name="second", paused=True)
    assert second.state is State.PAUSED
    assert second.row.seconds == 0.0
    second.destroy()
    assert second.state is State.ABSENT


@pytest.mark.parametrize("kind", ["pv", "pvh"])
def test_a_guest_shuts_down_when_asked(host, kind):
    domain = host.create(name=f"brief-{kind}", type=kind)
    domain.wait_for("xenlab: workload=idle", 180)
    assert json.loads(host.xl("list", "-l", domain.name))[0]["config"]["c_info"]["type"] == kind
    domain.shutdown()
    host.wait(2)
    assert domain.state is State.ABSENT


def test_everything_that_was_run_is_in_the_transcript(host):
    host.xl("list")
    assert host.transcript[-1].command_line == "xl list"
    assert host.transcript[-1].stdout.startswith("Name ")
