"""qemu-img and qemu-io of the simulated dom0 say what the real ones say, and leave images that these find sound."""

import re
import shlex
import subprocess

import pytest

from xenlab.hosts.sim import SimDom0
from xenlab.hosts.sim.process import NotSimulated

COMMANDS = """
qemu-img create -f qcow2 golden.qcow2 64M
qemu-io -f qcow2 -c "write -q -P 0x41 0 3M" golden.qcow2
qemu-img create -f qcow2 -F qcow2 -b golden.qcow2 web.qcow2
qemu-img info web.qcow2
qemu-img map --output=json web.qcow2
qemu-img check web.qcow2
qemu-io -f qcow2 -c "write -q -P 0x58 64k 4k" web.qcow2
qemu-io -f qcow2 -c "write -q -P 0x58 1M 200k" web.qcow2
qemu-io -f qcow2 -c "write -q -P 0x59 512k 64k" web.qcow2
qemu-io -f qcow2 -c "write -q -P 0x59 1G 4k" web.qcow2
qemu-img create -q -f qcow2 -F qcow2 -b web.qcow2 today.qcow2
qemu-io -f qcow2 -c "write -q -P 0x5a 32M 4k" today.qcow2
qemu-img info web.qcow2
qemu-img info --output=json web.qcow2
qemu-img info --output=json golden.qcow2
qemu-img map today.qcow2
qemu-img map --output=json today.qcow2
qemu-img check web.qcow2
qemu-img check golden.qcow2
qemu-img commit today.qcow2
qemu-img map --output=json today.qcow2
qemu-img commit -q web.qcow2
qemu-img map golden.qcow2
qemu-img commit golden.qcow2
qemu-img info nosuch
qemu-img map --output=json nosuch
qemu-img create -f qcow2 bad
qemu-img create -f qcow2 bad ten
qemu-img create -q -f qcow2 -F qcow2 -b nosuch.qcow2 x.qcow2
qemu-img frob
rm golden.qcow2
qemu-img info web.qcow2
qemu-img check web.qcow2
qemu-img map web.qcow2
""".strip().splitlines()


def masked(text):
    """Leave out what the file system decides: the room a sparse file takes."""
    return re.sub(r'(disk size: |"actual-size": )[^\n,]+', r"\1N", text)


def test_it_answers_as_the_real_one_does(tmp_path):
    dom0 = SimDom0()
    for line in COMMANDS:
        argv = shlex.split(line)
        real = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
        ours = dom0.run(argv)
        theirs = (real.returncode, masked(real.stdout), real.stderr)
        assert (ours.status, masked(ours.stdout), ours.stderr) == theirs, line


def test_the_real_one_finds_no_error_in_what_is_left_behind(tmp_path):
    dom0 = SimDom0()
    for line in COMMANDS[:18]:
        dom0.run(shlex.split(line))
    for name in ("golden.qcow2", "web.qcow2", "today.qcow2"):
        (tmp_path / name).write_bytes(dom0.get(name))
    for name in ("golden.qcow2", "web.qcow2", "today.qcow2"):
        subprocess.run(["qemu-img", "check", "-q", tmp_path / name], check=True)


@pytest.mark.parametrize(
    "line",
    ["qemu-img create -f raw a.img 1M", "qemu-img info --frob a", 'qemu-io -f qcow2 -c "read 0 4k" a'],
)
def test_what_it_does_not_know_it_says_so(line):
    with pytest.raises(NotSimulated):
        SimDom0().run(shlex.split(line))
