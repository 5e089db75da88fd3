"""Containers are built for real, and what is in them is what the model says; what the kernel refuses is told."""

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenlab.commands import XenlabError
from xenlab.oslevel.build import Container, build, start_costs
from xenlab.oslevel.cgroup import cpu_group
from xenlab.oslevel.processes import Processes
from xenlab.oslevel.steps import CPU_SHARE, ROOT, STEPS, predict
from xenlab.oslevel.view import Building


@pytest.fixture(scope="module")
def container() -> Container:
    return build(["sh", "-c", "id -u; hostname; echo $$; ls /; touch /usr/mine 2>&1 || echo read-only"])


def test_after_each_step_the_process_sees_what_the_model_says(container):
    """The kernel is the oracle. The share of the processor is measured, and the host's processes come and go."""
    assert [built.refused for built in container.steps] == [None] * len(STEPS)
    for built, expected in zip(container.steps, predict(container.host), strict=True):
        moving = {"cpu": None} | ({"processes": None} if expected.processes > 1 else {})
        assert vars(built.view) | moving == vars(expected) | moving, built.step.name
    assert container.steps[3].view.processes > 1


def test_the_limit_holds(container):
    assert container.steps[-1].view.cpu < CPU_SHARE + 0.12


def test_it_began_without_any_right(container):
    assert container.host.uid != 0


def test_a_program_runs_in_it_and_cannot_change_the_hosts_files(container):
    lines = container.output.splitlines()
    assert lines[:3] == ["0", "container", "1"]
    assert lines[3 : 3 + len(ROOT)] == list(ROOT)
    assert lines[-1] == "read-only"


def test_nothing_is_left(container):
    with cpu_group() as group:
        siblings = group[0].parents[1].glob("xenlab-*") if group else []
        assert list(siblings) == [path.parent for path in group[:1]]


REFUSED = """
import json
from xenlab.oslevel.build import build
print(json.dumps([(built.step.name, built.refused, built.view.uid) for built in build().steps]))
"""


@pytest.mark.parametrize("kind", ["user", "uts", "net", "pid", "mnt"])
def test_what_the_kernel_refuses_is_told_and_the_model_takes_over(kind):
    """A user namespace in which no further namespaces of a kind may be made: a real refusal."""
    limit = f'echo 0 > /proc/sys/user/max_{kind}_namespaces; exec "$@"'
    command = ["unshare", "-Ur", "sh", "-c", limit, "sh", sys.executable, "-c", REFUSED]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    told = {name: (refused, uid) for name, refused, uid in json.loads(done.stdout)}
    name = {"mnt": "mount"}.get(kind, kind)
    assert told[name][0] == "[Errno 28] unshare: No space left on device"
    assert told["user"][1] == 0, "by the kernel or by the model"


def test_a_process_that_ends_too_soon_is_told():
    from dataclasses import replace

    with pytest.raises(XenlabError, match="must report 1 steps"):
        build(steps=[replace(STEPS[0], name="nonsense")])


def test_a_container_starts_in_a_blink():
    for cost in start_costs():
        assert len(cost.runs) == 5
        assert 0 < cost.nanoseconds < 1e9


def test_the_picture_shows_before_and_after(container):
    building = Building(container)
    assert building.views[-1][:2] == ["root (uid 0)", "container"]
    assert "done, by the kernel of this machine" in building.step(1)
    assert "<th>in the container</th>" in building.picture()


@given(
    st.lists(st.sampled_from(["host", "outer", "inner", "other"]), min_size=1, max_size=12),
)
def test_a_process_is_seen_from_its_own_namespace_and_all_above_and_no_other(starts):
    machine = Processes()
    machine.make_namespace("outer")
    machine.make_namespace("inner", "outer")
    machine.make_namespace("other")
    above = {
        "host": {"host"},
        "outer": {"outer", "host"},
        "inner": {"inner", "outer", "host"},
        "other": {"other", "host"},
    }
    for number, namespace in enumerate(starts):
        machine.start(f"p{number}", namespace)
        assert set(machine.processes[f"p{number}"].numbers) == above[namespace]
    for namespace in above:
        seen = machine.seen_from(namespace)
        assert [machine.number(name, namespace) for name in seen] == list(range(1, len(seen) + 1))


def test_an_unknown_namespace_is_named():
    with pytest.raises(XenlabError, match=r"namespace\(='moon'\) must be one of: host"):
        Processes().start("p", "moon")
