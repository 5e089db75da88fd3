"""The theme in a page of its own: it follows the system's light or dark, and in JupyterLab the reader's choice."""

import pytest

from xenlab.ui.widget import source

PAGE = (
    f"<style>{source('theme.css')}</style><div class='xl'>A widget <button class='main'>Play</button></div>"
)
LOOK = """() => ['.xl', '.xl button.main'].map((name) => {
  const { color, backgroundColor } = getComputedStyle(document.querySelector(name));
  return [color, backgroundColor];
})"""
LIGHT = [["rgb(31, 35, 40)", "rgb(255, 255, 255)"], ["rgb(255, 255, 255)", "rgb(0, 114, 178)"]]
DARK = [["rgb(230, 230, 230)", "rgb(22, 25, 29)"], ["rgb(16, 21, 26)", "rgb(86, 180, 233)"]]


@pytest.mark.parametrize(("scheme", "look"), [("light", LIGHT), ("dark", DARK)])
def test_a_page_without_a_theme_takes_the_systems(chromium, scheme, look):
    page = chromium.new_page()
    page.emulate_media(color_scheme=scheme)
    page.set_content(PAGE)
    assert page.evaluate(LOOK) == look
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_jupyterlab_the_readers_choice_counts_and_not_the_systems(chromium, scheme):
    page = chromium.new_page()
    page.emulate_media(color_scheme=scheme)
    page.set_content(f"<body data-jp-theme-light='true'>{PAGE}</body>")
    assert page.evaluate(LOOK) == LIGHT
    page.evaluate("document.body.dataset.jpThemeLight = 'false'")
    (_, _), button = page.evaluate(LOOK)
    assert button == DARK[1]
    page.close()
