"""What `xenlab doctor` finds on machines made up for it, and on this one."""

import dataclasses

import pytest
from typer.testing import CliRunner

from xenlab import cli, doctor
from xenlab.commands import XenlabError
from xenlab.doctor import Ended, Machine, Standing


def refuse(words):
    def refused(*_):
        raise XenlabError(words)

    return refused


#: A machine on which everything works.
GOOD = Machine(
    which=lambda program: f"/usr/bin/{program}",
    run=lambda argv: Ended(0, "QEMU emulator version 8.2\n"),
    read=lambda path: {"/proc/meminfo": "MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\n"}.get(path, ""),
    exists=lambda path: True,
    environment={"XENLAB_HOST": "ssh://root@xen:2222"},
    cores=lambda: 4,
    kvm_trial=lambda: "",
    image=lambda: ("stock", 100 << 20),
    sandbox=lambda: ("namespaces", "Linux namespaces"),
    local=lambda: "4.17.0",
    ssh=lambda address: "4.18.1",
    simulator=lambda: "Name ID\nDomain-0 0\n",
)


def machine(**other):
    return dataclasses.replace(GOOD, **other)


def files(**texts):
    return lambda path: texts.get(path.rsplit("/", 1)[-1], "")


def test_where_everything_works_nothing_is_missed():
    for finding in doctor.examine(GOOD):
        assert finding.works, finding
        assert (finding.cost, finding.command) == ("", "")


@pytest.mark.parametrize(
    ("question", "other", "standing", "found", "command"),
    [
        (doctor.qemu, {"which": lambda p: None}, "missing", "no qemu", "apt-get install qemu-system-x86"),
        (
            doctor.qemu,
            {"run": lambda a: Ended(127, "x\nno libfoo\n")},
            "does not work",
            "no libfoo",
            "apt-get",
        ),
        (
            doctor.kvm,
            {"exists": lambda p: False, "read": files(cpuinfo="flags : fpu vmx")},
            *("missing", "has what it takes", "sudo modprobe kvm_intel"),
        ),
        (
            doctor.kvm,
            {"exists": lambda p: False, "read": files(cpuinfo="flags : fpu svm")},
            *("missing", "has what it takes", "sudo modprobe kvm_amd"),
        ),
        (doctor.kvm, {"exists": lambda p: False}, "missing", "the processor offers none", ""),
        (
            doctor.kvm,
            {"kvm_trial": lambda: "/dev/kvm cannot be opened: Permission denied"},
            *("does not work", "there, not proven", "usermod --append --groups kvm"),
        ),
        (
            doctor.kvm,
            {"kvm_trial": lambda: "it had not come back after 10 s"},
            "does not work",
            "not come",
            "",
        ),
        (
            doctor.box_image,
            {"image": refuse("no box image has been built")},
            *("missing", "no box image", "xenlab box build"),
        ),
        (doctor.dom0, {"local": refuse("not dom0")}, "missing", "does not run below", ""),
        (
            doctor.dom0,
            {"local": refuse("this dom0 has no `xl`"), "read": files(capabilities="control_d\n")},
            *("does not work", "no `xl`", "apt-get install xen-utils"),
        ),
        (doctor.ssh_host, {"environment": {}}, "missing", "names none", "XENLAB_HOST=ssh://"),
        (
            doctor.ssh_host,
            {"environment": {"XENLAB_HOST": "sim"}},
            "missing",
            "names none",
            "XENLAB_HOST=ssh://",
        ),
        (
            doctor.ssh_host,
            {"ssh": refuse("root@xen:2222 does not answer\nmore")},
            *("does not work", "root@xen:2222 does not answer", "ssh -p 2222 root@xen xl info"),
        ),
        (doctor.simulator, {"simulator": lambda: 1 / 0}, "does not work", "ZeroDivisionError", "make setup"),
        (
            doctor.simulator,
            {"simulator": lambda: ""},
            "does not work",
            "does not show Domain-0",
            "make setup",
        ),
        (
            doctor.sandbox,
            {"sandbox": lambda: ("limits", "NO SANDBOX"), "which": lambda p: None},
            *("does not work", "NO SANDBOX", "apt-get install bubblewrap"),
        ),
        (
            doctor.sandbox,
            {
                "sandbox": lambda: ("limits", "NO SANDBOX"),
                "read": files(apparmor_restrict_unprivileged_userns="1\n"),
            },
            *("does not work", "NO SANDBOX", "sysctl kernel.apparmor_restrict_unprivileged_userns=0"),
        ),
        (
            doctor.sandbox,
            {"sandbox": refuse("no kernel starts here")},
            "does not work",
            "no kernel starts",
            "",
        ),
        (
            doctor.namespaces,
            {"run": lambda a: Ended(1, "No space left"), "read": files(max_user_namespaces="0\n")},
            *("does not work", "No space left", "sysctl user.max_user_namespaces=10000"),
        ),
        (doctor.namespaces, {"run": lambda a: Ended(1, "")}, "does not work", "without a word", ""),
        (doctor.compiler, {"which": lambda p: None}, "missing", "no cc", "apt-get install gcc libc6-dev"),
        (
            doctor.compiler,
            {"run": lambda a: Ended(1, "no stdio.h")},
            "does not work",
            "no stdio.h",
            "libc6-dev",
        ),
        (doctor.browser, {"which": lambda p: None}, "missing", "no chromium", "apt-get install chromium"),
        (
            doctor.browser,
            {"run": lambda a: Ended(1, "no X")},
            "does not work",
            "no X",
            "--reinstall chromium",
        ),
        (
            doctor.memory,
            {"read": files(meminfo="MemTotal: 1048576 kB\nMemAvailable: 524288 kB\n")},
            *("does not work", "1024 MiB, 512 available", "XENLAB_HOST=sim"),
        ),
        (doctor.cores, {"cores": lambda: 1}, "does not work", "1 processor", ""),
    ],
)
def test_what_is_missing_is_said_with_its_cost_and_the_way_out(question, other, standing, found, command):
    finding = question(machine(**other))
    assert finding.standing is Standing(standing)
    assert found in finding.found
    assert finding.cost
    assert command in finding.command
    assert bool(command) == bool(finding.command)


def test_a_trial_that_cannot_start_or_never_ends_is_an_ended_one(monkeypatch):
    monkeypatch.setattr(doctor, "DEADLINE", 0.2)
    assert doctor._run(["sleep", "5"]) == Ended(1, "it had not ended after 0.2 s")
    assert doctor._run(["/no/such/program"]).status == 1


@pytest.mark.parametrize(
    ("other", "any_host"),
    [
        ({}, True),
        ({"simulator": lambda: ""}, True),
        ({"simulator": lambda: "", "local": refuse("no"), "ssh": refuse("no")}, True),
        ({"simulator": lambda: "", "local": refuse("no"), "ssh": refuse("no"), "image": refuse("no")}, False),
        ({"local": refuse("no"), "ssh": refuse("no"), "image": refuse("no")}, True),
    ],
)
def test_only_where_no_host_works_at_all_does_the_command_fail(other, any_host, monkeypatch):
    findings = doctor.examine(machine(**other))
    assert doctor.any_host(findings) is any_host
    monkeypatch.setattr(doctor, "examine", lambda: findings)
    done = CliRunner().invoke(cli.app, ["doctor"], env={"COLUMNS": "80"})
    assert done.exit_code == (0 if any_host else 1)
    assert all(finding.what in done.output and finding.command in done.output for finding in findings)
    assert ("no host works here" in done.output) is not any_host


def test_this_machine_is_examined_for_real():
    findings = {finding.what: finding for finding in doctor.examine()}
    assert findings["the simulator"].works
    assert findings["two processors"].found.split()[0].isdigit()
    assert findings["enough memory"].found.split()[0] != "0"
    for finding in findings.values():
        assert finding.works or finding.cost, finding
