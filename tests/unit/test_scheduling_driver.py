"""The driver types what xl understands, reads what it prints, and measures the shares that follow."""

import pytest

import xenlab
from xenlab.commands import CommandFailed, Completed
from xenlab.scheduling import SchedulingError
from xenlab.scheduling.driver import Scheduling, read_xentop


@pytest.fixture
def host():
    with xenlab.connect("sim") as host:
        for name in ("web", "db"):
            host.create(name=name, vcpus=2, workload="burn").wait_for("xenlab: workload")
        yield host


class Recorded:
    """A host that answers from a table of what real commands printed, and keeps what was typed."""

    def __init__(self, answers):
        self.answers, self.typed = answers, []

    def run(self, argv, *, stdin="", check=True):
        line = " ".join(argv)
        self.typed.append(line)
        status, stdout, stderr = self.answers.get(line, (0, "", ""))
        return Completed(tuple(argv), stdout, stderr, status)

    def xl(self, *args):
        return self.run(["xl", *args]).stdout


HEADING = "Name                                ID Weight  Cap\n"
TWO_POOLS = Recorded(
    {
        "xl sched-credit": (
            0,
            f"Cpupool Pool-0: tslice=30ms ratelimit=1000us migration-delay=0us\n{HEADING}"
            "Domain-0                             0    256    0\n",
            "",
        ),
        "xl sched-credit2": (
            0,
            f"Cpupool lab: ratelimit=1000us\n{HEADING}a name                               1    512   40\n",
            "",
        ),
        "xl sched-credit -d web": (
            1,
            HEADING,
            "libxl_domain_sched_params_get returned credit2 not credit.\n",
        ),
        "xl cpupool-list": (
            0,
            "Name               CPUs   Sched     Active   Domain count\n"
            "Pool-0               1    credit       y          1\n"
            "lab                  1   credit2       y          1\n",
            "",
        ),
        "xl cpupool-list -c": (
            0,
            "Name               CPU list\nPool-0             0\nlab                1\n",
            "",
        ),
        "xl sched-credit -s -p Pool-0": (
            0,
            "Cpupool Pool-0: tslice=30ms ratelimit=1000us migration-delay=0us\n",
            "",
        ),
        "xl sched-credit2 -s -p lab": (0, "Cpupool lab: ratelimit=1000us\n", ""),
    }
)


def test_domains_of_all_pools_stand_in_one_table():
    table = Scheduling(TWO_POOLS).table()
    assert table.loc["Domain-0"].to_list() == [0, "Pool-0", "credit", 256, 0]
    assert table.loc["a name"].to_list() == [1, "lab", "credit2", 512, 40]


def test_pools_have_the_parameters_of_their_schedulers():
    pools = Scheduling(TWO_POOLS).pools()
    assert pools.loc["Pool-0"].to_list() == [(0,), "credit", 30, 1000, 0]
    assert pools.loc["lab", "cpus"] == (1,)
    assert pools.tslice_ms.isna().to_list() == [False, True]


def test_a_domain_in_a_credit2_pool_is_set_by_sched_credit2():
    Scheduling(TWO_POOLS).set("web", weight=512, cap=50)
    assert TWO_POOLS.typed[-1] == "xl sched-credit2 -d web -w 512 -c 50"


def test_a_pool_is_made_of_pcpus_taken_from_pool_0_and_gives_them_back():
    host = Recorded(TWO_POOLS.answers)
    scheduling = Scheduling(host)
    scheduling.make_pool("lab", "credit2", [1])
    assert host.typed == [
        "xl cpupool-cpu-remove Pool-0 1",
        'xl cpupool-create name="lab" sched="credit2" cpus=["1"]',
    ]
    scheduling.end_pool("lab")
    assert host.typed[-3:] == [
        "xl cpupool-migrate a name Pool-0",
        "xl cpupool-destroy lab",
        "xl cpupool-cpu-add Pool-0 1",
    ]


def test_weights_caps_and_pins_are_read_back_as_they_were_set(host):
    scheduling = Scheduling(host)
    scheduling.set("web", weight=512, cap=150)
    scheduling.set("db", cap=20)
    scheduling.pin("db", "1")
    scheduling.pin("web", "0", vcpu=1)
    assert scheduling.table().loc["web", ["weight", "cap"]].to_list() == [512, 150]
    assert scheduling.table().loc["db", ["weight", "cap"]].to_list() == [256, 20]
    assert scheduling.affinity("db") == {0: "1", 1: "1"}
    assert scheduling.affinity("web") == {0: "all", 1: "0"}


def test_the_time_slice_of_a_pool_is_read_back_as_it_was_set(host):
    scheduling = Scheduling(host)
    scheduling.set_pool(tslice_ms=10, ratelimit_us=500)
    pool = scheduling.pools().loc["Pool-0"]
    assert (pool.tslice_ms, pool.ratelimit_us, pool.migration_delay_us) == (10, 500, 0)


def test_what_xl_refuses_is_told(host):
    scheduling = Scheduling(host)
    with pytest.raises(SchedulingError, match=r"weight\(=0\) must be from 1 to 65535"):
        scheduling.set("web", weight=0)
    with pytest.raises(CommandFailed, match="Cpu cap out of range"):
        scheduling.set("web", cap=201)
    with pytest.raises(CommandFailed, match="nobody is an invalid domain identifier"):
        scheduling.set("nobody", weight=512)
    with pytest.raises(CommandFailed, match="Time slice out of range"):
        scheduling.set_pool(tslice_ms=1001)


def test_shares_follow_weights(host):
    scheduling = Scheduling(host)
    scheduling.set("web", weight=512)
    shares = scheduling.shares(6)
    assert shares["web"] == pytest.approx(1.3, abs=0.07)
    assert shares["db"] == pytest.approx(0.65, abs=0.07)
    assert shares.sum() <= 2.002  # three figures, each rounded to 0.001


@pytest.mark.parametrize("seconds", [0, 1.5])
def test_an_interval_is_whole_seconds(host, seconds):
    with pytest.raises(SchedulingError, match="must be a whole number"):
        Scheduling(host).shares(seconds)


def test_only_the_last_table_of_xentop_counts():
    head = "      NAME  STATE   CPU(sec) CPU(%)\n"
    first, last = "       web -----r         53    0.0\n", "       web -----r         55   98.7\n"
    assert read_xentop(head + first + head + last).to_dict() == {"web": 0.987}
