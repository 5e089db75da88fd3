"""The recorded commands print the same on the simulator and on a real Xen."""

from pathlib import Path

import pytest

import xenlab
from xenlab.hosts.compare import compare_file

COMMANDS = Path(__file__).parent / "commands.txt"


@pytest.mark.box
@pytest.mark.timeout(1500)
def test_the_simulator_answers_in_real_xens_words():
    with xenlab.connect("sim") as sim, xenlab.connect("box") as box:
        differences = compare_file(COMMANDS, sim.dom0, box.dom0)
    assert not differences, "\n\n".join(map(str, differences))
