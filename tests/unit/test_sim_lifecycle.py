"""A simulated domain lives as a real one does, in virtual time; each test is a little simulation."""

import json

import pytest

from xenlab.hosts.sim import MachineSpec, NotSimulated, SimDom0

CONFIG = """name = "web"
kernel = "/var/lib/xenlab-guest/vmlinux"
ramdisk = "/var/lib/xenlab-guest/initrd.gz"
memory = 128
extra = "console=hvc0 quiet xenlab.workload={}"
"""
CONSOLE = "/var/log/xen/console/guest-web.log"


@pytest.fixture
def dom0():
    return SimDom0()


def xl(dom0, line, status=0):
    """Run ``xl LINE``, whose words hold no blanks; what it printed on standard output."""
    done = dom0.run(["xl", *line.split()])
    assert done.status == status, done
    return done.stdout


def start(dom0, workload="idle", options="", extra=""):
    dom0.put(CONFIG.format(workload).encode() + extra.encode(), "/root/web.cfg")
    xl(dom0, f"create {options} /root/web.cfg")


def state(dom0, name="web"):
    return xl(dom0, f"list {name}").splitlines()[1].split()[4]


def seconds(dom0, name):
    return float(xl(dom0, f"list {name}").split()[-1])


def console(dom0):
    return dom0.get(CONSOLE).decode().splitlines()


def test_the_guest_boots_says_what_it_does_and_does_it(dom0):
    start(dom0, "counter")
    dom0.wait(5)
    assert console(dom0)[:3] == ["xenlab: workload=counter", "counter 1", "counter 2"]
    assert state(dom0) == "-b----"


def test_a_paused_guest_counts_no_further(dom0):
    start(dom0, "counter")
    dom0.wait(4)
    xl(dom0, "pause web")
    before = console(dom0)
    dom0.wait(10)
    assert state(dom0)[2] == "p"
    assert console(dom0) == before
    xl(dom0, "unpause web")
    dom0.wait(2)
    assert len(console(dom0)) > len(before)


def test_pauses_add_up(dom0):
    start(dom0)
    for command in ("pause web", "pause web", "unpause web"):
        xl(dom0, command)
    assert "p" in state(dom0)
    xl(dom0, "unpause web")
    assert "p" not in state(dom0)


def test_a_guest_created_paused_has_not_begun(dom0):
    start(dom0, options="-p", extra="vcpus = 2\n")
    dom0.wait(20)
    assert state(dom0) == "--p---"
    assert seconds(dom0, "web") == 0.0
    assert xl(dom0, "list web").splitlines()[1].split()[3] == "1"  # the guest itself brings up the others
    xl(dom0, "unpause web")
    dom0.wait(5)
    assert xl(dom0, "list web").splitlines()[1].split()[3] == "2"


def test_shutdown_returns_before_the_guest_has_ended_unless_told_to_wait(dom0):
    start(dom0)
    dom0.wait(3)
    xl(dom0, "shutdown web")
    xl(dom0, "domid web")
    dom0.wait(2)
    xl(dom0, "domid web", status=1)


def test_a_guest_that_is_still_booting_shuts_down_once_it_is_up(dom0):
    start(dom0)
    before = dom0.now()
    xl(dom0, "shutdown web")
    assert dom0.now() - before > 0.5
    dom0.wait(2)
    xl(dom0, "domid web", status=1)


def test_a_request_that_a_paused_guest_missed_is_obeyed_when_it_goes_on(dom0):
    start(dom0, options="-e")
    dom0.wait(3)
    xl(dom0, "pause web")
    xl(dom0, "shutdown web", status=1)
    xl(dom0, "unpause web")
    dom0.wait(2)
    assert state(dom0) == "---s--"


def test_shutdown_w_waits_for_the_shutdown(dom0):
    start(dom0, options="-e")
    dom0.wait(3)
    xl(dom0, "shutdown -w web")
    assert state(dom0) == "---s--"
    xl(dom0, "destroy web")
    xl(dom0, "list web", status=1)


def test_a_paused_guest_does_not_hear_of_the_shutdown(dom0):
    start(dom0)
    dom0.wait(3)
    xl(dom0, "pause web")
    before = dom0.now()
    done = dom0.run(["xl", "shutdown", "web"])
    assert dom0.now() - before > 60
    assert done.stderr.splitlines()[-1] == "shutdown failed (rc=-9)"
    assert "guest didn't acknowledge control request: -9" in done.stderr
    assert done.status == 1


def test_reboot_builds_the_domain_again_under_a_new_id(dom0):
    start(dom0, "counter")
    dom0.wait(3)
    xl(dom0, "reboot web")
    dom0.wait(6)
    assert xl(dom0, "domid web") == "2\n"
    assert console(dom0).count("xenlab: workload=counter") == 2
    log = dom0.get("/var/log/xen/xl-web.log").decode()
    assert "Domain 1 has shut down, reason code 1 0x1" in log
    assert "Waiting for domain web (domid 2) to die" in log


def test_on_reboot_destroy_leaves_nothing(dom0):
    start(dom0, extra='on_reboot = "destroy"\n')
    dom0.wait(3)
    xl(dom0, "reboot web")
    dom0.wait(6)
    xl(dom0, "domid web", status=1)


def test_a_restored_guest_goes_on_where_it_was_saved(dom0):
    start(dom0, "counter")
    dom0.wait(4)
    xl(dom0, "save web /root/web.save")
    saved = console(dom0)
    xl(dom0, "list web", status=1)
    dom0.wait(100)
    xl(dom0, "restore /root/web.save")
    dom0.wait(3)
    counts = [int(line.split()[1]) for line in console(dom0) if line.startswith("counter")]
    assert counts == list(range(1, len(counts) + 1))
    assert len(console(dom0)) > len(saved)


def test_save_c_lets_the_guest_run_on(dom0):
    start(dom0, "counter")
    dom0.wait(4)
    xl(dom0, "save -c web /root/web.save")
    before = len(console(dom0))
    dom0.wait(3)
    assert len(console(dom0)) > before
    assert dom0.get("/root/web.save").startswith(b"Xen saved domain, xl format\n \0 \r")


def test_a_domain_needs_memory_that_is_free(dom0):
    free = int(xl(dom0, "info free_memory"))
    start(dom0)
    assert int(xl(dom0, "info free_memory")) < free - 128
    done = dom0.run(["xl", "create", "/root/web.cfg", 'name="big"', "memory=4096"])
    assert done.status == 3
    assert "cannot (re-)build domain: -3" in done.stderr
    xl(dom0, "destroy web")
    assert int(xl(dom0, "info free_memory")) == free


def test_the_balloon_follows_its_target(dom0):
    start(dom0, extra="maxmem = 256\n")
    dom0.wait(3)
    xl(dom0, "mem-set web 72")
    dom0.wait(2)
    assert xl(dom0, "list web").splitlines()[1].split()[2] == "72"
    xl(dom0, "mem-set web 256")
    dom0.wait(2)
    assert xl(dom0, "list web").splitlines()[1].split()[2] == "256"


def test_linux_loses_what_its_balloon_gives_back(dom0):
    start(dom0, "meminfo")
    dom0.wait(5)
    before = console(dom0)[-1]
    xl(dom0, "mem-set web 100")
    dom0.wait(5)
    assert before == "meminfo: MemTotal 94940 kB, MemFree 68812 kB, current_kb 131072"
    assert console(dom0)[-1] == "meminfo: MemTotal 66268 kB, MemFree 40140 kB, current_kb 102400"


def test_the_guest_plugs_its_vcpus(dom0):
    start(dom0, extra="vcpus = 2\n")
    dom0.wait(3)
    xl(dom0, "vcpu-set web 1")
    dom0.wait(1)
    second = xl(dom0, "vcpu-list web").splitlines()[2].split()
    assert second[3:5] == ["-", "--p"]


def test_cpu_time_follows_cap_and_pinning(dom0):
    for name in ("web", "db"):
        dom0.put(
            CONFIG.replace("web", name).format("burn").encode() + b'vcpus = 1\ncpus = "0"\n',
            f"/root/{name}.cfg",
        )
        xl(dom0, f"create /root/{name}.cfg")
    dom0.wait(5)
    before = {name: seconds(dom0, name) for name in ("web", "db")}
    xl(dom0, "sched-credit -d db -c 20")
    dom0.wait(30)
    used = {name: seconds(dom0, name) - before[name] for name in ("web", "db")}
    assert used["db"] == pytest.approx(6, abs=0.5)
    assert used["web"] == pytest.approx(24, abs=1.5)


def test_rename_changes_xenstore_and_all_look_ups(dom0):
    start(dom0)
    xl(dom0, "rename web shop")
    assert dom0.run(["xenstore-read", "/local/domain/1/name"]).stdout == "shop\n"
    xl(dom0, "list web", status=1)
    assert json.loads(xl(dom0, "list -l shop"))[0]["config"]["c_info"]["name"] == "shop"


def test_a_domain_leaves_nothing_in_xenstore(dom0):
    start(dom0)
    xl(dom0, "destroy web")
    before = dom0.run(["xenstore-ls", "/"]).stdout
    dom0.put(b"", "/root/disk.img")
    start(dom0, extra='disk = ["/root/disk.img,raw,xvda,w"]\nvif = ["bridge=xenbr0"]\n')
    dom0.wait(3)
    assert xl(dom0, "block-list web").splitlines()[1].split()[:4] == ["51712", "0", "2", "4"]
    assert xl(dom0, "network-list web").splitlines()[1].split()[4] == "4"
    xl(dom0, "destroy web")
    assert dom0.run(["xenstore-ls", "/"]).stdout == before


def test_the_same_commands_give_the_same_world():
    def one():
        dom0 = SimDom0(seed=7)
        start(dom0, "counter", extra='vif = [""]\n')
        dom0.wait(5)
        return xl(dom0, "list -l") + dom0.run(["xenstore-ls", "/"]).stdout + str(console(dom0))

    assert one() == one()


def test_another_machine():
    dom0 = SimDom0(MachineSpec(pcpus=8, memory_mib=4096, scheduler="credit2"))
    assert xl(dom0, "info nr_cpus") == "8\n"
    assert xl(dom0, "info xen_scheduler") == "credit2\n"
    assert xl(dom0, "sched-credit2").startswith("Cpupool Pool-0: ratelimit=1000us\n")


@pytest.mark.parametrize("argv", [["drbdadm"], ["xl", "remus", "web", "host"], ["ls", "-l", "/"]])
def test_what_is_not_simulated_says_so_and_says_what_to_do(dom0, argv):
    with pytest.raises(NotSimulated, match=r"not simulated\. Run it on a real Xen host") as caught:
        dom0.run(argv)
    assert argv[-1] in str(caught.value) or argv[0] in str(caught.value)
