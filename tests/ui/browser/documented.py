"""
Draw the pictures of the documentation: python -m tests.ui.browser.documented FOLDER.

One is of a real Airflow, all others are some of the views of :mod:`tests.ui.browser.screenshots`.
"""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import av
from av.filter import Graph
from playwright.sync_api import Browser, expect, sync_playwright

from airflow_stack.stack import AirflowStack
from tests.fake_api import FakeAPI
from tests.paths import ROOT
from tests.patience import PATIENCE
from tests.ui.browser import samples
from tests.ui.browser.chromium import launched
from tests.ui.browser.double import running
from tests.ui.browser.screenshots import MEETING, draw_view, script
from tests.ui.browser.sound import hum

WINDOW = {"width": 1280, "height": 800}
INSIDE = "in-airflow"

PICTURES = {
    INSIDE: "The tab of a task that has finished",
    "finished-light": "A transcript with its speakers; the marked word is the one that is spoken",
    "read-dark": "The same, dark: a phrase that was found, and how sure the model was of each word",
    "batch-light": "A batch at work, and its files",
    "failed-light": "A task that has failed: what happened, what to do, and what a Clear would do",
    "search-light": 'The page "Transcripts": a phrase in all transcripts',
}
"""The name of each, and what it shows."""

HEIGHTS = {"failed-light": 540, "search-light": 560}
"""Pixels of those that are not as high as a window."""


def main(folder: Path) -> None:
    """Draw all of them into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    meeting = samples.meeting(MEETING)
    with tempfile.TemporaryDirectory() as drawn, sync_playwright() as playwright:
        recording = hum(Path(drawn) / "weekly-meeting.mp3", meeting["duration"])
        browser = launched(playwright)
        with running() as double:
            script(double, recording)
            for name in PICTURES.keys() - {INSIDE}:
                draw_view(browser, double, Path(drawn), *name.split("-"), height=HEIGHTS.get(name, 0))
        _inside(browser, meeting, recording, Path(drawn) / f"{INSIDE}.png")
        browser.close()
        for name in PICTURES:
            shrink(Path(drawn) / f"{name}.png", folder / f"{name}.png")


def shrink(picture: Path, smaller: Path) -> None:
    """Write a picture with a palette of its own in place of true colours."""
    with av.open(str(picture)) as container:
        frame = next(container.decode(video=0))
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    both = graph.add("split")
    palette = graph.add("palettegen", "max_colors=255:reserve_transparent=0")
    use = graph.add("paletteuse", "dither=none")
    sink = graph.add("buffersink")
    source.link_to(both)
    both.link_to(use, 0, 0)
    both.link_to(palette, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    graph.push(frame)
    graph.push(None)
    with av.open(str(smaller), "w", format="image2", options={"update": "1"}) as container:
        stream = container.add_stream("png", rate=1, options={"compression_level": "9", "pred": "none"})
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "pal8"
        container.mux(stream.encode(graph.pull()))
        container.mux(stream.encode(None))


def _reply(meeting: dict[str, Any]) -> dict[str, Any]:
    """Return what the API would answer with a transcript of the pages."""
    voices = list(dict.fromkeys(paragraph["speaker"] for paragraph in meeting["paragraphs"]))
    words = [
        {
            "word": text,
            "punctuated_word": text,
            "start": start,
            "end": end,
            "confidence": confidence,
            "speaker": voices.index(paragraph["speaker"]),
        }
        for paragraph in meeting["paragraphs"]
        for text, start, end, confidence, _ in paragraph["words"]
    ]
    alternative = {"transcript": meeting["text"], "confidence": 0.93, "words": words}
    return {
        "status": "completed",
        "result": {
            "metadata": {
                "duration": meeting["duration"],
                "channels": 1,
                "models": ["m1"],
                "model_info": {"m1": {"name": "whisper-medium", "version": "1", "arch": "whisper"}},
            },
            "results": {"channels": [{"alternatives": [alternative], "detected_language": "en"}]},
        },
    }


def _inside(browser: Browser, meeting: dict[str, Any], recording: Path, picture: Path) -> None:
    """Have a real Airflow transcribe the recording, and draw the tab in its UI."""
    with tempfile.TemporaryDirectory() as folder, FakeAPI() as api:
        api.default_reply = _reply(meeting)
        shutil.copy(recording, folder)
        dags = Path(folder) / "dags"
        dags.mkdir()
        shutil.copy(ROOT / "tests" / "ui" / "dags" / "meetings.py", dags)
        environment = {
            "PYTHONPATH": str(ROOT),
            "MEETINGS_FOLDER": folder,
            "AIRFLOW_CONN_LAPLAS_DEFAULT": api.connection(price_per_minute=0.006),
        }
        with AirflowStack(dags, environment=environment) as stack:
            run_id = stack.trigger("meetings", run_id="monday")
            stack.await_success("meetings", run_id, PATIENCE)
            page = browser.new_page(viewport=WINDOW, color_scheme="light", reduced_motion="reduce")
            page.set_default_timeout(PATIENCE * 1000)
            page.goto(f"{stack.base_url}/dags/meetings/runs/{run_id}/tasks/transcribe")
            page.get_by_role("link", name="Transcript", exact=True).click()
            frame = page.frame_locator("iframe[title=Transcript]")
            frame.locator(".word", has_text="Tuesday,").first.click()
            expect(frame.locator("audio")).to_have_js_property("paused", False, timeout=PATIENCE * 1000)
            frame.get_by_role("button", name="Pause").click()
            page.mouse.move(640, 40)
            page.screenshot(path=picture)
            page.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
