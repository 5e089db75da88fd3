"""A lab under a student's hands: it runs as it was given out, and the check button says what is still to do."""

import re

import pytest
from playwright.sync_api import expect

#: Make the cell with the check button the active one.
TO_THE_BUTTON = """() => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  const isIt = (cell) => cell.model.sharedModel.source.includes('CheckButton(');
  notebook.activeCellIndex = notebook.widgets.findIndex(isIt);
}"""


@pytest.mark.parametrize("name", ["02_concepts", "10_domains"])
def test_the_check_button_runs_the_public_checks_of_the_notebook_as_it_is_saved(reader, name):
    reader.open(f"labs/{name}/{name}.ipynb")
    reader.page.evaluate(TO_THE_BUTTON)
    reader.command("notebook:run-cell")
    button = reader.page.locator("button.jupyter-button", has_text="Check")
    button.scroll_into_view_if_needed()
    button.click()
    said = reader.page.locator(".jp-OutputArea [role='status']", has_text=f"{name}: ")
    expect(said).to_contain_text(re.compile(r"0 of \d+(\.\d)? points"), timeout=60_000)
    expect(said).to_contain_text("expected")
    expect(said).to_contain_text("Hint:")
    assert reader.complaints == []
    for theme in ("Light", "Dark"):
        reader.theme(theme)
        reader.screenshot(f"lab-{name}-{theme}", said)
    reader.walk(f"lab-{name}")
