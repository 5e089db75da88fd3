"""What may be wished for a domain, and what a wrong wish says."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenlab.domains.config import BadConfig, DomainConfig, name_in


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"memory": 8}, "memory(=8) must be at least 16 MiB"),
        ({"maxmem": 64}, "maxmem(=64) must be at least memory(=128) MiB"),
        ({"vcpus": 0}, "vcpus(=0) must be 1 to 32"),
        ({"type": "hvm"}, "type(='hvm') must be 'pv' or 'pvh'"),
        (
            {"workload": "mine"},
            "workload(='mine') must be one of idle, burn, dirty:MiB-per-s, disk, counter, clock, meminfo, ping, "
            "ping:ADDRESS",
        ),
        ({"name": "a b"}, "name(='a b') must be letters, digits"),
        ({"name": "7"}, "name(='7') must not be a number"),
    ],
)
def test_a_wrong_wish_is_refused_with_value_rule_and_way_out(wish, message):
    with pytest.raises(BadConfig, match=re.escape(message)):
        DomainConfig(**{"name": "web", **wish})


@given(
    st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True),
    st.integers(16, 4096),
    st.lists(st.sampled_from(["phy:/dev/vg/a,,xvda,w", "bridge=xenbr0"]), max_size=3),
)
def test_every_line_of_the_file_is_a_key_and_a_value_that_reads_back(name, memory, disks):
    lines = DomainConfig(name, memory, disks=disks).text().splitlines()
    values = {key: json.loads(value) for key, value in (line.split(" = ", 1) for line in lines)}
    assert values["name"] == name_in("\n".join(lines)) == name
    assert values["memory"] == memory
    assert values.get("disk", []) == disks


def test_a_file_without_a_name_is_refused():
    with pytest.raises(BadConfig, match='add a line such as name = "web"'):
        name_in("memory = 64")
