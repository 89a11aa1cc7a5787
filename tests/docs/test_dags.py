"""Every DAG of the documentation is run, as it stands there, against a scripted API."""

import json
import re

import pytest
from airflow.models.asset import AssetEvent
from airflow.models.dagrun import DagRun
from airflow.sdk.io import attach
from airflow.utils.session import create_session
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem
from sqlalchemy import select

from airflow_provider_laplas import sql
from airflow_provider_laplas.manifest import FileState, Manifest
from tests.airflow_names import BaseHook, DagBag
from tests.docs.pages import DAGS
from tests.fake_api import WORDS
from tests.media_files import mp4, speech

AUDIO = {"recordings/talk.mp3": b"a talk", "recordings/inbox/a.mp3": b"one", "recordings/inbox/b.mp3": b"two"}
INBOX = {b"one", b"two"}


class Buckets(DirFileSystem):
    """The buckets of the connection `aws_default`, in a folder: there is no S3 here, and the pages name no other place."""

    protocol = "s3"


# Airflow keeps what is attached for as long as the process lives, so each test changes the folder.
BUCKETS = Buckets(path="/nowhere", fs=LocalFileSystem(auto_mkdir=True))


@pytest.fixture
def s3(request, tmp_path):
    BUCKETS.path = str(tmp_path)
    attach("s3", conn_id="aws_default", fs=BUCKETS)
    for name, content in AUDIO.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    if "/videos" in DAGS[request.getfixturevalue("name")]:
        (tmp_path / "recordings" / "videos").mkdir()
        (tmp_path / "recordings" / "videos" / "talk.mp4").write_bytes(mp4(speech()))
    return tmp_path


@pytest.fixture(autouse=True)
def done_at_the_first_look(api):
    api.polls_until_done = 0


@pytest.fixture
def database(request, monkeypatch):
    # A server takes a second to start, and one example needs it.
    if "PostgresHook" in DAGS[request.getfixturevalue("name")]:
        new_schema = request.getfixturevalue("new_schema")
        monkeypatch.setenv("AIRFLOW_CONN_TRANSCRIPTS", json.dumps(new_schema()))


class Example:
    """One block, its DAGs run in their order, and what they left behind."""

    def __init__(self, code, run_dag, api, folder, printed):
        self.api, self.folder = api, folder
        (folder / "example.py").write_text(code)
        bag = DagBag(folder / "example.py", safe_mode=False)
        assert not bag.import_errors
        # A DAG of a kind that is not seen here would not be run either.
        assert len(bag.dags) == len(re.findall(r"^with DAG\(|^@dag\b", code, re.MULTILINE))
        self.runs = {}
        for dag_id, dag in sorted(bag.dags.items(), key=lambda item: code.index(item[0])):
            # As Airflow's timetables say it; None is a DAG that nothing but a user starts.
            if dag.schedule in (None, "@daily"):
                self.runs[dag_id] = run_dag(dag)
            else:
                self.runs[dag_id] = run_with_events(run_dag, dag, *self.runs.values())
        self.printed = printed()
        for run in self.runs.values():
            assert {str(ti.state) for ti in run.tasks.values()} == {"success"}, run.errors

    def returned(self, task_id):
        (run,) = [run for run in self.runs.values() if (task_id, -1) in run.tasks]
        return run.xcom(task_id)

    def submitted(self):
        """What was sent: URLs, and the content of files."""
        bodies = [request.body for request in self.api.requests if request.method == "POST"]
        urls = {json.loads(body)["url"] for body in bodies if body.startswith(b"{")}
        return urls | {content for content in AUDIO.values() for body in bodies if content in body}

    def written(self):
        return {path.suffix for path in self.folder.glob("*/transcripts/*")}


def run_with_events(run_dag, dag, producer):
    """Run a DAG as the scheduler does where it is scheduled on assets: with the events of another DAG's run."""
    unrun = run_dag(dag, mark_success_pattern=".*")
    with create_session() as session:
        events = session.scalars(select(AssetEvent).where(AssetEvent.source_run_id == producer.run.run_id))
        run = session.get(DagRun, unrun.run.id)
        run.consumed_asset_events.extend(events)
    return run_dag.clear(dag)


# What each example is for, by its page and its first DAG.


def readme_interview(example):
    assert example.submitted() == {"https://example.com/interview.mp3"}
    assert f"{len(WORDS)} words" in example.printed


def interview(example):
    assert example.submitted() == {"https://example.com/interview.mp3"}
    assert example.returned("use") == {"words": len(WORDS)}


def slow_speakers(example):
    assert example.submitted() == {b"a talk"}
    assert example.returned("words_per_minute") == pytest.approx(120)
    assert example.written() == {".json", ".vtt"}


def show(example):
    (url,) = example.submitted()
    assert re.fullmatch(r"https://radio\.example\.com/morning/\d{4}-\d\d-\d\d\.mp3", url)
    assert example.returned("episode")["result"].startswith("s3://aws_default@radio/transcripts/")
    assert example.written() == {".json"}


def subtitles(example):
    assert example.submitted() == {b"a talk"}
    (uri,) = example.returned("publish")
    assert (example.folder / uri.removeprefix("s3://aws_default@")).read_text().startswith("WEBVTT")


def in_python(example):
    assert example.submitted() == {"https://example.com/interview.mp3"}
    assert example.returned("count_words") == len(WORDS)


def archive(example):
    assert example.submitted() == INBOX
    assert example.returned("transcribe")["completed"] == 2
    assert {".json", ".srt", ".txt"} <= example.written()


def feed(example):
    assert len(example.submitted()) == example.returned("episodes")["completed"] == 24


def extended_archive(example):
    assert example.submitted() == INBOX
    assert example.returned("count") == {"completed": 2}


def videos(example):
    bodies = [request.body for request in example.api.requests if request.method == "POST"]
    assert [b'filename="talk.m4a"' in body for body in bodies] == [True]
    assert example.returned("transcribe")["completed"] == 1
    assert {".json", ".srt", ".vtt"} <= example.written()


def archive_in_database(example):
    assert example.returned("load")["transcripts"] == 2
    manifest = Manifest.load(example.returned("transcribe")["manifest"])
    loaded = sql.generations(BaseHook.get_hook("transcripts"))
    assert loaded == {manifest.uri_of(e): e.generation_id for e in manifest.having(FileState.COMPLETED)}


CHECKS = {
    ("README.md", "transcribe_interview"): readme_interview,
    ("docs/transcribe-one.md", "transcribe_interview"): interview,
    ("docs/transcribe-one.md", "slow_speakers"): slow_speakers,
    ("docs/transcribe-one.md", "transcribe_show"): show,
    ("docs/transcribe-one.md", "subtitle_talk"): subtitles,
    ("docs/transcribe-one.md", "transcribe_in_python"): in_python,
    ("docs/transcribe-thousands.md", "transcribe_archive"): archive,
    ("docs/transcribe-thousands.md", "transcribe_feed"): feed,
    ("docs/transcribe-thousands.md", "extend_archive"): extended_archive,
    ("docs/video-and-long-recordings.md", "transcribe_videos"): videos,
    ("docs/database.md", "archive_to_database"): archive_in_database,
}


@pytest.mark.parametrize("name", DAGS)
def test_every_dag_of_the_pages_does_what_its_page_says(name, api, s3, database, run_dag, capsys):
    example = Example(DAGS[name], run_dag, api, s3, lambda: capsys.readouterr().out)
    CHECKS[name.partition(":")[0], next(iter(example.runs))](example)
