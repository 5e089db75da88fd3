"""The ``xenlab`` command: what it prints and its exit status, right and wrong."""

import pytest
from typer.testing import CliRunner

from xenlab.cli import app


@pytest.fixture
def xenlab(monkeypatch, tmp_path):
    """Run the command in a place without boxes and images."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("XENLAB_BOX", raising=False)
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


def test_two_hosts_that_answer_alike_give_status_0(xenlab, tmp_path):
    rows = tmp_path / "rows.txt"
    rows.write_text("xl list\nxl domid nobody  # a mistake is an answer, too\n")
    done = xenlab("compare", rows, "--left", "sim", "--right", "sim")
    assert done.exit_code == 0
    assert "0 rows differ between sim and sim" in done.output


def test_a_row_that_is_not_well_formed_is_refused_before_anything_runs(xenlab, tmp_path):
    rows = tmp_path / "rows.txt"
    rows.write_text("xl list\nwait\n")
    done = xenlab("compare", rows, "--left", "sim", "--right", "sim")
    assert done.exit_code == 1
    assert "row 2: wait: the forms are put FILE PATH, wait SECONDS" in done.output


def test_status_without_an_image_says_how_to_build_one(xenlab):
    done = xenlab("box", "status")
    assert done.exit_code == 1
    assert "run `xenlab box build`" in done.output


@pytest.mark.parametrize("command", ["ssh", "down", "reset"])
def test_a_box_that_is_not_running_is_named(xenlab, command):
    done = xenlab("box", command, "nowhere")
    assert done.exit_code == 1
    assert "nowhere" in done.output
    assert "Traceback" not in done.output


def test_the_book_is_missed_where_it_is_not(xenlab):
    done = xenlab("lab", "--no-browser")
    assert done.exit_code == 1
    assert "chapters/00_start_here.ipynb is missing; run this in a clone of xenlab" in done.output
