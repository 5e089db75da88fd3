"""One host of each kind for the whole run: the same tests hold the simulator and a real Xen to the same contract."""

import pytest

import xenlab


@pytest.fixture(scope="session")
def sim():
    with xenlab.connect("sim") as host:
        yield host


@pytest.fixture(scope="session")
def box():
    """A real Xen; without an image or QEMU this fails, and so do the tests that need it."""
    with xenlab.connect("box") as host:
        yield host


@pytest.fixture(scope="session", params=["sim", pytest.param("box", marks=pytest.mark.box)])
def host(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def guest(host):
    """A guest that counts, running for the whole session; tests that change it put it back."""
    domain = host.create(name="web", workload="counter")
    domain.wait_for("counter 1", 120)
    return domain
