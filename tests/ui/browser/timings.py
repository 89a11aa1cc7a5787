"""
Measure the page: python -m tests.ui.browser.timings [FILE]. The figures go to standard output, or into a file, as JSON.

What the plugin adds to the start of Airflow's API server, and the pages to their first request; two hours of 20,000 words, and a batch of 100,000 files, in the Chromium of the tests; the server is their double, on this
machine. Times are milliseconds.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.ui.browser import samples
from tests.ui.browser.chromium import launched
from tests.ui.browser.double import STATIC, Double, running
from tests.ui.browser.sound import hum

WORDS = 20_000
FILES = 100_000
PAINTS = 5
CLICKS = 20
LISTENED = 60  # seconds
STARTS = 5

# In a process that has loaded all of Airflow's API server, and nothing of the provider.
_STARTED = """
import sys, time
from airflow.api_fastapi.app import create_app
create_app(apps="core")
for name in [name for name in sys.modules if name.startswith("airflow_provider_laplas")]:
    del sys.modules[name]
begun = time.perf_counter()
import airflow_provider_laplas.plugin
loaded = time.perf_counter()
import airflow_provider_laplas.ui.app
print((loaded - begun) * 1000, (time.perf_counter() - loaded) * 1000)
"""

_PAINTED = """
  const selector = SELECTOR;
  const frame = () => {
    if (!document.querySelector(selector)) return requestAnimationFrame(frame);
    requestAnimationFrame(() => requestAnimationFrame(() => { window.painted = performance.now(); }));
  };
  requestAnimationFrame(frame);
"""

_MARKS = """() => {
  const audio = document.querySelector('audio');
  window.marks = [];
  new MutationObserver((changes) => {
    for (const { target } of changes) {
      if (target.hasAttribute('aria-current')) window.marks.push([target.index, audio.currentTime]);
    }
  }).observe(document.querySelector('.text'), { subtree: true, attributeFilter: ['aria-current'] });
}"""

_CLICKED = """() => {
  const audio = document.querySelector('audio');
  window.waits = [];
  let clicked = 0;
  document.addEventListener('click', () => { clicked = performance.now(); }, { capture: true });
  audio.addEventListener('playing', () => window.waits.push(performance.now() - clicked));
}"""


def _painted(browser: Browser, address: str, selector: str) -> Iterator[float]:
    for _ in range(PAINTS):
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.add_init_script(_PAINTED.replace("SELECTOR", json.dumps(selector)))
        page.goto(address)
        expect(page.locator(selector).first).to_be_visible()
        page.wait_for_timeout(500)
        yield page.evaluate("() => window.painted")
        page.close()


def _clicks(page: Page, starts: list[float]) -> list[float]:
    page.evaluate(_CLICKED)
    chance = random.Random(3)
    audio = page.locator("audio")
    for number in range(CLICKS):
        page.evaluate("at => { location.hash = `#t=${at}` }", chance.choice(starts))
        page.wait_for_timeout(300)
        page.locator("[aria-current=true] + .word").first.click()
        expect(audio).to_have_js_property("paused", False)
        while len(page.evaluate("() => window.waits")) <= number:
            page.wait_for_timeout(20)
        page.keyboard.press("k")
        expect(audio).to_have_js_property("paused", True)
    return page.evaluate("() => window.waits")[:CLICKS]


def _lags(page: Page, starts: list[float]) -> list[float]:
    page.evaluate("at => { location.hash = `#t=${at}` }", starts[len(starts) // 2])
    page.wait_for_timeout(500)
    page.evaluate(_MARKS)
    page.keyboard.press("k")
    page.wait_for_timeout(LISTENED * 1000)
    page.keyboard.press("k")
    return [(at - starts[index]) * 1000 for index, at in page.evaluate("() => window.marks")[1:]]


def _memory(browser: Browser, page: Page) -> dict[str, float]:
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    session.send("HeapProfiler.collectGarbage")
    metrics = {
        metric["name"]: metric["value"] for metric in session.send("Performance.getMetrics")["metrics"]
    }
    processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    resident = 0
    for process in processes:
        if process["type"] == "renderer":
            status = Path(f"/proc/{process['id']}/status").read_text()
            resident = max(resident, int(status.partition("VmRSS:")[2].split()[0]))
    return {
        "heap_mb": round(metrics["JSHeapUsedSize"] / 1e6, 1),
        "nodes": int(metrics["Nodes"]),
        "renderer_resident_mb": round(resident / 1e3, 1),
    }


def _server() -> dict[str, Any]:
    starts = []
    for _ in range(STARTS):
        with tempfile.TemporaryDirectory() as home:
            run = subprocess.run(
                [sys.executable, "-c", _STARTED],
                env=os.environ | {"AIRFLOW_HOME": home},
                capture_output=True,
                text=True,
                check=True,
            )
        starts.append([float(figure) for figure in run.stdout.splitlines()[-1].split()])
    plugin, pages = map(list, zip(*starts, strict=True))
    return {"plugin_ms": _spread(plugin), "first_request_ms": _spread(pages)}


def _spread(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "median": round(ordered[len(ordered) // 2], 1),
        "worst": round(ordered[-1], 1),
        "of": len(ordered),
    }


def _long(browser: Browser, double: Double, folder: Path) -> dict[str, Any]:
    said = samples.meeting(WORDS)
    starts = [word[1] for paragraph in said["paragraphs"] for word in paragraph["words"]]
    double.tasks["long"] = samples.finished(
        said, audio={"url": "api/audio?task_id=long", "type": "audio/mpeg"}
    )
    double.tasks["long"].recording = hum(folder / "long.mp3", said["duration"])
    figures: dict[str, Any] = {"words": len(starts), "seconds": round(said["duration"])}
    figures["first_paint_ms"] = _spread(list(_painted(browser, double.page("long"), ".text .word")))
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(double.page("long"))
    expect(page.locator(".text .word")).to_have_count(len(starts))
    figures["memory"] = _memory(browser, page)
    figures["click_to_playing_ms"] = _spread(_clicks(page, starts))
    figures["mark_late_ms"] = _spread(_lags(page, starts))
    page.close()
    return figures


def _batch(browser: Browser, double: Double) -> dict[str, Any]:
    double.tasks["batch"] = samples.batch(FILES)
    figures: dict[str, Any] = {"files": FILES}
    figures["first_table_ms"] = _spread(list(_painted(browser, double.page("batch"), "tbody tr + tr")))
    page = browser.new_page()
    double.tasks["batch"].task["refresh"] = 0.5
    sizes: dict[str, int] = {}
    page.on(
        "response",
        lambda response: sizes.update({response.url.split("?")[0].rsplit("/", 1)[1]: len(response.body())}),
    )
    page.goto(double.page("batch"))
    expect(page.locator("tbody tr")).to_have_count(100)
    figures["refresh_bytes"] = sizes["task"] + sizes["batch"]
    figures["page_of_files_bytes"] = sizes["files"]
    page.close()
    return figures


def measured() -> dict[str, Any]:
    """Measure all of it."""
    scripts = {script.name: script.stat().st_size for script in sorted(STATIC.glob("*.js"))}
    with tempfile.TemporaryDirectory() as folder, running() as double, sync_playwright() as playwright:
        browser = launched(playwright)
        figures = {
            "chromium": browser.version,
            "script_bytes": sum(scripts.values()),
            "api_server": _server(),
            "long_transcript": _long(browser, double, Path(folder)),
            "batch": _batch(browser, double),
        }
        browser.close()
    return figures


if __name__ == "__main__":
    shown = json.dumps(measured(), indent=2)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(shown + "\n")
    else:
        sys.stdout.write(shown + "\n")
