"""Light and dark, as Airflow is."""

from playwright.sync_api import expect

ROOT = ":root"


def test_the_page_is_light_or_dark_as_airflow_around_it_and_changes_with_it(page, double):
    page.emulate_media(color_scheme="light")
    page.goto(double.around("waiting", theme="dark"))
    root = page.frame_locator("iframe").locator(ROOT)
    expect(root).to_have_attribute("data-theme", "dark")
    expect(root).to_have_css("color-scheme", "dark")
    page.evaluate("() => { document.documentElement.className = 'light' }")
    expect(root).to_have_attribute("data-theme", "light")


def test_alone_it_is_as_airflow_was_last_seen(page, double):
    page.emulate_media(color_scheme="light")
    page.goto(double.page("waiting"))
    page.evaluate("() => localStorage.setItem('theme', 'dark')")
    page.reload()
    expect(page.locator(ROOT)).to_have_attribute("data-theme", "dark")


def test_without_a_word_of_airflow_it_is_as_the_system_is_and_changes_with_it(page, double):
    page.emulate_media(color_scheme="dark")
    page.goto(double.page("waiting"))
    expect(page.locator(ROOT)).to_have_attribute("data-theme", "dark")
    page.emulate_media(color_scheme="light")
    expect(page.locator(ROOT)).to_have_attribute("data-theme", "light")
