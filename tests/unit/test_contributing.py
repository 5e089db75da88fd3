"""What CONTRIBUTING.md and README.md tell people to use is there: paths, targets, commands of xenlab, quoted code."""

import re
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from xenlab.cli import app
from xenlab.hosts.sim.xl import COMMANDS

ROOT = Path(__file__).parents[2]
GUIDES = {name: (ROOT / name).read_text() for name in ("CONTRIBUTING.md", "README.md")}
#: What is written when somebody runs the thing, and is not kept.
MADE = {"bench/RESULTS.md", "artefacts/", "submissions/"}
FOLDERS = "xenlab|tests|chapters|labs|bench|artefacts|submissions|.ci"


def code(text):
    """All that stands in code: between backticks, and in fenced blocks."""
    fenced = re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    rest = re.sub(r"^ *```\w*\n.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    return [*fenced, *re.findall(r"`([^`\n]+)`", rest)]


@pytest.mark.parametrize("guide", GUIDES)
def test_every_path_is_there(guide):
    text = "\n".join(code(GUIDES[guide]))
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", GUIDES[guide])
    paths = {*re.findall(rf"(?<![\w/.-])(?:{FOLDERS})/[\w./-]*\w/?|pyproject\.toml", text), *links} - MADE
    paths = {path for path in paths if "NN" not in path}
    assert len(paths) >= 2
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("guide", GUIDES)
def test_every_make_target_is_there(guide):
    targets = set(re.findall(r"\bmake ([a-z-]+)", "\n".join(code(GUIDES[guide]))))
    assert len(targets) >= 4
    makefile = (ROOT / "Makefile").read_text()
    assert {target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)} == set()


@pytest.mark.parametrize("guide", GUIDES)
def test_every_command_of_xenlab_is_there(guide):
    known = get_command(app).commands
    said = re.findall(
        r"(?<!import )(?<![\w/.-])xenlab ([a-z]+)(?: ([a-z]+))?", "\n".join(code(GUIDES[guide]))
    )
    assert said
    for command, below in said:
        assert command in known, command
        if command == "box":
            assert below in known["box"].commands, below


def test_the_worked_example_is_the_code_that_is_there():
    text = GUIDES["CONTRIBUTING.md"]
    function = re.search(r"```python\n(.*?)…", text, re.DOTALL)[1]
    lines = [line.removeprefix("   ").rstrip() for line in function.rstrip().splitlines()]
    assert "\n".join(lines) in (ROOT / "xenlab/hosts/sim/xl/info.py").read_text()
    usage = re.search(r"```toml\n(.*?)```", text, re.DOTALL)[1]
    table = "\n".join(line.strip() for line in usage.strip().splitlines())
    assert table in (ROOT / "xenlab/hosts/sim/xl/usage.toml").read_text()
    assert "domname" in COMMANDS
    rows = (ROOT / "tests/contract/commands.txt").read_text().splitlines()
    assert {"xl domname 0", "xl domname 4096", "xl domname web"} <= set(rows)


def test_the_recorded_commands_are_what_make_compare_runs():
    dry = subprocess.run(
        ["make", "--dry-run", "compare"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "tests/contract/*.txt" in dry.stdout
    assert list((ROOT / "tests/contract").glob("*.txt"))
