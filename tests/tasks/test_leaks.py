"""Hundreds of secrets through every task, while a server repeats them, and the search for them in every way out."""

import json
import logging
import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.sdk import AssetAlias, task

from airflow_provider_laplas import triggers
from airflow_provider_laplas.airflow_compat import METRICS
from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.metrics import Metrics
from airflow_provider_laplas.operators import SubmitSTTOperator, TranscribeBatchOperator, TranscribeOperator
from airflow_provider_laplas.sensors import STTCompletionSensor
from tests.corpus import (
    CASES,
    GET_WAYS,
    KEY,
    POST_WAYS,
    SPEECH,
    Case,
    EchoAPI,
    all_secrets,
    found_in,
)

HEALTHY = [n for n in range(CASES) if POST_WAYS[n % len(POST_WAYS)] in {"healthy", "200"}]


@pytest.fixture
def echo(monkeypatch):
    with EchoAPI() as fake:
        monkeypatch.setenv("AIRFLOW_CONN_LAPLAS_DEFAULT", fake.proxied)
        yield fake


@pytest.fixture
def said(monkeypatch, caplog):
    """All that went out by other ways than files, the database and the log: arguments and events of triggers, lineage …"""
    caplog.set_level(logging.DEBUG, "airflow_provider_laplas")
    out = []
    for trigger in (triggers.STTCompletionTrigger, triggers.STTBatchTrigger):
        monkeypatch.setattr(trigger, "run", listened_to(trigger.run, out))
    for name in ("failed", "finished", "waited", "retried"):
        monkeypatch.setattr(Metrics, name, counted(getattr(Metrics, name), out))
    return out


def listened_to(run, out):
    async def listen(self):
        out.append(("arguments", self.serialize()))
        async for event in run(self):
            out.append(("event", event.payload))
            yield event

    return listen


def counted(method, out):
    class Heard:
        def incr(self, stat, count=1):
            out.append(("metric", stat, count))

        def timing(self, stat, dt):
            out.append(("metric", stat, dt))

    def count(self, *args, **kwargs):
        if self is METRICS:
            return method(Metrics(Heard()), *args, **kwargs)
        return method(self, *args, **kwargs)

    return count


def tell(out):
    def after(context, result=None):
        facets = context["task"].get_openlineage_facets_on_complete(context["ti"])
        out.append(("lineage", facets, context["task"].operator_extra_links))

    return after


def fail(out):
    return lambda context: out.append(("error", repr(context["exception"]), vars(context["exception"])))


def assert_nothing_leaked(out, folders, capfd, caplog, *, count, speech=True):
    texts = {"log": f"{caplog.text}{''.join(capfd.readouterr())}", "said": repr(out)}
    for folder in folders:
        for path in Path(folder).rglob("*"):
            # A reply is the server's, to the letter.
            if path.is_file() and not re.fullmatch(r"[0-9a-f-]{36}\.json|talk-.*\.json", path.name):
                texts[str(path)] = path.read_text(errors="replace")
    database = Path(os.environ["AIRFLOW_HOME"]) / "airflow.db"
    with closing(sqlite3.connect(database)) as rows:
        for (table,) in rows.execute("select name from sqlite_master where type = 'table'").fetchall():
            texts[table] = repr(rows.execute(f'select * from "{table}"').fetchall())
    assert {"arguments", "event", "metric", "lineage"} <= {kind for kind, *_ in out}
    secrets = all_secrets(count)
    assert [f"{where}: {what}" for where, text in texts.items() for what in found_in(text, secrets)] == []
    if speech:
        # Where it may be, it is a result.
        assert [where for where, text in texts.items() if where != "xcom" and SPEECH in text] == []


def test_a_batch_shows_none_of_its_secrets(echo, dag, run_dag, said, tmp_path, capfd, caplog):
    dag.user_defined_macros = {"case": Case}
    TranscribeBatchOperator(
        task_id="batch",
        audio=[f"\n {{{{ case({n}).url }}}} " for n in range(CASES)],
        options="{{ case(0).options | tojson }}",
        results_path=str(tmp_path),
        poke_interval=0.1,
        max_failed=CASES,
        outlets=[AssetAlias("batch")],
        post_execute=tell(said),
    )
    dag.render_template_as_native_obj = True
    run = run_dag(dag)
    assert run.state == "success"
    # All ways to answer were gone.
    assert echo.numbers == set(range(CASES))
    summary = run.xcom("batch")
    assert summary["completed"] > len(GET_WAYS) / 2
    assert summary["failed"] > CASES / 2
    assert len(all_secrets(CASES)) >= 200
    assert_nothing_leaked(said, [tmp_path], capfd, caplog, count=CASES)


ONE_OF_EACH = [n for n in range(len(POST_WAYS)) if n not in HEALTHY] + HEALTHY


def test_single_files_show_none_of_their_secrets(echo, dag, run_dag, said, tmp_path, capfd, caplog):
    dag.user_defined_macros = {"case": Case, "numbers": ONE_OF_EACH}
    dag.render_template_as_native_obj = True
    case = "case(numbers[ti.map_index])"
    TranscribeOperator.partial(
        task_id="transcribe",
        audio=f" {{{{ {case}.url }}}}\n",
        options=f"{{{{ {case}.options }}}}",
        results_path=str(tmp_path),
        poke_interval=0.1,
        timeout=4,
        outlets=[AssetAlias("single")],
        post_execute=tell(said),
        on_failure_callback=[fail(said)],
    ).expand(tag=[[str(n)] for n in ONE_OF_EACH])
    run = run_dag(dag)
    assert echo.numbers == set(ONE_OF_EACH)
    states = {
        state for (_, index) in run.tasks if index >= 0 for state in [run.state_of("transcribe", index)]
    }
    assert states == {"success", "failed"}
    for index in range(len(ONE_OF_EACH)):
        fields = RenderedTaskInstanceFields.get_templated_fields(run.tasks["transcribe", index])
        assert re.search(r"https://\*\*\*@example.com/talk-\d+.mp3\?\*\*\*#\*\*\*", fields["audio"])
    assert_nothing_leaked(said, [tmp_path], capfd, caplog, count=CASES)


def test_a_function_a_submission_and_a_sensor_show_none_of_their_secrets(
    echo, dag, run_dag, said, tmp_path, capfd, caplog
):
    dag.user_defined_macros = {"case": Case, "key": KEY}

    @task.transcribe(results_path=str(tmp_path), poke_interval=0.1, post_execute=tell(said), defer_after=0)
    def function(*args, **kwargs):
        return kwargs["item"]["url"]

    function(
        "see {{ case(2).url }}, please",
        ("{{ case(3).url }}", ["{{ case(4).url }}"]),
        {"{{ case(5).url }}"},
        item={"url": "{{ case(0).url }}", "more": [{"password": "{{ case(0).secrets['password'] }}"}]},
        header="Authorization: Bearer {{ key }}",
        pair="token={{ case(6).secrets['token'] }}",
        chained="simplecache::{{ case(7).url }}",
        relative="{{ case(8).url[6:] }}",
        collapsed="{{ case(9).url | replace('//', '/') }}",
        **{"named {{ case(1).number }}": "'{{ case(1).url }}'"},
    )
    submit = SubmitSTTOperator(
        task_id="submit", audio="{{ case(16).url }}", options="{{ case(16).options | tojson }}"
    )
    dag.render_template_as_native_obj = True
    wait = STTCompletionSensor(
        task_id="wait",
        generation_id=submit.output,
        source="\t{{ case(16).url }}",
        results_path=str(tmp_path),
        outlets=[AssetAlias("sensor")],
        poke_interval=0.1,
        post_execute=tell(said),
    )
    assert wait.upstream_task_ids == {"submit"}
    run = run_dag(dag)
    assert run.state == "success"
    fields = RenderedTaskInstanceFields.get_templated_fields(run.tasks["function", -1])
    assert json.dumps(fields).count("talk-") >= 7
    assert_nothing_leaked(said, [tmp_path], capfd, caplog, count=CASES)


@pytest.mark.parametrize(
    "audio",
    [
        "\n {{ case(0).url }} \n/a.mp3",
        "//user:{{ case(0).secrets['password'] }}@example.com/a.mp3",
        "simplecache::{{ case(0).url }}",
        "{{ path(case(0).url) }}",
        "az://container/a.mp3?sv=1&sig={{ case(0).secrets['signature'] }}",
        "see {{ case(0).url }}",
    ],
)
def test_audio_that_is_no_url_is_refused_without_a_word_of_its_secrets(
    echo, dag, run_dag, said, capfd, caplog, audio
):
    dag.user_defined_macros = {"case": Case, "path": Path}
    TranscribeOperator(task_id="transcribe", audio=audio, retries=0)
    run = run_dag(dag)
    (error,) = run.errors
    assert isinstance(error, LaplasArgumentError)
    assert not echo.requests
    shown = RenderedTaskInstanceFields.get_templated_fields(run.tasks["transcribe", -1])
    assert list(found_in(f"{error!r} {shown} {caplog.text} {capfd.readouterr()}", all_secrets(1))) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": {"url": Case(1).url}},
        {"language": {"url": Case(1).url}},
        {"tag": Case(1).url},
        {"timeout": Case(1).url},
        {"defer_after": Case(1).url},
        {"deferrable": Case(1).url},
        {"durable": Case(1).url},
        {"on_expired": Case(1).url},
        {"results_path": [Case(1).url]},
        {"results_path": Case(1).url},
        {"formats": Case(1).url},
        {"formats": [Case(1).url]},
        {"captions": {"frame_rate": Case(1).url}},
        {"captions": {Case(1).url: 1}},
        {"quality": {"language": Case(1).url}},
        {"audio": Path(Case(1).url)},
        {"audio": f"{Case(1).url} {Case(1).url}"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_an_argument_that_is_wrong_is_refused_without_a_word_of_its_secrets(dag, wrong):
    with pytest.raises(LaplasArgumentError) as caught:
        TranscribeOperator(**({"task_id": "transcribe", "audio": "/in/a.mp3"} | wrong))
    assert list(found_in(f"{caught.value!r} {vars(caught.value)}", all_secrets(2))) == []
