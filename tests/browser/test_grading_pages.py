"""What an instructor and a student read after grading, in Chromium: readable by all, on a phone, in both themes."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from xenlab.grading.report import report
from xenlab.grading.results import CheckResult, Result, State, TaskResult
from xenlab.grading.store import Entry, Store


@pytest.fixture(scope="module")
def graded(tmp_path_factory) -> Path:
    """A class of which each student's tasks end in another way."""
    folder = tmp_path_factory.mktemp("graded")
    store = Store(folder)
    store.begin("16_scheduling", [str(state) for state in State])
    for state in State:
        checks = tuple(
            CheckResult(f"c{at}", at > 0, state, 0, 2, "expected 1\ngot      2\nHint: count")
            for at in range(3)
        )
        tasks = tuple(TaskResult(name, state, checks) for name in ("grants", "measure", "promise"))
        problem = "it is not a notebook" if state is State.SKIPPED else None
        result = Result(
            str(state), "16_scheduling", "00" * 32, tasks, ("handed in late",), problem, 0.5, "NO SANDBOX"
        )
        store.put(str(state), "key", Entry(result, f"Student {state}", "moodle", "7", "lab.ipynb"))
    report(folder)
    return folder


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["report.html", "feedback/fail.html", "feedback/skipped.html"])
def test_a_page_is_read_by_everybody(chromium, graded: Path, name: str, theme: str) -> None:
    page = chromium.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.set_viewport_size({"width": 375, "height": 800})
    page.emulate_media(color_scheme=theme)
    page.goto((graded / name).as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    assert [each["id"] for each in Axe().run(page).response["violations"]] == []
    assert said == []
    page.close()
