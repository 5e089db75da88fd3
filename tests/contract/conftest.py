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


@pytest.fixture(autouse=True)
def guests_end_with_their_test(request):
    """What a test that fails leaves running would take the memory of those after it; wider fixtures' guests stay."""
    name = next((name for name in ("host", "box", "sim") if name in request.fixturenames), None)
    if name is None:
        yield
        return
    used = request.getfixturevalue(name)
    before = set(used.domains().index)
    yield
    for left in set(used.domains().index) - before:
        used.run(["xl", "destroy", left], check=False)  # it may be gone by now


@pytest.fixture(scope="session")
def guest(host):
    """A guest that counts, running for the whole session; tests that change it put it back."""
    domain = host.create(name="web", workload="counter")
    domain.wait_for("counter 1", 120)
    return domain
