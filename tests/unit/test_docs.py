"""The documentation's code is run, its links lead somewhere, and what it says of the code is true."""

import ast
import inspect
import itertools
import json
import re
import shutil
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.providers.postgres.hooks import postgres
from airflow.providers.sqlite.hooks.sqlite import SqliteHook
from airflow.sdk import Connection

from airflow_provider_laplas import captions, errors, sql
from airflow_provider_laplas.base import BaseSTTOperator
from airflow_provider_laplas.batch import Batch
from airflow_provider_laplas.completion import summarise
from airflow_provider_laplas.connection import EXTRA_FIELDS, ConnectionSettings, read_connection
from airflow_provider_laplas.exceptions import as_airflow_error
from airflow_provider_laplas.local.cli import serve
from airflow_provider_laplas.local.options import IGNORED, REFUSED
from airflow_provider_laplas.manifest import FAILED_STATES, Entry, FileState, Manifest
from airflow_provider_laplas.operators import SubmitSTTOperator, TranscribeBatchOperator, TranscribeOperator
from airflow_provider_laplas.options import OPTION_NAMES
from airflow_provider_laplas.provider_info import get_provider_info
from airflow_provider_laplas.quality import QualitySettings
from airflow_provider_laplas.results import load_transcript
from airflow_provider_laplas.sensors import STTCompletionSensor
from airflow_provider_laplas.transcript import Transcript
from tests.benchmarks import common
from tests.fake_api import WORDS, FakeAPI
from tests.faults.conftest import NAMES

ROOT = Path(__file__).parents[2]
REPLY = Path(__file__).parent / "replies" / "deepgram_full.json"
SOURCES = "\n".join(path.read_text() for path in (ROOT / "airflow_provider_laplas").rglob("*.py"))
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
}
BLOCKS = {
    f"{name}:{number}": code
    for name, text in PAGES.items()
    for number, code in enumerate(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
}


def page(name):
    return PAGES[f"docs/{name}.md"]


def rows(text):
    """Every row of every table, as a list of cells."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|") and not line.startswith("|---")
    ]


def first_names(text):
    """The name in backquotes with which a table's row begins, and the row's last cell."""
    found = {}
    for cells in rows(text):
        for name in re.findall(r"`([^`]+)`", cells[0]):
            found[name] = cells[-1]
    return found


def section(text, title):
    return re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)[1]


# The examples


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The files that the examples read, in the working directory."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(REPLY, "transcript.json")
    folder = tmp_path / "transcripts"
    folder.mkdir()
    shutil.copy(REPLY, folder / "a.mp3.json")
    Manifest(
        f"{folder}/manifest.json",
        {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1},
        0,
        [
            Entry(
                "s3://bucket/a.mp3",
                "f",
                "a.mp3.json",
                state=FileState.COMPLETED,
                generation_id="g-1",
                completed_at=1.8e9,
                audio_seconds=6.5,
            ),
            Entry("s3://bucket/b.mp3", "f", "b.mp3.json", state=FileState.FAILED, error="No audio in it."),
        ],
    ).save()
    return folder


def run(code):
    """Run a block of code and return its names."""
    namespace = {}
    exec(compile(code, "example", "exec"), namespace)
    return namespace


def block(text):
    """The one block of code in which a text stands, run."""
    (code,) = [code for code in BLOCKS.values() if text in code]
    return run(code)


@pytest.mark.parametrize("name", BLOCKS)
def test_every_example_runs_and_its_dags_are_dags(name, files):
    Path("example.py").write_text(BLOCKS[name])
    bag = DagBag(Path("example.py"), safe_mode=False)
    assert not bag.import_errors
    assert len(bag.dags) == len(re.findall(r"^with DAG\(|^@dag", BLOCKS[name], re.MULTILINE))
    assert all(dag.tasks for dag in bag.dags.values())


def test_no_two_examples_are_the_same_dag():
    ids = re.findall(r'^with DAG\("(\w+)"', "".join(BLOCKS.values()), re.MULTILINE)
    # The README's is the first one of its page.
    assert {name for name in ids if ids.count(name) > 1} == {"transcribe_interview"}


def task_instance(**xcoms):
    values = {"return_value": {"result": "transcript.json"}, **xcoms}
    return SimpleNamespace(xcom_pull=lambda task_ids, key="return_value": values[key])


def test_the_examples_use_what_a_task_returns(files, capsys):
    # The README's prints, its page's returns.
    readme = run(BLOCKS["README.md:0"])
    readme["use"].function(ti=task_instance(text="and so my fellow"))
    assert capsys.readouterr().out == "4 words\n"
    assert run(BLOCKS["docs/transcribe-one.md:0"])["use"].function(ti=task_instance(text="a b")) == {
        "words": 2
    }
    spoken = block("words_per_minute")["words_per_minute"].function(ti=task_instance())
    transcript = load_transcript("transcript.json")
    assert spoken == pytest.approx(len(transcript.words) / transcript.duration * 60)


def test_the_examples_read_events(files):
    class Events(dict):
        def __getitem__(self, alias):
            return dict.__getitem__(self, alias.name)

    def event(uri, /, **extra):
        return SimpleNamespace(asset=SimpleNamespace(uri=uri), extra=extra)

    written = Events(
        subtitles=[
            event(f"s3://bucket/g.{name}", uri=f"s3://aws@bucket/g.{name}") for name in ("json", "vtt")
        ]
    )
    publish = block("publish_subtitles")["publish"].function
    assert publish(triggering_asset_events=written) == ["s3://aws@bucket/g.vtt"]
    count = block("count_archive")["count"].function
    uri = f"{files}/manifest.json"
    manifest = Events(archive=[event(f"file://{uri}", manifest=uri)])
    assert count(triggering_asset_events=manifest) == {"completed": 1, "failed": 1}


def test_the_hooks_example_transcribes(monkeypatch):
    with FakeAPI() as api:
        connection = {"conn_type": "laplas", "host": api.url, "password": api.key}
        monkeypatch.setenv("AIRFLOW_CONN_LAPLAS_DEFAULT", json.dumps(connection))
        said = block("transcribe_in_python")["first_words"].function("https://example.com/a.mp3")
    assert said == " ".join(WORDS)[:20]


def test_the_databases_examples_load_search_and_report(files, monkeypatch, tmp_path):
    connection = {"conn_type": "sqlite", "host": str(tmp_path / "transcripts.db")}
    monkeypatch.setenv("AIRFLOW_CONN_TRANSCRIPTS", json.dumps(connection))
    monkeypatch.setattr(postgres, "PostgresHook", SqliteHook)
    hook = SqliteHook("transcripts")
    load = block("archive_to_database")["load"].function
    summary = {"manifest": f"{files}/manifest.json", "results_path": str(files)}
    assert [load(summary)["transcripts"] for _ in range(2)] == [1, 0]
    assert sql.generations(hook) == {f"{files}/a.mp3.json": "g-1"}
    block("def load_one")["load_one"](hook, f"{files}/a.mp3.json", "s3://bucket/a.mp3")
    (hit,) = block("where_was_it_said")["where_was_it_said"](hook, "hello doctor")
    assert hit == ("s3://bucket/a.mp3", 3.5, "1", "Hello, doctor.")
    block("write_report")["write_report"](hook, summary["manifest"], f"{tmp_path}/report.html")
    written = (tmp_path / "report.html").read_text()
    assert "No audio in it." in written
    assert "doctor" not in written


def test_every_connection_that_is_shown_is_one(monkeypatch):
    shown = [
        found
        for text in PAGES.values()
        for found in re.findall(r"^export AIRFLOW_CONN_LAPLAS_DEFAULT='(.*)'$", text, re.MULTILINE)
    ]
    assert len(shown) == 4
    for text in shown:
        connection = (
            Connection.from_json(text) if text.startswith("{") else Connection.from_uri(text, conn_id="c")
        )
        settings = read_connection(
            host=connection.host,
            schema=connection.schema,
            port=connection.port,
            password=connection.password,
            extra=connection.extra_dejson,
        )
        assert settings.api_key in {"YOUR-KEY", "any-key-you-like"}


# The links


def anchors(text):
    """What can be linked to in a page, as a forge makes it of the titles."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name):
    for link in re.findall(r"\]\(([^)]+)\)", PAGES[name]):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text()), link


def test_every_page_is_in_the_readmes_table_of_contents():
    for name in PAGES:
        assert name == "README.md" or f"]({name})" in PAGES["README.md"]


def test_the_readme_is_short():
    assert len(PAGES["README.md"].splitlines()) < 150


def figures_of(name, marks):
    """What stands between the marks of that name."""
    return re.search(rf"<!-- figures: {marks} -->\n(.*?)<!-- end -->", page(name), re.DOTALL)[1]


def test_the_figures_have_their_places():
    assert "<!-- figures: bench -->" in section(page("transcribe-thousands"), "What it costs")
    assert figures_of("costs-and-retries", "faults")


def test_the_tables_of_figures_are_as_the_generator_writes_them():
    for name, marks in (("transcribe-thousands", "bench"), ("costs-and-retries", "faults")):
        for written in re.findall(r"(?:^\|.*\n)+", figures_of(name, marks), re.MULTILINE):
            columns, _, *cells = rows(written)
            assert written.strip() == common.table(columns, cells)


def test_the_faults_are_those_that_the_suite_counts_in_its_order():
    assert [cells[0] for cells in rows(figures_of("costs-and-retries", "faults"))[2:]] == list(NAMES)


# What is said of the code


def arguments(*kinds):
    return {
        name: parameter.default
        for kind in kinds
        for name, parameter in inspect.signature(kind.__init__).parameters.items()
        if name not in {"self", "kwargs"}
    }


def literal(cell):
    """A default as a table shows it; an exception where it is described in words."""
    return ast.literal_eval(cell.strip("`"))


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("transcribe-one", [BaseSTTOperator, SubmitSTTOperator]),
        ("transcribe-one", [BaseSTTOperator, TranscribeOperator]),
        ("transcribe-one", [STTCompletionSensor]),
        ("transcribe-thousands", [BaseSTTOperator, TranscribeBatchOperator]),
    ],
)
def test_every_argument_is_in_its_page_with_its_default(name, kinds):
    shown = first_names(page("transcribe-one")) | first_names(page(name))
    for argument, default in arguments(*kinds).items():
        assert argument in shown, argument
        if argument in OPTION_NAMES or default in (None, inspect.Parameter.empty):
            continue
        with suppress(ValueError, SyntaxError):
            said = literal(shown[argument])
            assert said == (list(default) if isinstance(default, tuple) else default), argument
    own = arguments(TranscribeBatchOperator)
    assert set(own) <= set(first_names(page("transcribe-thousands")))


def test_every_option_of_the_api_is_in_the_table():
    assert set(first_names(section(page("transcribe-one"), "The API's options"))) >= OPTION_NAMES


def test_the_connections_table_names_every_field_with_its_default():
    shown = {
        name.split()[-1]: cells[-1] for cells in rows(page("connect")) for name in [cells[0].replace("`", "")]
    }
    defaults = inspect.signature(ConnectionSettings).parameters
    assert set(shown) >= set(EXTRA_FIELDS)
    for name in EXTRA_FIELDS:
        said = re.sub(r" \(.*\)$", "", shown[name]).strip("`")
        with suppress(ValueError):
            assert json.loads(said) == defaults[name].default, name


def test_the_quality_table_names_every_setting_with_its_default():
    shown = first_names(section(page("transcribe-one"), "Quality checks"))
    for name, parameter in inspect.signature(QualitySettings).parameters.items():
        assert literal(shown[name]) == parameter.default, name


def test_what_tasks_return_is_in_the_tables():
    transcript = Transcript.from_reply(json.loads(REPLY.read_text()))
    summary = summarise("g", transcript, "file:///g.json", {})
    assert set(first_names(section(page("transcribe-one"), "What a waiting task returns"))) == set(summary)
    keys = set(re.findall(r'"(\w+)": ', inspect.getsource(Batch.summarise)))
    assert keys
    assert keys <= set(first_names(section(page("transcribe-thousands"), "What is written")))


def test_every_state_of_a_file_is_in_the_table_and_whether_it_counts_as_failed():
    shown = first_names(section(page("transcribe-thousands"), "The manifest"))
    assert set(shown) == set(FileState)
    assert {name for name, counts in shown.items() if counts == "yes"} == FAILED_STATES


def test_every_state_of_a_file_is_among_what_a_later_try_does():
    table = rows(section(page("transcribe-thousands"), "What a retry, a Clear and a later run do"))
    named = set(re.findall(r"`(\w+)`", " ".join(cells[0] for cells in table)))
    assert named == set(FileState)


def test_every_metric_is_in_the_table():
    sent = {
        name.replace("{error.kind}", "KIND")
        for name in re.findall(r'Stats\.\w+\(f?"(laplas\.[^"]+)"', SOURCES)
    }
    assert sent == set(first_names(section(page("operate"), "Metrics"))) - {"LaplasGenerationGoneError"}


def test_every_metric_that_is_worth_an_alert_is_sent():
    kinds = {errors.rebuild(kind, "m", {}).kind for kind in error_types().values()}
    assert set(re.findall(r"laplas\.failures\.([a-z_]+)", page("operate"))) <= kinds


def error_types():
    bases = {"LaplasError", "LaplasGenerationError"}
    return {
        name: kind
        for name, kind in vars(errors).items()
        if re.fullmatch(r"Laplas\w+Error", name) and name not in bases
    }


def test_the_error_table_names_every_error_and_whether_it_is_retried():
    shown = first_names(section(page("costs-and-retries"), "When something goes wrong"))
    assert error_types().keys() <= shown.keys()
    for name, kind in error_types().items():
        made = type(as_airflow_error(errors.rebuild(kind, "m", {"generation_id": None})))
        final = {"AirflowFailException", "AirflowSensorTimeout"} & {base.__name__ for base in made.__mro__}
        assert (shown[name] == "no") is bool(final), name


def test_every_error_is_in_the_on_call_table_and_its_words_are_the_codes():
    table = rows(section(page("operate"), "What the log says"))
    assert error_types().keys() <= {cells[0].strip("`") for cells in table}
    # Messages are written over several literals, with what they are about between.
    source = re.sub(r'"\s+f?"', "", SOURCES)
    for words in itertools.chain.from_iterable(
        re.findall(r'"([^"]+)"', " | ".join(cells[:2])) for cells in table
    ):
        pattern = r"\S+".join(map(re.escape, re.split(r"\bG\b|…", words)))
        assert re.search(pattern, source), words


def test_the_tables_of_the_database_are_those_of_the_code(tmp_path, monkeypatch):
    connection = {"conn_type": "sqlite", "host": str(tmp_path / "transcripts.db")}
    monkeypatch.setenv("AIRFLOW_CONN_TRANSCRIPTS", json.dumps(connection))
    hook = SqliteHook("transcripts")
    sql.create_tables(hook)
    shown = first_names(section(page("database"), "The tables"))
    assert len(shown) == 3
    for table, columns in shown.items():
        there = {row[1] for row in hook.get_records(f"PRAGMA table_info({table})")} - {"id"}
        assert set(re.findall(r"`(\w+)`", columns)) == there


def test_the_local_servers_tables_name_every_option():
    options = {name for option in serve.params for name in option.opts}
    shown = first_names(section(page("local-server"), "Options"))
    assert {
        name.replace("--no-substitute", "--substitute") for name in shown if name.startswith("--")
    } == options
    same = section(page("local-server"), "What is the same, and what is not")
    refused, ignored = same.split("Named in the reply's")
    assert REFUSED.keys() <= set(re.findall(r"`(\w+)`", refused.split("asked for:")[1]))
    assert IGNORED.keys() == set(re.findall(r"`(\w+)`", ignored.split("text:")[1].split("Whisper")[0]))


def test_the_page_on_captions_names_every_limit_and_every_kind():
    shown = first_names(page("captions"))
    options = {f"--{name.replace('_', '-')}" for name in inspect.signature(captions.CaptionLimits).parameters}
    assert shown.keys() == options | captions.KINDS.keys()


def test_the_configuration_is_named():
    for name in get_provider_info()["config"]["laplas"]["options"]:
        assert f"`[laplas] {name}`" in section(page("operate"), "Configuration")


def test_the_pipelines_page_names_what_its_dags_read():
    bag = DagBag(ROOT / "dags" / "ingest_recordings.py")
    assert not bag.import_errors
    source = (ROOT / "dags" / "ingest_recordings.py").read_text()
    text = page("pipeline")
    names = [*bag.dags, *(task.task_id for dag in bag.dags.values() for task in dag.tasks)]
    for name in [*names, *re.findall(r"\b(laplas_\w+|transcripts_db)\b", source)]:
        assert f"`{name}`" in text, name
    ingest = bag.dags["ingest_recordings"]
    shown = first_names(section(text, "What to set"))
    assert ingest.params.keys() <= shown.keys()
    assert literal(shown["settle_seconds"]) == ingest.params["settle_seconds"]
    assert f"more than {ingest.get_task('transcribe').max_failed} recordings" in text


def test_the_registered_modules_can_be_imported():
    info = get_provider_info()
    for kind in ("hooks", "operators", "sensors", "triggers"):
        for entry in info[kind]:
            for module in entry["python-modules"]:
                __import__(module)
