"""The scheduler's commands, on the simulator and on a real Xen alike."""

import re

import pytest

pytestmark = pytest.mark.timeout(400)

REFUSALS = [  # xl's arguments, its status, and what it says on standard error; # is the domain's id
    (
        "sched-credit -d web -w 65536",
        1,
        "libxl: error: libxl_sched.c:238:sched_credit_domain_set: Domain #:Cpu weight out of range, "
        "valid values are within range from 1 to 65535\nlibxl_domain_sched_params_set failed.\n",
    ),
    (
        "sched-credit -d web -c 101",
        1,
        "libxl: error: libxl_sched.c:248:sched_credit_domain_set: Domain #:Cpu cap out of range, "
        "valid range is from 0 to 100 for specified number of vcpus\nlibxl_domain_sched_params_set failed.\n",
    ),
    ("sched-credit -w 512", 1, "Must specify a domain.\n"),
    ("sched-credit -d nosuch -w 3", 1, "nosuch is an invalid domain identifier (rc=-6)\n"),
    (
        "sched-credit -p Pool-0 -d web",
        1,
        "Specifying a cpupool or schedparam is not allowed with domain options.\n",
    ),
    ("sched-credit -p nosuch", 1, "unknown cpupool 'nosuch'\n"),
    ("sched-credit -t 10", 1, "Must specify schedparam to set schedule parameter values.\n"),
    (
        "sched-credit -s -t 1001",
        1,
        "libxl: error: libxl_sched.c:311:libxl_sched_credit_params_set: Time slice out of range, "
        "valid range is from 1 to 1000\nlibxl_sched_credit_params_set failed.\n",
    ),
    (
        "sched-credit -s -t 5 -r 6000",
        1,
        "libxl: error: libxl_sched.c:321:libxl_sched_credit_params_set: Ratelimit cannot be greater than timeslice\n"
        "libxl_sched_credit_params_set failed.\n",
    ),
    (
        "sched-credit -s -r 50",
        1,
        "libxl: error: libxl_sched.c:270:sched_ratelimit_check: Ratelimit out of range, "
        "valid range is from 100 to 500000\nlibxl_sched_credit_params_set failed.\n",
    ),
    ("sched-credit2 -d web", 1, "libxl_domain_sched_params_get returned credit not credit2.\n"),
    (
        "sched-credit2 -d web -w 512",
        1,
        "libxl: error: libxl_sched.c:439:sched_credit2_domain_set: Domain #:Getting domain sched credit2: "
        "Invalid argument\nlibxl_domain_sched_params_set failed.\n",
    ),
    (
        "sched-credit2 -s",
        0,
        "libxl: error: libxl_sched.c:362:libxl_sched_credit2_params_get: getting Credit2 scheduler parameters: "
        "Invalid argument\nlibxl_sched_credit2_params_get failed.\n",
    ),
    (
        "sched-credit2 -s -r 1000",
        1,
        "libxl: error: libxl_sched.c:389:libxl_sched_credit2_params_set: Setting Credit2 scheduler parameters: "
        "Invalid argument\nlibxl_sched_credit2_params_set failed.\n",
    ),
    ("cpupool-list nosuch", 1, "Pool 'nosuch' does not exist\n"),
]


@pytest.mark.parametrize(("arguments", "status", "said"), REFUSALS, ids=[row[0] for row in REFUSALS])
def test_xl_refuses_in_these_words(host, guest, arguments, status, said):
    done = host.run(["xl", *arguments.split()], check=False)
    assert (done.status, done.stderr) == (status, said.replace("#", str(guest.id)))


def test_the_pools_parameters_are_set_and_shown(host):
    host.xl("sched-credit", "-s", "-t", 10, "-r", 2000, "-m", 500)
    try:
        shown = host.xl("sched-credit", "-s")
        assert shown == "Cpupool Pool-0: tslice=10ms ratelimit=2000us migration-delay=500us\n"
    finally:
        host.xl("sched-credit", "-s", "-t", 30, "-r", 1000, "-m", 0)
    assert host.xl("sched-credit").splitlines()[:2] == [
        "Cpupool Pool-0: tslice=30ms ratelimit=1000us migration-delay=0us",
        f"{'Name':<33} {'ID':>4} {'Weight':>6} {'Cap':>4}",
    ]


def test_the_one_pool_has_all_pcpus(host, guest):
    heading, row = host.xl("cpupool-list").splitlines()
    assert heading == "Name               CPUs   Sched     Active   Domain count"
    assert row.split()[:4] == ["Pool-0", "2", "credit", "y"]
    assert host.xl("cpupool-list", "-c").splitlines()[1].split() == ["Pool-0", "0,1"]


HEADING = (
    "      NAME  STATE   CPU(sec) CPU(%)     MEM(k) MEM(%)  MAXMEM(k) MAXMEM(%) VCPUS NETS NETTX(k) NETRX(k) VBDS "
    "  VBD_OO   VBD_RD   VBD_WR  VBD_RSECT  VBD_WSECT SSID"
)


def test_xentop_prints_a_table_an_interval(host, guest):
    lines = host.run(["xentop", "-b", "-i", "2", "-d", "2"]).stdout.splitlines()
    assert lines[0] == HEADING
    second = lines[lines.index(HEADING, 1) + 1 :]
    rows = {line.split()[0]: line.split() for line in second}
    assert list(rows) == sorted(rows, key=str.lower)
    assert {"Domain-0", "web"} <= set(rows)
    assert re.fullmatch("-----[-r]|--b---", rows["web"][1])
    assert rows["web"][4:7:2] == ["131072", "132096"]
    assert rows["Domain-0"][4:9] == ["393216", "37.5", "393216", "37.5", "2"]
    assert 0 < float(rows["Domain-0"][3]) < 200
    assert all(
        float(line.split()[3]) == 0 for line in lines[1 : len(rows) + 1]
    )  # nothing to compare with yet


def test_a_cap_holds(host):
    """A busy guest capped at 40 % of a pCPU uses that, as xl list tells."""
    with_cap = host.create(name="capped", workload="burn")
    try:
        with_cap.wait_for("workload=burn")
        host.xl("sched-credit", "-d", "capped", "-c", 40)
        host.wait(1)
        before, start = with_cap.row.seconds, host.now()
        host.wait(5)
        used = (with_cap.row.seconds - before) / (host.now() - start)
        assert used == pytest.approx(0.4, abs=0.06)
    finally:
        with_cap.destroy()
