"""The documentation's code is run, its links lead somewhere, and what it says of the code is true."""

import ast
import inspect
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import tomllib
from contextlib import suppress
from pathlib import Path

import pytest
from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.providers.sqlite.hooks.sqlite import SqliteHook
from airflow.sdk import Variable
from packaging.requirements import Requirement

from airflow_provider_laplas import captions, errors, sql
from airflow_provider_laplas.api.options import OPTION_NAMES
from airflow_provider_laplas.api.retry import ANSWERS
from airflow_provider_laplas.batch.batch import Batch
from airflow_provider_laplas.client.settings import EXTRA_FIELDS, ConnectionSettings, read_arguments
from airflow_provider_laplas.exceptions import as_airflow_error
from airflow_provider_laplas.hooks import LaplasHook
from airflow_provider_laplas.local.cli import serve
from airflow_provider_laplas.local.options import IGNORED, REFUSED
from airflow_provider_laplas.manifest import FAILED_STATES, FileRecord, FileState, Manifest
from airflow_provider_laplas.media import MediaSettings
from airflow_provider_laplas.operators import SubmitSTTOperator, TranscribeBatchOperator, TranscribeOperator
from airflow_provider_laplas.provider_info import get_provider_info
from airflow_provider_laplas.sensors import STTCompletionSensor
from airflow_provider_laplas.task.base import BaseSTTOperator
from airflow_provider_laplas.task.generation import summarise
from airflow_provider_laplas.transcript import Transcript
from airflow_provider_laplas.transcript.quality import QualitySettings
from tests.airflow_names import BaseHook, DagBag
from tests.benchmarks import common
from tests.docs.pages import (
    DAGS,
    DOCKERFILES,
    NOT_RUN,
    PAGES,
    PYTHON,
    SHELL,
    YAML,
    commands,
    run_commands,
)
from tests.faults.conftest import NAMES
from tests.paths import ROOT

REPLY = ROOT / "tests" / "unit" / "replies" / "deepgram_full.json"
SOURCES = "\n".join(path.read_text() for path in (ROOT / "airflow_provider_laplas").rglob("*.py"))
PLAIN = {name: code for name, code in PYTHON.items() if name not in DAGS}


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


def test_the_table_of_what_an_answer_means_is_the_codes():
    shown = [
        [
            f"{answer.statuses.start} to {answer.statuses.stop - 1}"
            if isinstance(answer.statuses, range)
            else ", ".join(map(str, answer.statuses)),
            "perhaps" if answer.made else "no",
            answer.why,
        ]
        for answer in ANSWERS
    ]
    assert rows(section(page("costs-and-retries"), "What an answer means"))[1:] == shown


# The examples


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The files that the examples read, in the working directory."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(REPLY, "transcript.json")
    folder = tmp_path / "transcripts"
    folder.mkdir()
    shutil.copy(REPLY, folder / "a.mp3.json")
    manifest = Manifest(
        f"{folder}/manifest.json",
        {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1},
        0,
        [
            FileRecord(
                "s3://bucket/a.mp3",
                "f",
                "a.mp3.json",
                state=FileState.COMPLETED,
                generation_id="g-1",
                completed_at=1.8e9,
                audio_seconds=6.5,
            ),
            FileRecord(
                "s3://bucket/b.mp3", "f", "b.mp3.json", state=FileState.FAILED, error="No audio in it."
            ),
        ],
    )
    (folder / "manifest.json").write_text(manifest.to_json())
    return folder


def test_every_block_of_code_is_one_that_a_test_runs():
    for name, text in PAGES.items():
        # Pictures are drawn by whoever shows the page.
        code = re.sub(r"^```mermaid\n.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
        fences = re.findall(r"^[ >]*(?:```|~~~)", code, re.MULTILINE)
        assert len(fences) == 2 * sum(
            found.startswith(f"{name}:") for found in (*PYTHON, *SHELL, *YAML, *DOCKERFILES)
        ), name


@pytest.mark.parametrize("name", PLAIN)
def test_every_example_that_is_no_dag_runs(name, files):
    Path("example.py").write_text(PLAIN[name])
    bag = DagBag(Path("example.py"), safe_mode=False)
    assert not bag.import_errors
    # Made in a way that test_dags.py would not see.
    assert not bag.dags


def test_no_two_examples_are_the_same_dag():
    ids = re.findall(r'^with DAG\("(\w+)"', "".join(DAGS.values()), re.MULTILINE)
    # The README's is the first one of its page.
    assert {name for name in ids if ids.count(name) > 1} == {"transcribe_interview"}


def functions(code):
    """The functions that a block defines, to be called."""
    namespace = {}
    exec(compile(code, "example", "exec"), namespace)
    return {node.name: namespace[node.name] for node in ast.parse(code).body if hasattr(node, "args")}


def test_every_function_of_the_examples_does_what_its_page_says(files, monkeypatch, tmp_path):
    examples = {
        name: made
        for block, code in PLAIN.items()
        # Those need a server: tests/wire/client/test_docs.py.
        if not block.startswith("docs/client.md")
        for name, made in functions(code).items()
    }
    connection = {"conn_type": "sqlite", "host": str(tmp_path / "transcripts.db")}
    monkeypatch.setenv("AIRFLOW_CONN_TRANSCRIPTS", json.dumps(connection))
    hook = SqliteHook("transcripts")
    sql.create_tables(hook)
    examples.pop("load_one")(hook, f"{files}/a.mp3.json", "s3://bucket/a.mp3")
    (hit,) = examples.pop("where_was_it_said")(hook, "hello doctor")
    assert hit == ("s3://bucket/a.mp3", 3.5, "1", "Hello, doctor.")
    examples.pop("write_report")(hook, f"{files}/manifest.json", f"{tmp_path}/report.html")
    written = (tmp_path / "report.html").read_text()
    assert "No audio in it." in written
    assert "doctor" not in written
    assert not examples


# The commands

READ = {
    "AIRFLOW_CONN_LAPLAS_DEFAULT": lambda: LaplasHook().settings.api_key == "YOUR-KEY",
    "AIRFLOW_CONN_TRANSCRIPTS_DB": lambda: isinstance(BaseHook.get_hook("transcripts_db"), PostgresHook),
    "LAPLAS_API_KEY": lambda: read_arguments(os.environ["LAPLAS_API_KEY"]).api_key == "YOUR-KEY",
    "LAPLAS_URL": lambda: read_arguments("k", os.environ["LAPLAS_URL"]).base_url.startswith(
        "http://127.0.0.1:8765"
    ),
    "AIRFLOW_VAR_LAPLAS_INBOX": lambda: Variable.get("laplas_inbox") == "s3://aws_default@bucket/inbox",
    "AIRFLOW_VAR_LAPLAS_TRANSCRIPTS": lambda: (
        Variable.get("laplas_transcripts") == "s3://aws_default@bucket/transcripts"
    ),
}
"""What the pages export, and whether Airflow reads it as they mean it."""


@pytest.mark.parametrize(
    "name",
    [name for name, code in SHELL.items() if commands(code) and not name.startswith("docs/local-server.md")],
)
def test_every_command_works_and_airflow_reads_what_it_exports(name, files, tmp_path, monkeypatch):
    _, exported = run_commands(SHELL[name], tmp_path)
    written = re.findall(r"--output (\S+)", SHELL[name])
    assert exported or written
    assert all((tmp_path / output).stat().st_size for output in written)
    for variable, value in exported.items():
        monkeypatch.setenv(variable, value)
        assert READ[variable](), variable


def not_run(command):
    """The arguments of each such command, which no test runs."""
    lines = [line for code in SHELL.values() for line in code.splitlines()]
    assert command in NOT_RUN
    return [shlex.split(line, comments=True)[1:] for line in lines if line.partition(" ")[0] == command]


def test_every_target_of_make_that_is_shown_is_there():
    assert not_run("make")
    # A named Python: to look for one costs more than the rest.
    dry = ["make", "--dry-run", "PYTHON=python"]
    for arguments in not_run("make"):
        subprocess.run([*dry, *arguments], cwd=ROOT, check=True, capture_output=True)


def declared_extras():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project["optional-dependencies"].keys()


def test_every_package_that_is_shown_is_declared_with_its_extras():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    declared = {Requirement(line).name for lines in extras.values() for line in lines}
    assert not_run("pip")
    for subcommand, *packages in not_run("pip"):
        assert subcommand == "install"
        # A dot is the project itself, from a clone.
        for shown in [Requirement(re.sub(r"^\.", project["name"], package)) for package in packages]:
            assert shown.name in declared | {project["name"]}
            assert shown.extras <= declared_extras()


# The links


def anchors(text):
    """What can be linked to in a page, as a forge makes it of the titles."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


WITH_LINKS = PAGES | {name: (ROOT / name).read_text() for name in ("CONTRIBUTING.md", "SECURITY.md")}


@pytest.mark.parametrize("name", WITH_LINKS)
def test_every_link_leads_somewhere(name):
    for link in re.findall(r"\]\(([^)]+)\)", WITH_LINKS[name]):
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


def test_the_table_of_media_names_every_setting_with_its_default():
    shown = first_names(section(page("video-and-long-recordings"), "The settings"))
    for name, parameter in inspect.signature(MediaSettings).parameters.items():
        default = re.sub(r"(?: \(.*\)|: the .*)$", "", shown[name])
        assert literal(default) == parameter.default, name


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
        for name in re.findall(r'(?:_incr|\.timing)\(f?"(laplas\.[^"]+)"', SOURCES)
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
    assert IGNORED.keys() == set(re.findall(r"`(\w+)`", ignored.split("text:")[1]))


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
    assert f"more than {ingest.get_task('transcribe').limits.max_failed} recordings" in text


def test_the_registered_modules_can_be_imported():
    info = get_provider_info()
    for kind in ("hooks", "operators", "sensors", "triggers"):
        for entry in info[kind]:
            for module in entry["python-modules"]:
                __import__(module)
