"""axe-core on every view, light and dark: nothing serious, nothing critical."""

import json

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.ui.browser.screenshots import VIEWS, address, script

SMALL = {"width": 320, "height": 640}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_serious(page, double, view, scheme):
    script(double)
    target, act = VIEWS[view]
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.goto(address(double, target))
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")
    act(page)
    found = Axe().run(page).response["violations"]
    serious = [
        (rule["id"], [node["html"][:200] for node in rule["nodes"]][:3])
        for rule in found
        if rule["impact"] in {"serious", "critical"}
    ]
    assert serious == [], json.dumps(serious, indent=2)


@pytest.mark.parametrize("view", VIEWS)
def test_the_smallest_window_is_read_without_scrolling_sideways(page, double, view):
    script(double)
    target, act = VIEWS[view]
    page.set_viewport_size(SMALL)
    page.goto(address(double, target))
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")
    act(page)
    assert page.evaluate("() => document.documentElement.scrollWidth") == SMALL["width"]
