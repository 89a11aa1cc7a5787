"""
Draw every view of the page, light and dark, and in a small window: python -m tests.ui.browser.screenshots FOLDER.

The answers are those of the tests, and the times in them are of now.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from airflow_provider_laplas.ui import wording
from tests.paths import JFK_MP3
from tests.ui.browser import samples
from tests.ui.browser.chromium import launched
from tests.ui.browser.double import Double, running
from tests.ui.browser.sound import hum

FAILURE = "LaplasGenerationFailedError"
FINDINGS = ["The mean confidence is 0.93, under the 0.95 that is asked for."]
FACTS: list[list[str | float]] = [
    ["Model", "whisper-medium"],
    ["Language", "en"],
    ["Length", "0:11:27"],
    ["Confidence", "93%"],
    ["Generation", "5f3b6c1e-8f0e-4c8e-9a57-0f4c2f0d6a11"],
    ["Ended", 1_795_894_930.0],
    ["Estimated cost", "0.0687"],
    ["Stored in", "s3://transcripts/weekly/weekly-meeting.json"],
]
MEETING = 1800  # words
WINDOWS = {"": (1280, 800), "-small": (320, 640)}


def _nothing(page: Page) -> None:
    pass


def _read(page: Page) -> None:
    page.get_by_role("switch", name="Confidence").click()
    page.get_by_label("Find in the transcript").fill("the recorder")
    expect(page.locator(".find output")).to_have_text("1 of 18")
    page.locator("h1").focus()


def _looked_for(page: Page) -> None:
    page.get_by_label("State").select_option("failed")
    expect(page.locator("tbody tr").first).to_contain_text("failed")


VIEWS: dict[str, tuple[str, Callable[[Page], None]]] = {
    "finished": ("finished#t=11.2", _nothing),
    "read": ("finished", _read),
    "silent": ("silent", _nothing),
    "waiting": ("waiting", _nothing),
    "failed": ("failed", _nothing),
    "batch": ("batch", _nothing),
    "batch-failed-files": ("batch", _looked_for),
    "batch-file": ("batch#file=calls/2026-11/000/call-000000.mp3-5f3b6c1e.json", _nothing),
    "other": ("other", _nothing),
    "gone": ("gone", _nothing),
    "search": ("search?q=country", _nothing),
    "search-unset": ("search?q=unset", _nothing),
}
"""What is opened, and what is done there."""


def _after_clear(state: str, error: str | None) -> str:
    return wording.after_clear("transcript", state, error, sensor=False, in_xcom=False)


def script(double: Double, recording: Path = JFK_MP3) -> None:
    """Give a double the answers for all of the views, and a recording for the long one."""
    meeting = samples.meeting(MEETING)
    summary = {
        "model": "whisper-medium",
        "language": "en",
        "duration": meeting["duration"],
        "confidence": 0.93,
    }
    about = {
        "source": "s3://recordings/2026-11/weekly-meeting.mp3",
        "summary": summary,
        "facts": FACTS,
        "findings": FINDINGS,
    }
    double.tasks = {
        "finished": samples.finished(meeting, **about),
        "silent": samples.finished(meeting, **about | {"audio": None, "no_audio": wording.SIGNED}),
        "waiting": samples.waiting(after_clear=_after_clear("waiting", None)),
        "failed": samples.failed(
            error={
                "message": f"The API could not transcribe generation {FACTS[4][1]}: the file could not be fetched. "
                "Correct what the reason names, and clear the task that submitted it: that submits again.",
                "advice": wording.ADVICE[FAILURE],
            },
            after_clear=_after_clear("failed", FAILURE),
        ),
        "batch": samples.batch(100_000),
        "other": samples.Answers(samples.task("none", "none")),
    }
    how = "Set `[laplas] transcripts_conn_id` of the API server to the connection of your transcripts' database."
    unset = {"configured": False, "how": how, "hits": []}
    first = double.tasks["batch"].files[0]
    of_file = {
        "source": first["source"],
        "summary": summary | {"duration": 11.0},
        "facts": samples.FACTS[:5],
        "findings": [],
    }
    audio = {"audio": {"url": "api/audio?task_id=batch", "type": "audio/mpeg"}, "no_audio": None}
    double.tasks["batch"].by_file[first["output"]] |= of_file | audio
    double.tasks["finished"].recording = recording
    double.search = lambda phrase, page: unset if phrase == "unset" else samples.search(phrase, page)


def address(double: Double, target: str) -> str:
    """Return the address of a view."""
    if target.startswith("search"):
        return f"{double.url}/laplas/{target}"
    task_id, _, fragment = target.partition("#")
    return double.page(task_id, fragment and f"#{fragment}")


def draw(browser: Browser, double: Double, folder: Path) -> None:
    """Draw all of the views into a folder."""
    for view in VIEWS:
        for scheme in ("light", "dark"):
            for suffix in WINDOWS:
                draw_view(browser, double, folder, view, scheme, suffix)


def draw_view(
    browser: Browser, double: Double, folder: Path, view: str, scheme: str, suffix: str = "", height: int = 0
) -> None:
    """
    Draw a view into a folder: ``finished-dark-small.png``.

    :param height: of the window, in place of its own
    """
    target, act = VIEWS[view]
    width, own_height = WINDOWS[suffix]
    page = browser.new_page(
        viewport={"width": width, "height": height or own_height},
        color_scheme=scheme,
        reduced_motion="reduce",
        locale="en-GB",
    )
    page.goto(address(double, target))
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")
    if "batch" in target and "file=" not in target:
        expect(page.locator("tbody tr")).to_have_count(100)
    act(page)
    # What was scrolled to is not painted at once.
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.screenshot(path=folder / f"{view}-{scheme}{suffix}.png")
    page.close()


def main(folder: Path) -> None:
    """Draw all of the views into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as sounds, running() as double, sync_playwright() as playwright:
        script(double, hum(Path(sounds) / "meeting.mp3", samples.meeting(MEETING)["duration"]))
        browser = launched(playwright)
        draw(browser, double, folder)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
