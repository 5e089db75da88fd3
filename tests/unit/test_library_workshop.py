"""Libraries built and preloaded for real: what programs believe, who is not fooled, and what is said when it fails."""

import sys

import pytest

from xenlab.commands import CommandFailed, XenlabError
from xenlab.library import workshop
from xenlab.library.costs import measure
from xenlab.library.workshop import NoCompiler, Workshop


@pytest.fixture(scope="module")
def shop():
    with Workshop() as shop:
        yield shop


@pytest.fixture(scope="module")
def clock(shop):
    return shop.build("clock")


@pytest.mark.parametrize(("seconds", "year"), [("0", "1970"), ("1065052800", "2003"), ("4102444800", "2100")])
def test_date_believes_the_library(shop, clock, seconds, year):
    assert shop.run(["date", "-u", "+%Y"], [clock], XENLAB_TIME=seconds).stdout == f"{year}\n"


def test_a_program_that_asks_the_kernel_itself_is_not_fooled(shop, clock):
    ask = "import ctypes; libc = ctypes.CDLL(None); print(libc.time(None), libc.syscall(201, None))"
    told, real = map(int, shop.run([sys.executable, "-c", ask], [clock], XENLAB_TIME="7").stdout.split())
    assert told == 7
    assert real > 1_700_000_000


def test_files_come_from_the_root_if_they_are_there_and_from_the_system_if_not(shop):
    files, root = shop.build("files"), shop.path / "elsewhere"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "hostname").write_text("ours\n")
    assert shop.run(["cat", "/etc/hostname"], [files], XENLAB_ROOT=str(root)).stdout == "ours\n"
    assert shop.run(["cat", "/proc/version"], [files], XENLAB_ROOT=str(root)).stdout.startswith(
        "Linux version"
    )
    new = shop.path / "new"
    script = "import os, sys; os.close(os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY, 0o640))"
    shop.run([sys.executable, "-c", script, str(new)], [files], XENLAB_ROOT=str(root))
    assert new.stat().st_mode & 0o777 == 0o640, "the third argument goes through"


def test_a_source_that_does_not_compile_shows_the_compilers_words(shop):
    with pytest.raises(CommandFailed, match=r"cc -O2 [\s\S]*error:"):
        shop.build("broken", "long f(void) { return }\n")


def test_without_a_compiler_it_says_how_to_get_one(shop, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NoCompiler, match="sudo apt-get install gcc libc6-dev"):
        shop.build("clock")


def test_a_program_that_does_not_end_is_ended(shop, monkeypatch):
    monkeypatch.setattr(workshop, "DEADLINE", 0.2)
    with pytest.raises(XenlabError, match="'sleep' must end within"):
        shop.run(["sleep", "30"])


def test_a_workshop_leaves_nothing():
    with Workshop() as shop:
        shop.build("answer")
        folder = shop.path
    assert not folder.exists()


def test_costs_are_measured_in_the_order_that_the_processor_dictates(shop):
    function, passed_on, system_call, traced = (cost.nanoseconds for cost in measure(shop))
    assert 0 < function < system_call < traced
    assert passed_on < system_call
