"""The pages in Airflow's own UI: a real Airflow, a real Chromium, and people who sign in at Airflow's own page."""

import json
import re
import sys
from urllib.parse import quote, urlencode

import pytest
import requests
from airflow.providers.sqlite.hooks.sqlite import SqliteHook
from playwright.sync_api import FrameLocator, Page, Response, expect

from airflow_provider_laplas import sql
from airflow_provider_laplas.manifest import Manifest
from airflow_provider_laplas.results import load_transcript
from airflow_provider_laplas.sql import TranscriptRow
from airflow_stack.processes import Program, await_condition, end, free_port
from tests.patience import PATIENCE
from tests.ui.real_airflow import airflow_with_pages, passwords_of, run_pages

pytestmark = pytest.mark.airflow

SAID = "This is where it began. Ask not what your country can do."
WORDS = len(SAID.split())
PATH = "/below/a/path"
CONN_ID = "transcripts_db"
FORBIDDEN = (403, '{"detail":"Forbidden"}')

# The console tells them as well, but not always as errors.
VIOLATIONS = """addEventListener("securitypolicyviolation", (event) => {
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI} in ${event.documentURI}`);
})"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("inside")


@pytest.fixture(scope="module")
def database(folder):
    """The environment of the database that is searched."""
    connection = {"conn_type": "sqlite", "host": str(folder / "transcripts.db")}
    return {
        "AIRFLOW_CONN_TRANSCRIPTS_DB": json.dumps(connection),
        "AIRFLOW__LAPLAS__TRANSCRIPTS_CONN_ID": CONN_ID,
    }


@pytest.fixture(scope="module")
def stack(folder, database):
    with airflow_with_pages(folder, SAID, database) as running:
        yield running


@pytest.fixture(scope="module")
def runs(stack, database):
    """Run the DAGs, and load into the database what they have transcribed."""
    found = run_pages(stack)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in database.items():
            patch.setenv(name, value)
        hook = SqliteHook(sqlite_conn_id=CONN_ID)
        sql.create_tables(hook)
        for dag_id in ("public_pages", "private_pages"):
            result = stack.xcom(dag_id, found[dag_id], "done")["result"]
            sql.load(hook, [TranscriptRow(result, f"/in/{dag_id}.mp3", load_transcript(result))])
            manifest = stack.xcom(dag_id, found[dag_id], "batch")["manifest"]
            sql.load_batch(hook, Manifest.load(manifest))
    return found


@pytest.fixture(scope="module")
def below_a_path(stack):
    """Start a second API server of the same Airflow, mounted below a path, and return its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}{PATH}"
    server = Program(
        "airflow api-server below a path",
        [sys.executable, "-m", "airflow", "api-server", "--port", str(port)],
        log=stack.home / "api-server-below-a-path.log",
        environment=stack.environment | {"AIRFLOW__API__BASE_URL": url},
        folder=stack.home,
    )

    def answers():
        try:
            return requests.get(f"{url}/api/v2/version", timeout=10).ok
        except requests.RequestException:
            return False

    server.start()
    try:
        await_condition(answers, what="the second API server", programs=[server])
        yield url
    finally:
        end([server])


class Visitor:
    """
    Somebody at Airflow's UI.

    :ivar answers: what the pages' application has answered
    :ivar wrong: errors of the pages
    """

    def __init__(self, page: Page, url: str, runs: dict[str, str]) -> None:
        self.page = page
        self.url = url
        self._runs = runs
        self.answers: list[Response] = []
        self.wrong: list[str] = []
        page.add_init_script(VIOLATIONS)
        page.on("response", lambda answer: "/laplas/" in answer.url and self.answers.append(answer))
        page.on("pageerror", lambda error: "/laplas/" in str(error.stack) and self.wrong.append(str(error)))
        page.on("console", self._listen)

    def _listen(self, message):
        ours = "/laplas/" in message.location["url"] or "/laplas/" in message.text
        if message.type == "error" and ours:
            self.wrong.append(message.text)

    def sign_in(self, name: str, password: str) -> None:
        self.page.goto(f"{self.url}/")
        self.page.get_by_label("Username").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("button", name="Browse")).to_be_visible()

    def open_tab(self, dag_id: str, task_id: str) -> FrameLocator:
        """Open a task instance's page, click the tab, and return what it shows."""
        run_id = quote(self._runs[dag_id], safe=":+")
        self.page.goto(f"{self.url}/dags/{dag_id}/runs/{run_id}/tasks/{task_id}")
        self.page.get_by_role("link", name="Transcript", exact=True).click()
        return self.page.frame_locator("iframe[title=Transcript]")

    def search(self, phrase: str) -> FrameLocator:
        """Go to the page of the navigation, search there, and return what it shows."""
        self.page.get_by_role("button", name="Browse").click()
        self.page.get_by_role("menuitem", name="Transcripts").click()
        frame = self.page.frame_locator("iframe[title=Transcripts]")
        frame.get_by_label("Search in all transcripts").fill(phrase)
        frame.get_by_role("button", name="Search").click()
        return frame

    def address(self, dag_id: str, task_id: str) -> str:
        """Return the address of a task's page without Airflow around it."""
        query = {"dag_id": dag_id, "run_id": self._runs[dag_id], "task_id": task_id, "map_index": -1}
        return f"{self.url}/laplas/page?{urlencode(query)}"

    def data(self) -> list[Response]:
        """Return the answers that could hold data."""
        return [answer for answer in self.answers if "/laplas/api/" in answer.url]


@pytest.fixture
def visit(browser, stack, runs):
    """Return a function that signs somebody in. At the end, nothing must have gone wrong in the pages."""
    visitors, passwords = [], passwords_of(stack)

    def visit(name="reader", url=stack.base_url):
        context = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme="light")
        context.set_default_timeout(PATIENCE * 1000)
        visitor = Visitor(context.new_page(), url, runs)
        visitors.append(visitor)
        visitor.sign_in(name, passwords[name])
        return visitor

    yield visit
    for visitor in visitors:
        visitor.page.context.close()
        assert visitor.wrong == []


def expect_words(frame: FrameLocator) -> None:
    expect(frame.locator(".text .word")).to_have_count(WORDS)


def play_from(frame: FrameLocator, word: str, second: float) -> None:
    """Click on a word, and expect its recording to play from there."""
    frame.locator(".word", has_text=word).click()
    audio = frame.locator("audio")
    expect(audio).to_have_js_property("paused", False)
    expect(frame.locator("[aria-current=true]")).not_to_have_text(re.compile("This|is|where"))
    assert audio.evaluate("audio => audio.currentTime") >= second
    frame.get_by_role("button", name="Pause").click()


def test_a_finished_transcript_is_read_and_played_from_a_clicked_word(visit):
    visitor = visit()
    frame = visitor.open_tab("public_pages", "done")
    expect(frame.get_by_role("heading", level=1)).to_have_text("talk.mp3")
    expect_words(frame)
    # The eighth word, of half a second each.
    play_from(frame, "your", 4.0)
    assert {answer.status for answer in visitor.answers} <= {200, 206, 304}
    assert any(answer.status == 206 for answer in visitor.answers)


def test_a_phrase_is_found(visit):
    frame = visit().open_tab("public_pages", "in_xcom")
    expect_words(frame)
    frame.get_by_label("Find in the transcript").fill("began ask NOT")
    expect(frame.locator(".find output")).to_have_text("1 of 1")


@pytest.mark.parametrize(("label", "content"), [("VTT", "WEBVTT"), ("TXT", SAID.split(".", maxsplit=1)[0])])
def test_a_transcript_is_downloaded(visit, label, content):
    visitor = visit()
    frame = visitor.open_tab("public_pages", "done")
    frame.get_by_text("Downloads and facts").click()
    with visitor.page.expect_download() as download:
        frame.get_by_role("link", name=label, exact=True).click()
    assert download.value.suggested_filename.endswith(f".{label.lower()}")
    assert content in download.value.path().read_text()


def test_a_failed_task_says_what_happened_and_what_to_do(visit):
    frame = visit().open_tab("public_pages", "refused")
    happened = frame.get_by_role("region", name="What happened")
    expect(happened).to_contain_text("refused the key")
    expect(happened.get_by_role("heading", name="What to do")).to_be_visible()


def test_a_waiting_task_says_since_when_and_until_when(visit):
    frame = visit().open_tab("waiting_pages", "waits")
    expect(frame.get_by_role("heading", level=1)).to_have_text("Waiting for the transcript")
    expect(frame.get_by_role("region", name="So far")).to_contain_text("Deadline")


def test_a_batch_shows_its_files_and_one_of_them_opens_in_the_same_page(visit):
    visitor = visit()
    frame = visitor.open_tab("public_pages", "batch")
    expect(frame.get_by_role("heading", level=1)).to_have_text("Batch of 2 files")
    expect(frame.locator("tbody tr")).to_have_count(2)
    address = visitor.page.url
    frame.get_by_role("link", name="b.mp3").click()
    expect(frame.get_by_role("heading", level=1)).to_have_text("b.mp3")
    expect_words(frame)
    play_from(frame, "your", 4.0)
    assert visitor.page.url == address
    frame.get_by_role("link", name="All files").click()
    expect(frame.locator("tbody tr")).to_have_count(2)


def test_a_hit_of_the_search_opens_its_transcript_at_its_moment(visit):
    visitor = visit()
    frame = visitor.search("your country")
    # That of a single recording and those of a batch's two files, of each of two DAGs.
    expect(frame.locator(".hits li")).to_have_count(6)
    frame.get_by_role("link", name="public_pages.mp3").click()
    expect_words(frame)
    # At the beginning of the sentence, the fifth word of the recording.
    expect(frame.locator("[aria-current=true]")).to_have_text("Ask")
    expect(frame.locator(".find output")).to_have_text("1 of 1")
    frame.get_by_role("link", name="Transcripts").click()
    expect(frame.locator(".hits li")).to_have_count(6)


def test_a_link_to_a_moment_opens_in_airflow_at_that_moment(visit):
    visitor = visit()
    frame = visitor.open_tab("public_pages", "done")
    expect_words(frame)
    visitor.page.goto(f"{visitor.page.url}#t=4.6")
    visitor.page.reload()
    expect(frame.locator("[aria-current=true]")).to_have_text("country")


def test_the_pages_are_as_dark_as_airflow_and_change_with_it(visit):
    visitor = visit()
    frame = visitor.open_tab("public_pages", "done")
    expect(frame.locator(":root")).to_have_css("color-scheme", "light")
    visitor.page.get_by_role("button", name="User").click()
    visitor.page.get_by_role("menuitem", name="Appearance").click()
    visitor.page.get_by_text("Dark Mode").click()
    expect(visitor.page.locator("html")).to_have_class(re.compile(r"\bdark\b"))
    expect(frame.locator(":root")).to_have_css("color-scheme", "dark")
    around = visitor.page.evaluate("() => getComputedStyle(document.documentElement).backgroundColor")
    expect(frame.locator("body")).to_have_css("background-color", around)


@pytest.mark.parametrize("task_id", ["done", "in_xcom", "batch", "refused"])
def test_a_user_without_the_right_sees_a_refusal_and_is_sent_no_data(visit, task_id):
    visitor = visit("stranger")

    def expect_refusal(opened):
        # What the page does not read to its end keeps its connection.
        with visitor.page.expect_request_finished(lambda request: "/laplas/api/" in request.url):
            shown = opened()
        expect(shown.get_by_role("region", name="This cannot be shown")).to_contain_text("You may not read")
        assert [(answer.status, answer.text()) for answer in visitor.data()] == [FORBIDDEN]
        visitor.answers.clear()

    def alone():
        visitor.page.goto(visitor.address("private_pages", task_id))
        return visitor.page

    expect_refusal(lambda: visitor.open_tab("private_pages", task_id))
    expect_refusal(alone)
    for route in ("transcript", "download", "audio", "batch", "files"):
        answer = visitor.page.request.get(
            visitor.address("private_pages", task_id).replace("page?", f"api/{route}?")
        )
        assert (answer.status, answer.text()) == FORBIDDEN
    # A browser says in its console what was refused.
    visitor.wrong = [text for text in visitor.wrong if "403" not in text]


def test_the_search_shows_nobody_what_they_may_not_read(visit):
    visitor = visit("stranger")
    frame = visitor.search("your country")
    expect(frame.locator(".hits li")).to_have_count(3)
    assert "private_pages" not in "".join(answer.text() for answer in visitor.data())


def test_whose_session_has_ended_is_told_to_sign_in(visit):
    visitor = visit()
    expect_words(visitor.open_tab("public_pages", "done"))
    visitor.page.context.clear_cookies()
    visitor.page.goto(visitor.address("public_pages", "done"))
    expect(visitor.page.get_by_text("Sign in to Airflow")).to_be_visible()
    assert [answer.status for answer in visitor.data()][-1] == 401
    visitor.wrong = [text for text in visitor.wrong if "401" not in text]


def test_all_of_it_works_where_airflow_is_below_a_path(visit, below_a_path):
    visitor = visit(url=below_a_path)
    frame = visitor.open_tab("public_pages", "done")
    expect_words(frame)
    play_from(frame, "your", 4.0)
    frame.get_by_text("Downloads and facts").click()
    with visitor.page.expect_download() as download:
        frame.get_by_role("link", name="VTT").click()
    assert download.value.path().read_text().startswith("WEBVTT")
    frame = visitor.open_tab("public_pages", "batch")
    frame.get_by_role("link", name="a.mp3").click()
    expect_words(frame)
    frame = visitor.search("your country")
    frame.get_by_role("link", name="public_pages.mp3").click()
    expect(frame.locator("[aria-current=true]")).to_have_text("Ask")
    assert all(answer.url.startswith(f"{below_a_path}/laplas/") for answer in visitor.answers)
    assert {answer.status for answer in visitor.answers} <= {200, 206, 304}
