"""The simulated machine's processors follow the scheduler's model through all that is done to its domains."""

import dataclasses
import itertools

import pytest

from xenlab.hosts.sim import MachineSpec, SimDom0
from xenlab.hosts.sim.cpu import CpuClaim, Pool, Processors
from xenlab.scheduling import Busy, Credit2Parameters, CreditParameters, Domain, Idle, System, predict

ANYWHERE = frozenset({0, 1})
ONE_POOL = {0: Pool(ANYWHERE, CreditParameters())}


def claim(domid, *workloads, cpus=ANYWHERE, **settings):
    defaults = {"weight": 256, "cap": 0, "runnable": True}
    workloads = workloads or (Busy(),)
    return CpuClaim(
        domid, workloads=workloads, affinities=(frozenset(cpus),) * len(workloads), **defaults | settings
    )


@pytest.fixture
def processors():
    return Processors()


def seconds(statuses):
    return {domid: round(sum(vcpu.seconds for vcpu in vcpus), 1) for domid, vcpus in statuses.items()}


def test_in_steps_or_at_once_it_comes_to_the_same(processors):
    claims = [claim(1, weight=512), claim(2), claim(3, cap=30)]
    for step in range(1, 60):
        processors.run(ONE_POOL, claims, step / 2)
    at_once = Processors().run(ONE_POOL, claims, 30.0)
    assert processors.run(ONE_POOL, claims, 30.0) == at_once


def test_it_is_the_model_that_predicts(processors):
    claims = [claim(1, weight=512, cpus={0}), claim(2, cpus={0}), claim(3, cap=40)]
    domains = (Domain("1", weight=512, cpus=(0,)), Domain("2", cpus=(0,)), Domain("3", cap=40))
    used = {str(domid): time / 60 for domid, time in seconds(processors.run(ONE_POOL, claims, 60.0)).items()}
    assert used == pytest.approx(predict(System(domains, 2), 60.0), abs=0.01)


@pytest.mark.parametrize(
    ("change", "more"),
    [
        ({"cap": 25}, {1: 2.5, 2: 7.5}),
        ({"runnable": False}, {1: 0, 2: 10}),
        ({"workloads": (Idle(),)}, {1: 0, 2: 10}),
        ({"affinities": (frozenset({1}),)}, {1: 10, 2: 10}),
    ],
)
def test_a_change_holds_from_when_it_is_made(processors, change, more):
    one, other = claim(1, cpus={0}), claim(2, cpus={0})
    before = seconds(processors.run(ONE_POOL, [one, other], 10.0))
    assert before == pytest.approx({1: 5, 2: 5}, abs=0.1)
    after = seconds(processors.run(ONE_POOL, [dataclasses.replace(one, **change), other], 20.0))
    assert {domid: after[domid] - before[domid] for domid in after} == pytest.approx(more, abs=0.2)
    again = seconds(processors.run(ONE_POOL, [one, other], 30.0))
    assert again[1] - after[1] == pytest.approx(5, abs=0.2)


def test_who_has_gone_leaves_its_time_to_the_others(processors):
    claims = [claim(1, cpus={0}), claim(2, cpus={0})]
    processors.run(ONE_POOL, claims, 10.0)
    assert seconds(processors.run(ONE_POOL, claims[1:], 20.0)) == pytest.approx({2: 15}, abs=0.1)


def test_a_vcpu_is_where_it_may_be_and_says_how_it_is(processors):
    claims = [claim(1, cpus={1}), claim(2, cpus={1}), claim(3, Idle()), claim(4, runnable=False)]
    statuses = processors.run(ONE_POOL, claims, 10.0)
    assert {statuses[1][0].state, statuses[2][0].state} == {"running", "runnable"}
    assert (statuses[3][0].state, statuses[4][0].state) == ("blocked", "paused")
    assert statuses[1][0].pcpu == statuses[2][0].pcpu == 1


def test_a_pool_of_its_own_has_its_own_pcpus_scheduler_and_weights(processors):
    """What domains had used before they moved stays theirs."""
    web, db = claim(1, cpus={0}), claim(2, cpus={0})
    processors.run(ONE_POOL, [web, db], 10.0)
    split = {
        0: Pool(frozenset({0}), CreditParameters()),
        1: Pool(frozenset({1}), Credit2Parameters()),
    }
    moved = dataclasses.replace(web, pool=1)
    statuses = processors.run(split, [moved, db], 20.0)
    assert seconds(statuses) == pytest.approx({1: 15, 2: 15}, abs=0.1)
    assert (statuses[1][0].pcpu, statuses[2][0].pcpu) == (1, 0)
    statuses = processors.run(
        split, [dataclasses.replace(moved, cap=20), dataclasses.replace(db, pool=1)], 30.0
    )
    assert seconds(statuses) == pytest.approx({1: 17, 2: 23}, abs=0.1)
    statuses = processors.run(ONE_POOL, [web, db], 40.0)
    assert seconds(statuses) == pytest.approx({1: 22, 2: 28}, abs=0.2)


# -- through xl

CONFIG = """name = "{name}"
kernel = "/var/lib/xenlab-guest/vmlinux"
ramdisk = "/var/lib/xenlab-guest/initrd.gz"
memory = 64
vcpus = 1
extra = "xenlab.workload=burn"
cpus = "0"
"""


def busy_pair(spec=MachineSpec()):  # noqa: B008 - it is frozen
    dom0 = SimDom0(spec)
    for name in ("web", "db"):
        dom0.put(CONFIG.format(name=name).encode(), f"/root/{name}.cfg")
        dom0.run(["xl", "create", f"/root/{name}.cfg"])
    dom0.wait(3)
    return dom0


def used(dom0, interval=30.0):
    def times():
        rows = dom0.run(["xl", "list"]).stdout.splitlines()[2:]
        return {row.split()[0]: float(row.split()[-1]) for row in rows}

    before, start = times(), dom0.now()
    dom0.wait(interval)
    after = times()
    return {name: (after[name] - before[name]) / (dom0.now() - start) for name in after}


def test_two_pinned_guests_run_one_to_one_whatever_their_weights_under_credit():
    dom0 = busy_pair()
    dom0.run(["xl", "sched-credit", "-d", "web", "-w", "512"])
    assert used(dom0) == pytest.approx({"web": 0.5, "db": 0.5}, abs=0.02)


def test_under_credit2_their_weights_count():
    dom0 = busy_pair(MachineSpec(scheduler="credit2"))
    dom0.run(["xl", "sched-credit2", "-d", "web", "-w", "512"])
    assert used(dom0) == pytest.approx({"web": 2 / 3, "db": 1 / 3}, abs=0.02)


def test_a_longer_slice_shows_in_vcpu_list():
    """With a time slice of 1 s it is always the same guest that runs, from one look to the next 50 ms later."""
    dom0 = busy_pair()
    dom0.run(["xl", "sched-credit", "-s", "-t", "1000"])
    dom0.wait(5)

    def running():
        rows = dom0.run(["xl", "vcpu-list"]).stdout.splitlines()
        return tuple(row.split()[0] for row in rows if row.split()[4:5] == ["r--"] and "Domain-0" not in row)

    seen = [running() for _ in range(40)]
    changes = sum(one != other for one, other in itertools.pairwise(seen))
    assert 1 <= changes <= 5


def test_a_credit2_host_refuses_credits_commands_and_sets_its_own_rate_limit():
    dom0 = SimDom0(MachineSpec(scheduler="credit2"))

    def xl(line):
        done = dom0.run(["xl", *line.split()])
        return done.status, done.stdout, done.stderr

    unavailable = (
        "libxl: error: libxl_sched.c:287:libxl_sched_credit_params_get: getting Credit scheduler parameters: "
        "Invalid argument\nlibxl_sched_credit_params_get failed.\n"
    )
    assert xl("sched-credit -s") == (0, "Cpupool Pool-0: [sched params unavailable]\n", unavailable)
    assert xl("sched-credit -s -t 5") == (1, "", unavailable)
    assert xl("sched-credit -d 0 -w 512") == (
        1,
        "",
        "libxl: error: libxl_sched.c:232:sched_credit_domain_set: Getting domain sched credit: "
        "Invalid argument\nlibxl_domain_sched_params_set failed.\n",
    )
    assert xl("sched-credit2 -s -r 500") == (0, "", "")
    assert xl("sched-credit2 -s") == (0, "Cpupool Pool-0: ratelimit=500us\n", "")


def test_xentop_shows_how_much_of_a_pcpu_each_domain_used():
    dom0 = busy_pair()
    dom0.run(["xl", "sched-credit", "-d", "web", "-c", "30"])
    dom0.wait(1)
    table = dom0.run(["xentop", "-b", "-i", "2", "-d", "20"]).stdout.splitlines()[-3:]
    used = {row.split()[0]: float(row.split()[3]) for row in table}
    assert list(used) == ["db", "Domain-0", "web"]  # by name, whatever its case
    assert used == pytest.approx({"db": 70, "Domain-0": 4, "web": 30}, abs=3)


def test_cpupools_through_xl():
    dom0 = busy_pair()

    def xl(*arguments, status=0):
        done = dom0.run(["xl", *arguments])
        assert done.status == status, done
        return done.stdout + done.stderr

    xl("cpupool-cpu-remove", "Pool-0", "1")
    assert xl("info", "free_cpus") == "1\n"
    assert "cpu 0 illegal or not free" in xl("cpupool-create", 'name="lab"', 'cpus=["0"]', status=1)
    made = xl("cpupool-create", 'name="lab"', 'sched="credit2"', 'cpus=["1"]')
    assert made.splitlines()[1:] == ["cpupool name:   lab", "scheduler:      credit2", "number of cpus: 1"]
    for name in ("web", "db"):
        xl("cpupool-migrate", name, "lab")
    xl("sched-credit2", "-d", "web", "-w", "512")
    assert used(dom0) == pytest.approx({"web": 2 / 3, "db": 1 / 3}, abs=0.02)
    assert xl("sched-credit2").splitlines()[0] == "Cpupool lab: ratelimit=1000us"
    assert "web" not in xl("sched-credit")
    assert xl("list", "-c", "web").split()[-1] == "lab"
    xl("cpupool-destroy", "lab", status=1)
    for name in ("web", "db"):
        xl("cpupool-migrate", name, "Pool-0")
    xl("cpupool-destroy", "lab")
    xl("cpupool-cpu-add", "Pool-0", "1")
    assert xl("cpupool-list", "-c").splitlines()[1:] == ["Pool-0             0,1"]
    assert used(dom0) == pytest.approx({"web": 1, "db": 1}, abs=0.05)
