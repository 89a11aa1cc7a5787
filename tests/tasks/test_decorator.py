"""``@task.transcribe``: one source or many, as the function says."""

import pytest
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.sdk import Asset, task

from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.results import load_transcript
from tests.fake_api import TEXT

URL = "https://example.com/a.mp3?X-Amz-Signature=canary"
WAYS = pytest.mark.parametrize(
    "way", [{"defer_after": 0}, {"deferrable": False}], ids=["deferred", "in place"]
)


@WAYS
def test_a_function_that_returns_one_source_is_a_task_that_returns_its_transcript(api, dag, run_dag, way):
    @task.transcribe(poke_interval=0.1, language="en", **way)
    def interview(name, params=None):
        return f"https://example.com/{name}-{params['day']}.mp3?X-Amz-Signature=canary"

    used = []

    @task
    def use(text, result):
        used.append((text, load_transcript(result).text))

    dag.params = {"day": "monday"}
    said = interview("talk")
    use(said["text"], said)
    run = run_dag(dag)
    assert run.state == "success"
    assert used == [(TEXT, TEXT)]
    submitted = next(request for request in api.requests if request.method == "POST").json
    assert submitted["url"] == "https://example.com/talk-monday.mp3?X-Amz-Signature=canary"
    assert submitted["language"] == "en"


@WAYS
def test_a_function_that_returns_a_list_is_a_batch(api, dag, run_dag, tmp_path, way):
    @task.transcribe(results_path=str(tmp_path), max_in_flight=2, formats=["txt"], poke_interval=0.1, **way)
    def archive():
        return [f"https://example.com/{n}.mp3?token=canary" for n in range(5)]

    archive()
    summary = run_dag(dag).xcom("archive")
    assert (summary["completed"], api.count("POST")) == (5, 5)
    assert len(list(tmp_path.glob("*.txt"))) == 5
    assert "canary" not in (tmp_path / "manifest.json").read_text()


def test_a_signed_url_in_an_argument_is_shown_without_its_signature(api, dag, run_dag):
    @task.transcribe(poke_interval=0.1)
    def interview(url, *, other):
        return url

    interview(URL, other=[URL])
    run = run_dag(dag)
    assert run.state == "success"
    posted = next(request for request in api.requests if request.method == "POST")
    assert posted.json["url"] == URL
    shown = RenderedTaskInstanceFields.get_templated_fields(run.tasks["interview", -1])
    assert "canary" not in str(shown)
    assert "a.mp3" in str(shown)


def test_it_maps_over_upstream_values(api, dag, run_dag):
    @task
    def names():
        return ["a", "b"]

    @task.transcribe(poke_interval=0.1)
    def interview(name):
        return f"https://example.com/{name}.mp3"

    interview.expand(name=names())
    run = run_dag(dag)
    assert [run.xcom("interview", map_index=n)["text"] for n in range(2)] == [TEXT, TEXT]


def test_a_list_without_a_folder_is_refused_before_anything_is_submitted(api, dag, run_dag):
    @task.transcribe
    def archive():
        return [URL]

    archive()
    run = run_dag(dag)
    assert run.state_of("archive") == "failed"
    assert not api.requests


@pytest.mark.parametrize("returned", [None, 7, "", [URL, None], {"a": 1}])
def test_what_names_no_audio_is_refused_before_anything_is_submitted(api, dag, run_dag, returned):
    @task.transcribe(results_path="/nowhere")
    def audio():
        return returned

    audio()
    run = run_dag(dag)
    (error,) = run.errors
    assert isinstance(error, LaplasArgumentError)
    assert error.argument == "audio"
    assert not api.requests


def test_audio_beside_the_function_and_a_coroutine_function_are_refused(dag):
    def one():
        return URL

    async def other():
        return URL

    with pytest.raises(LaplasArgumentError, match="`audio`"):
        task.transcribe(audio=URL)(one)()
    with pytest.raises(LaplasArgumentError, match="coroutine"):
        task.transcribe(other)()


def test_a_clear_attaches_to_what_was_submitted(api, dag, run_dag):
    api.default_reply = {"status": "completed", "result": {"text": "once"}}

    @task.transcribe(poke_interval=0.1)
    def interview():
        return URL

    interview()
    run_dag(dag)
    assert run_dag.clear(dag).xcom("interview")["text"] == "once"
    assert api.count("POST") == 1


@WAYS
def test_a_single_source_has_its_link_and_its_lineage_in_either_way(api, dag, run_dag, tmp_path, way):
    told = []

    def tell(context, result=None):
        operator = context["task"]
        facets = operator.get_openlineage_facets_on_complete(context["ti"])
        told.append((operator.written, [dataset.name for dataset in facets.outputs]))

    @task.transcribe(results_path=str(tmp_path), poke_interval=0.1, post_execute=tell, **way)
    def interview():
        return URL

    interview()
    run = run_dag(dag)
    stored = str(tmp_path / f"{run.xcom('interview')['generation_id']}.json")
    assert told == [(stored, [stored])]


def test_an_asset_among_the_functions_arguments_is_an_inlet(api, dag, run_dag):
    inlets = []
    recording = Asset("recording", uri="https://example.com/a.mp3")

    @task.transcribe(
        poke_interval=0.1, post_execute=lambda context, result: inlets.extend(context["task"].inlets)
    )
    def interview(source):
        return source.uri

    interview(recording)
    assert run_dag(dag).state == "success"
    assert inlets == [recording]
