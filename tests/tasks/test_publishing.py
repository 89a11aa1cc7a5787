"""What a task makes of a finished transcript: files, assets, usage, a link; and what its quality checks do."""

import json
import wave
from pathlib import Path

import pytest
from airflow.models.asset import AssetEvent, AssetModel
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.sdk import AssetAlias, task
from airflow.utils.session import create_session
from sqlalchemy import select

from airflow_provider_laplas.captions import CaptionLimits
from airflow_provider_laplas.errors import LaplasArgumentError, LaplasQualityError
from airflow_provider_laplas.links import asset_uri, browsable
from airflow_provider_laplas.manifest import FileState, Manifest
from airflow_provider_laplas.operators import SubmitSTTOperator, TranscribeBatchOperator, TranscribeOperator
from airflow_provider_laplas.results import load_transcript
from airflow_provider_laplas.sensors import STTCompletionSensor
from airflow_provider_laplas.transcript.quality import QualitySettings
from tests.fake_api import TEXT, error_body, reply, transcript_reply
from tests.wire.conftest import connect

URL = "https://user:secret@example.com/talk.mp3?X-Amz-Signature=secret"
SHOWN = "https://***@example.com/talk.mp3?***"
ALL = ["json", "srt", "vtt", "txt"]
NO_TIMES = {"status": "completed", "result": {"text": "nobody knows when", "usage": {"total_tokens": 42}}}


def events_of(alias):
    """What was said of the assets of an alias: URI and extra."""
    with create_session() as session:
        found = session.execute(
            select(AssetModel.uri, AssetEvent.extra, AssetEvent.source_task_id)
            .join(AssetEvent, AssetEvent.asset_id == AssetModel.id)
            .order_by(AssetEvent.id)
        ).all()
        return [(uri, extra) for uri, extra, _ in found if alias in uri]


def transcribe(tmp_path, **kwargs):
    arguments = {"task_id": "transcribe", "audio": URL, "poke_interval": 1, "results_path": str(tmp_path)}
    return TranscribeOperator(**(arguments | kwargs))


# One transcript


def test_each_format_is_written_beside_the_reply_and_named_in_the_result(api, dag, run_dag, tmp_path):
    dag.params = {"formats": "vtt"}
    transcribe(tmp_path, formats=["json", "srt", "{{ params.formats }}", "txt"])
    result = run_dag(dag).xcom("transcribe")
    stem = f"{tmp_path}/{result['generation_id']}"
    assert result["files"] == {name: f"{stem}.{name}" for name in ALL}
    srt, vtt, txt = (Path(f"{stem}.{name}").read_text() for name in ALL[1:])
    assert srt.startswith("1\n00:00:00,000 --> ")
    assert vtt.startswith("WEBVTT")
    assert txt == f"{TEXT}\n"


def test_a_sensor_writes_them_too(api, dag, run_dag, tmp_path):
    submit = SubmitSTTOperator(task_id="submit", audio=URL)
    STTCompletionSensor(
        task_id="wait",
        generation_id=submit.output,
        results_path=str(tmp_path),
        formats=["txt"],
        poke_interval=0.1,
    )
    files = run_dag(dag).xcom("wait")["files"]
    assert sorted(files) == ["json", "txt"]


HOSTILE = transcript_reply("half \ud83d a pair and nul \0 said.")
HOSTILE["result"]["results"]["utterances"] = [
    {"transcript": "half \ud83d a pair", "start": 0, "end": 1, "channel": 1e300, "confidence": 1e300}
]
HOSTILE["result"]["usage"] = {"total_tokens": 10**40, "by \ud83d": 1}
SAID = "half \ufffd a pair and nul \ufffd said."


def test_what_no_output_can_hold_breaks_none_of_a_tasks(api, dag, run_dag, tmp_path):
    api.default_reply = HOSTILE
    transcribe(tmp_path, formats=ALL)
    run = run_dag(dag)
    result = run.xcom("transcribe")
    assert result["text"] == SAID
    assert run.xcom("transcribe", "usage")["tokens"] == {"total_tokens": None, "by \ufffd": 1}
    assert Path(result["files"]["txt"]).read_text() == f"{SAID}\n"
    assert load_transcript(result).raw == json.loads(json.dumps(HOSTILE))


def test_formats_without_a_folder_are_refused_before_anything_is_submitted(api, dag, run_dag):
    TranscribeOperator(task_id="transcribe", audio=URL, formats=["srt"])
    (error,) = run_dag(dag).errors
    assert error.argument == "formats"
    assert not api.requests


def test_captions_of_a_reply_without_times_are_an_error_that_says_so_and_the_reply_is_kept(
    api, dag, run_dag, tmp_path
):
    api.default_reply = NO_TIMES
    transcribe(tmp_path, formats=["srt"])
    run = run_dag(dag)
    (error,) = run.errors
    assert isinstance(error, LaplasArgumentError)
    assert "Captions need times" in str(error)
    (kept,) = tmp_path.iterdir()
    assert json.loads(kept.read_text()) == NO_TIMES


def test_every_file_is_an_event_of_the_asset_alias_with_what_is_known_of_it(api, dag, run_dag, tmp_path):
    transcribe(tmp_path, formats=["json", "txt"], outlets=[AssetAlias("transcripts")])
    result = run_dag(dag).xcom("transcribe")
    assert events_of(result["generation_id"]) == [
        (
            f"file://{tmp_path}/{result['generation_id']}.{name}",
            {
                "uri": result["files"][name],
                "source": SHOWN,
                "duration": 3.5,
                "generation_id": result["generation_id"],
            },
        )
        for name in ("json", "txt")
    ]


def in_two_tasks(tmp_path, **kwargs):
    submit = SubmitSTTOperator(task_id="submit", audio=URL, post_execute=kwargs.get("post_execute"))
    arguments = {"source": URL, "results_path": str(tmp_path), "poke_interval": 0.1}
    return STTCompletionSensor(task_id="wait", generation_id=submit.output, **(arguments | kwargs))


@pytest.mark.parametrize("source", [URL, "{{ '" + URL + "' }}"], ids=["as it is", "template"])
def test_a_sensor_that_is_told_the_source_tells_it_on_without_its_signature(
    api, dag, run_dag, tmp_path, source
):
    in_two_tasks(tmp_path, source=source, outlets=[AssetAlias("transcripts")])
    run = run_dag(dag)
    ((_, extra),) = events_of(run.xcom("wait")["generation_id"])
    assert extra["source"] == SHOWN
    assert RenderedTaskInstanceFields.get_templated_fields(run.tasks["wait", -1])["source"] == SHOWN


def test_a_source_that_renders_to_nothing_is_refused_by_name(api, dag, run_dag, tmp_path):
    in_two_tasks(tmp_path, source="{{ ti.xcom_pull(task_ids='nobody') }}")
    (error,) = run_dag(dag).errors
    assert error.argument == "source"


def test_lineage_leads_from_the_audio_to_the_files_and_names_no_signature(api, dag, run_dag, tmp_path):
    told = {}

    def ask(context, result=None):
        """Ask as OpenLineage does, when the task is done."""
        facets = context["task"].get_openlineage_facets_on_complete(context["ti"])
        told[context["task"].task_id] = [
            [(one.namespace, one.name) for one in group] for group in (facets.inputs, facets.outputs)
        ]

    in_two_tasks(tmp_path, post_execute=ask)
    generation_id = run_dag(dag).xcom("submit")
    audio = [("https://example.com", "/talk.mp3")]
    assert told == {
        "submit": [audio, []],
        "wait": [audio, [("file", f"{tmp_path}/{generation_id}.json")]],
    }


@pytest.mark.parametrize(
    ("uri", "asset", "address"),
    [
        (
            "s3://aws@bucket/a/b.json",
            "s3://bucket/a/b.json",
            "https://s3.console.aws.amazon.com/s3/object/bucket?prefix=a/b.json",
        ),
        (
            "gs://bucket/b.json",
            "gs://bucket/b.json",
            "https://console.cloud.google.com/storage/browser/_details/bucket/b.json",
        ),
        ("/data/b c.json", "file:///data/b%20c.json", "file:///data/b%20c.json"),
    ],
)
def test_an_asset_and_a_link_name_no_connection(uri, asset, address):
    assert (asset_uri(uri), browsable(uri)) == (asset, address)


LONG = transcript_reply(" ".join(["wonderful"] * 12))


def longest_line(path):
    return max(len(line) for line in path.read_text().splitlines() if "-->" not in line)


@pytest.mark.parametrize(
    "captions",
    [{"line_length": 20}, {"line_length": "{{ params.length }}"}, CaptionLimits(line_length=20)],
    ids=["dict", "template", "object"],
)
def test_captions_keep_to_the_limits_of_the_task_and_a_clear_with_others_writes_them_again(
    api, dag, run_dag, tmp_path, captions
):
    dag.params = {"length": 20}
    api.default_reply = LONG
    operator = transcribe(tmp_path, formats=["srt"], captions=captions)
    srt = Path(run_dag(dag).xcom("transcribe")["files"]["srt"])
    assert longest_line(srt) <= 20
    operator.captions = None
    assert run_dag.clear(dag).state == "success"
    assert 20 < longest_line(srt) <= 42
    assert api.count("POST") == 1


def test_limits_that_a_template_made_wrong_are_refused_before_anything_is_submitted(
    api, dag, run_dag, tmp_path
):
    transcribe(tmp_path, formats=["srt"], captions={"frame_rate": "{{ 'fast' }}"})
    (error,) = run_dag(dag).errors
    assert error.argument == "frame_rate"
    assert not api.requests


def test_a_sensor_and_a_decorated_task_take_limits_too(api, dag, run_dag, tmp_path):
    api.default_reply = LONG
    in_two_tasks(tmp_path, formats=["vtt"], captions={"line_length": 20})

    @task.transcribe(
        results_path=f"{tmp_path}/batch", formats=["vtt"], captions={"line_length": 20}, poke_interval=1
    )
    def batch():
        return ["https://example.com/1.mp3"]

    batch()
    assert run_dag(dag).state == "success"
    written = list(tmp_path.rglob("*.vtt"))
    assert [longest_line(path) <= 20 for path in written] == [True, True]


def test_the_link_leads_to_the_transcript(api, dag, run_dag, tmp_path):
    transcribe(tmp_path)
    run = run_dag(dag)
    link = run.xcom("transcribe", "_link_TranscriptLink")
    assert link == f"file://{tmp_path}/{run.xcom('transcribe')['generation_id']}.json"


def test_usage_is_an_xcom_with_tokens_and_an_estimated_cost_where_they_are_known(
    api, dag, run_dag, tmp_path, monkeypatch
):
    connect(monkeypatch, api, price_per_minute=0.6)
    transcribe(tmp_path)
    assert run_dag(dag).xcom("transcribe", "usage") == {
        "audio_seconds": 3.5,
        "estimated_cost": pytest.approx(0.035),
    }
    api.default_reply = NO_TIMES
    assert run_dag(dag).xcom("transcribe", "usage") == {"tokens": {"total_tokens": 42}}


# Quality

LOOP = transcript_reply(" ".join(["thank you"] * 40))


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_check_that_says_fail_fails_the_task_and_a_clear_judges_again_without_paying(
    api, dag, run_dag, tmp_path, deferrable
):
    api.default_reply = LOOP
    wait = transcribe(tmp_path, quality={"repetition": "fail"}, deferrable=deferrable, defer_after=0)
    run = run_dag(dag)
    (error,) = run.errors
    assert isinstance(error, LaplasQualityError)
    assert "come 40 times in a row" in str(error)
    assert "thank" not in str(error)
    assert run.xcom("transcribe", "usage")["audio_seconds"] == 40
    wait.quality = {"repetition": "warn"}
    assert run_dag.clear(dag).state == "success"
    assert api.count("POST") == 1


def test_a_check_that_says_skip_skips_the_task(api, dag, run_dag, tmp_path):
    api.default_reply = LOOP
    transcribe(tmp_path, quality=QualitySettings(repetition="skip"))
    assert run_dag(dag).state_of("transcribe") == "skipped"


def test_checks_only_warn_unless_told_otherwise_and_none_are_made_where_none_are_wanted(
    api, dag, run_dag, tmp_path, caplog
):
    api.default_reply = LOOP
    wait = transcribe(tmp_path)
    assert run_dag(dag).state == "success"
    assert "times in a row" in caplog.text
    caplog.clear()
    wait.quality = None
    assert run_dag(dag).state == "success"
    assert "times in a row" not in caplog.text


def test_all_checks_may_be_a_template(api, dag, run_dag, tmp_path):
    dag.params = {"quality": {"repetition": "fail"}}
    dag.render_template_as_native_obj = True
    api.default_reply = LOOP
    transcribe(tmp_path, quality="{{ params.quality }}")
    (error,) = run_dag(dag).errors
    assert isinstance(error, LaplasQualityError)


def test_an_expected_language_may_be_a_template(api, dag, run_dag, tmp_path):
    dag.params = {"language": "de"}
    api.default_reply = transcript_reply()
    api.default_reply["result"]["results"]["channels"][0]["detected_language"] = "en"
    transcribe(tmp_path, quality={"language": "fail", "expected_language": "{{ params.language }}"})
    (error,) = run_dag(dag).errors
    assert "'en', not the expected 'de'" in str(error)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"formats": "srt"}, "formats"),
        ({"formats": ["doc"]}, "formats"),
        ({"quality": 7}, "quality"),
        ({"quality": {"repetitions": "fail"}}, "quality"),
        ({"quality": {"language": "fail"}}, "expected_language"),
        ({"quality": {"repetition": "explode"}}, "repetition"),
        ({"quality": {"min_confidence": 2}}, "min_confidence"),
        ({"captions": 7}, "captions"),
        ({"captions": {"frame_rat": "{{ params.rate }}"}}, "captions"),
        ({"captions": {"frame_rate": 0}}, "frame_rate"),
        ({"captions": {"min_duration": 8}}, "max_duration"),
    ],
)
@pytest.mark.parametrize("operator", [TranscribeOperator, TranscribeBatchOperator, STTCompletionSensor])
def test_a_wrong_argument_is_refused_by_name_when_the_dag_is_parsed(operator, arguments, name):
    given = {"generation_id": "g"} if operator is STTCompletionSensor else {"audio": [URL]}
    if operator is TranscribeOperator:
        given = {"audio": URL}
    with pytest.raises(LaplasArgumentError) as caught:
        operator(task_id="t", results_path="/out", **given, **arguments)
    assert caught.value.argument == name


def test_a_limit_that_is_misspelt_is_told_the_nearest_one():
    with pytest.raises(LaplasArgumentError, match=r"`captions` has no .* `frame_rat`.* `frame_rate`\?"):
        TranscribeOperator(task_id="t", audio=URL, captions={"frame_rat": 25})


def test_a_limit_is_not_judged_by_one_that_a_template_will_name():
    captions = {"min_duration": 8, "max_duration": "{{ params.longest }}"}
    assert TranscribeOperator(task_id="t", audio=URL, captions=captions).captions == captions


# A batch


def batch(out, urls=3, **kwargs):
    arguments = {"task_id": "batch", "results_path": str(out), "poke_interval": 0.1}
    arguments["audio"] = [f"https://example.com/{n}.mp3" for n in range(urls)]
    return TranscribeBatchOperator(**(arguments | kwargs))


def test_a_batch_writes_the_formats_of_every_file_and_a_format_that_is_added_later_costs_nothing(
    api, dag, run_dag, tmp_path
):
    operator = batch(tmp_path, 2, formats=["srt"])
    run_dag(dag)
    assert len(list(tmp_path.glob("*.srt"))) == 2
    operator.formats = ["srt", "txt"]
    summary = run_dag(dag).xcom("batch")
    assert len(list(tmp_path.glob("*.txt"))) == 2
    assert (summary["new"], api.count("POST")) == (0, 2)


def test_what_no_output_can_hold_breaks_no_batch(api, dag, run_dag, tmp_path):
    api.script("GET", *[reply(200, {"status": "pon\ud83ddering"})] * 2, reply(200, HOSTILE))
    failed = {"status": "error", "error": "it \ud83d\0 broke"}
    api.script("GET", reply(200, failed))
    batch(tmp_path, 4, formats=ALL, max_failed=1)
    run = run_dag(dag)
    assert run.xcom("batch")["counts"] == {"completed": 3, "failed": 1}
    texts = {Path(path).read_text() for path in tmp_path.rglob("*.txt")}
    assert texts == {f"{SAID}\n", f"{TEXT}\n"}
    (entry,) = Manifest.load(f"{tmp_path}/manifest.json").having(FileState.FAILED)
    assert "broke" in entry.error
    entry.error.encode()


def test_a_batch_writes_captions_by_its_limits_and_leaves_what_is_there_where_only_these_change(
    api, dag, run_dag, tmp_path
):
    api.default_reply = LONG
    operator = batch(tmp_path, 1, formats=["srt"], captions={"line_length": 20})
    run_dag(dag)
    (srt,) = tmp_path.glob("*.srt")
    assert longest_line(srt) <= 20
    operator.captions = None
    run_dag(dag)
    assert longest_line(srt) <= 20


def test_a_batch_counts_what_its_checks_reject_as_failed_and_keeps_it(api, dag, run_dag, tmp_path):
    operator = batch(tmp_path, 1, quality={"repetition": "fail"}, max_failed=1)
    api.default_reply = LOOP
    run = run_dag(dag)
    summary = run.xcom("batch")
    assert (summary["failed"], summary["counts"], summary["audio_seconds"]) == (1, {"rejected": 1}, 40)
    assert run.xcom("batch", "usage") == {"audio_seconds": 40}
    (entry,) = Manifest.load(summary["manifest"]).entries
    assert "times in a row" in entry.error
    operator.quality = {"repetition": "skip"}
    assert run_dag(dag).xcom("batch")["counts"] == {"skipped": 1}
    operator.quality = None
    assert run_dag(dag).xcom("batch")["counts"] == {"completed": 1}
    assert api.count("POST") == 1


def test_a_batch_is_one_event_for_its_manifest_where_something_is_new(
    api, dag, run_dag, tmp_path, monkeypatch
):
    connect(monkeypatch, api, price_per_minute=0.6)
    batch(tmp_path, outlets=[AssetAlias("batches")])
    first, second = run_dag(dag), run_dag(dag)
    assert events_of(str(tmp_path)) == [
        (
            f"file://{tmp_path}/manifest.json",
            {
                "manifest": f"{tmp_path}/manifest.json",
                "audio_seconds": 10.5,
                "files": 3,
                "completed": 3,
                "new": 3,
                "failed": 0,
            },
        )
    ]
    assert first.xcom("batch", "usage") == {"audio_seconds": 10.5, "estimated_cost": pytest.approx(0.105)}
    assert second.xcom("batch", "usage")["audio_seconds"] == 0


def test_what_a_failed_run_finished_is_told_by_the_next_one(api, dag, run_dag, tmp_path):
    api.script("POST", reply(400, error_body(400, "not audio")))
    batch(tmp_path, outlets=[AssetAlias("batches")])
    assert run_dag(dag).state == "failed"
    assert events_of(str(tmp_path)) == []
    assert run_dag(dag).xcom("batch")["new"] == 0
    assert len(events_of(str(tmp_path))) == 1
    run_dag(dag)
    assert len(events_of(str(tmp_path))) == 1


def test_a_duplicate_shares_all_formats_and_the_fate_of_its_original_and_is_never_submitted(
    api, dag, run_dag, tmp_path
):
    inbox, out = tmp_path / "inbox", tmp_path / "out"
    inbox.mkdir()
    for name in ("a.wav", "b.wav"):
        with wave.open(str(inbox / name), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(bytes(1000))
    batch(out, audio=str(inbox), formats=["txt"], deduplicate=True)
    assert run_dag(dag).xcom("batch")["counts"] == {"completed": 1, "duplicate": 1}
    assert (out / "a.wav.txt").read_text() == (out / "b.wav.txt").read_text()
    (inbox / "c.wav").write_bytes((inbox / "a.wav").read_bytes())
    assert run_dag(dag).xcom("batch")["counts"] == {"completed": 1, "duplicate": 2}
    assert (out / "c.wav.txt").exists()
    assert api.count("POST") == 1


def test_a_duplicate_of_a_file_that_failed_has_failed(api, dag, run_dag, tmp_path):
    inbox, out = tmp_path / "inbox", tmp_path / "out"
    inbox.mkdir()
    (inbox / "a.wav").write_bytes(b"same")
    (inbox / "b.wav").write_bytes(b"same")
    api.default_reply = {"status": "failed", "error": "not audio"}
    batch(out, audio=str(inbox), deduplicate=True, max_failed=1)
    (error,) = run_dag(dag).errors
    assert "2 files failed" in str(error)
    assert [e.state for e in Manifest.load(f"{out}/manifest.json").entries] == [FileState.FAILED] * 2
