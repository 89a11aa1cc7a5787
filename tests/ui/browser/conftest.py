"""A real Chromium, and a double of the page's server."""

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.patience import PATIENCE
from tests.ui.browser import samples
from tests.ui.browser.chromium import launched
from tests.ui.browser.double import Double, running

MILLISECONDS = PATIENCE * 1000

expect.set_options(timeout=MILLISECONDS)


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        browser = launched(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server():
    with running() as double:
        yield double


@pytest.fixture
def double(server: Double) -> Double:
    server.tasks = {
        "finished": samples.finished(),
        "waiting": samples.waiting(),
        "failed": samples.failed(),
        "batch": samples.batch(),
        "hostile": samples.hostile(),
        "other": samples.Answers(samples.task("none", "none")),
    }
    server.search = samples.search
    server.asked.clear()
    return server


@pytest.fixture
def page(browser: Browser):
    """A page that fails the test where anything in it went wrong, unnoticed."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 800}, permissions=["clipboard-read", "clipboard-write"]
    )
    context.set_default_timeout(MILLISECONDS)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("console", lambda message: message.type == "error" and wrong.append(f"console: {message.text}"))
    yield page
    context.close()
    # What the server refused is said in the console, too, and is what some tests are about.
    assert [text for text in wrong if "Failed to load resource" not in text] == []


@pytest.fixture
def quiet(page: Page) -> Page:
    page.emulate_media(reduced_motion="reduce")
    return page
