"""JupyterLab, Chromium and somebody who reads: what the browser tests stand on."""

import pytest
from playwright.sync_api import expect

from tests.browser.jupyter import Reader, browse, serve

# Every test says what it waits for; how long that may take is the machine's affair (5 s unless told).
expect.set_options(timeout=30_000)


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """JupyterLab over a copy of the chapters; ends with the tests."""
    with serve(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """Debian's Chromium with a profile of its own."""
    with browse(tmp_path_factory.mktemp("chromium")) as context:
        yield context


@pytest.fixture(scope="module")
def new_reader(chromium, lab):
    """Makes readers, each with a tab of their own, which closes with the module."""
    pages = []

    def make():
        pages.append(chromium.new_page())
        return Reader(pages[-1], lab)

    yield make
    for page in pages:
        page.close()


@pytest.fixture
def reader(new_reader):
    """A reader with a fresh tab."""
    return new_reader()
