"""The example DAG that makes captions of a folder of videos."""

import importlib.util

import pytest
import webvtt

from tests.fake_api import WORDS
from tests.media_files import mp4, speech
from tests.paths import ROOT


@pytest.fixture
def caption_videos():
    """The DAG of the file, parsed anew."""
    path = ROOT / "dags" / "caption_videos.py"
    spec = importlib.util.spec_from_file_location("caption_videos_under_test", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    dag = module.caption_videos()
    for one in dag.tasks:
        one.retries = 0
    return dag


def test_videos_get_captions_and_those_that_cannot_be_used_are_named(api, caption_videos, run_dag, tmp_path):
    videos, captions = tmp_path / "videos", tmp_path / "captions"
    (videos / "talks").mkdir(parents=True)
    (videos / "talks" / "a.mp4").write_bytes(mp4(speech()))
    (videos / "broken.mp4").write_bytes(mp4(speech())[:20_000])
    conf = {"videos": str(videos), "captions": str(captions)}
    finished = run_dag(caption_videos, run_conf=conf)
    assert finished.state == "success"
    found = finished.xcom("list_captions")
    assert found["captions"] == [f"{captions}/talks/a.mp4.vtt"]
    (failed,) = found["failed"]
    assert failed.startswith(f"{videos}/broken.mp4: ")
    assert " ".join(caption.text for caption in webvtt.read(found["captions"][0])).split() == list(WORDS)
    assert (captions / "talks" / "a.mp4.srt").exists()
    # Of the video only the audio is sent, and once.
    assert b'filename="a.m4a"' in api.requests[0].body
    assert run_dag(caption_videos, run_conf=conf).state == "success"
    assert api.count("POST") == 1
