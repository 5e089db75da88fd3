"""Comparing two dom0s shows every difference in what they answer, and nothing of what differs from run to run."""

from pathlib import Path

import pytest

from xenlab.commands import Completed
from xenlab.hosts.compare import BadRow, compare, compare_file, record
from xenlab.hosts.sim import SimDom0

CONTRACT = Path(__file__).parents[1] / "contract" / "commands.txt"


class OtherIds(SimDom0):
    """A simulated dom0 on which other domains have been, at another time of day."""

    def __init__(self):
        super().__init__(seed=99)
        self.world.machine.next_domid = 23
        self.wait(5000)


class Scripted(SimDom0):
    """A dom0 that answers one command as the test says."""

    def __init__(self, **answer):
        super().__init__()
        self.answer = {"stdout": "", "stderr": "", "status": 0, **answer}

    def run(self, argv, stdin=""):
        if argv[0] != "asked":
            return super().run(argv, stdin)
        return Completed(tuple(argv), **self.answer)


def test_one_simulator_answers_all_the_contract_like_another():
    assert compare_file(CONTRACT, SimDom0(), OtherIds()) == []


def test_the_contract_is_large_and_all_of_it_is_simulated():
    answers = record(CONTRACT.read_text().splitlines(), SimDom0(), CONTRACT.parent)
    assert len(answers) > 80
    assert [answer.line for answer in answers if "NotSimulated" in answer.text] == []


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"stdout": "one\n"}, {"stdout": "two\n"}),
        ({"stdout": "one\n"}, {"stderr": "one\n"}),
        ({"stdout": "one\n"}, {"stdout": "one"}),
        ({"status": 1}, {"status": 2}),
        ({"stdout": "cmp-web                                      1   128     1     -b----       0.3\n"},
         {"stdout": "cmp-web                                     10   128     1     --p---      11.3\n"}),
        ({"stdout": "cmp-web                                      1   128     1     -b----       0.3\n"},
         {"stdout": "cmp-web                                     1   128     1     -b----       0.3\n"}),
    ],
)  # fmt: skip
def test_what_is_a_difference(left, right):
    found = compare(["asked"], Scripted(**left), Scripted(**right))
    assert [difference.row for difference in found] == [1]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("cmp-web                                      1   128     1     -b----       0.3",
         "cmp-web                                     10   128     1     -b----      11.3"),
        ("cmp-web                              1     0    1   -b-       0.3  1 / all",
         "cmp-web                             10     0    1   -b-      11.3  1 / all"),
        ("web                                  1    256    0", "web                                 77    256    0"),
        ("Domain-0                             0  0:00:43", "Domain-0                             0 17:00:43"),
        ("/local/domain/3/console", "/local/domain/17/console"),
        ("libxl: error: x.c:1:f: Domain 3:gone", "libxl: error: x.c:1:f: Domain 44:gone"),
        ("Waiting for domain web (domid 3) to die [pid 1]", "Waiting for domain web (domid 9) to die [pid 87]"),
        ("6b0b8b3e-2f4e-4e3b-9f5a-0123456789ab", "00000000-2f4e-4e3b-9f5a-0123456789ab"),
        ("free_memory            : 499", "free_memory            : 1"),
        ('   ring-ref = "1044476"', '   ring-ref = "8"'),
    ],
)  # fmt: skip
def test_what_is_not_a_difference(left, right):
    assert compare(["asked"], Scripted(stdout=f"{left}\n"), Scripted(stdout=f"{right}\n")) == []


def test_a_difference_shows_both_sides():
    (found,) = compare(
        ["# a comment", "", "asked  # why"], Scripted(stdout="a\nb\n"), Scripted(stdout="a\nc\n")
    )
    assert str(found) == ("row 3: asked  # why\n@@ -1,4 +1,4 @@\n $ asked\n a\n-b\n+c\n (exit status 0)")


def test_files_are_put_and_time_passes(tmp_path):
    (tmp_path / "hello.txt").write_text("hello")
    dom0 = SimDom0()
    lines = ["put hello.txt /root/hello.txt", "wait 30", "until /root/hello.txt hello", "cat /root/hello.txt"]
    assert [answer.text for answer in record(lines, dom0, tmp_path)] == [
        "$ cat /root/hello.txt\nhello(no line end)\n(exit status 0)\n"
    ]
    assert dom0.now() > 30


@pytest.mark.parametrize("line", ["put web.cfg", "wait", "until /x", "xl list 'web"])
def test_a_malformed_row_stops_before_anything_is_run(line):
    dom0 = SimDom0()
    with pytest.raises(BadRow, match="row 2: "):
        record(["xl create x", line], dom0)
    assert dom0.now() == 0


def test_what_is_not_simulated_is_a_difference():
    (found,) = compare(["asked"], Scripted(stdout="a\n"), SimDom0())
    assert "NotSimulated" in found.right
