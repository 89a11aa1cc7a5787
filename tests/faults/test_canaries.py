"""Every way to fail, with a key, a signature, a password and speech that would be recognised anywhere."""

import sqlite3
from contextlib import closing

from tests.corpus import CASES, all_secrets, found_in
from tests.corpus import SPEECH as SPOKEN
from tests.fake_api import error_body, html, reply, reset_after_body, transcript_reply, truncated
from tests.faults.conftest import CANARY, CANARY_URL, KEY, PRIVATE

SPEECH = f"speech-{CANARY}"


def ways_to_fail(echo):
    """What each server does, to POSTs and to GETs; they repeat what they were sent, as servers do."""
    spoken = transcript_reply(SPEECH)
    yield [], []
    for status in (400, 401, 403, 404, 413, 422, 429, 500):
        yield [reply(status, error_body(status, echo))], []
    yield [html(502)], []
    yield [reset_after_body()], []
    yield [reply(302, {}, headers=[("Location", CANARY_URL)])], []
    yield [reply(201, {"generation_id": None, "echo": echo})], []
    yield [], [truncated(spoken)]
    for status in (401, 404):
        yield [], [reply(status, error_body(status, echo))]
    yield [], [reply(200, {"status": "failed", "error": {"message": echo}})]
    yield [], [reply(200, {"status": "completed", "result": {"unheard": SPEECH}})]
    yield [], [reply(200, {"status": echo})]


def test_no_error_path_writes_down_a_key_a_signature_a_password_or_speech(stack, canary_apis, figures):
    servers = []
    for number, api in canary_apis:
        api.default_reply = transcript_reply(SPEECH)
        api.polls_until_done = 0
        servers.append((number, api))
    ways = list(ways_to_fail(f"{KEY} may not use {CANARY_URL}"))
    used = []
    for (number, api), (post, get) in zip(servers, ways, strict=False):
        # More often than three tasks with all their repetitions will ask.
        api.script("POST", *post * 30)
        api.script("GET", *get * 300)
        used.append(f"laplas_{number}")
    assert len(used) == len(ways)
    run_id = stack.trigger("canaries", {"conn_ids": used})
    stack.wait("canaries", run_id, 900)
    tasks = stack.task_states("canaries", run_id)
    assert {"success", "failed"} <= {task.state for task in tasks}
    # The healthy server's transcripts did arrive: there was speech to leak.
    assert stack.xcom("canaries", run_id, "transcribe", map_index=0)["text"] == SPEECH

    found = [*in_files(stack.home), *in_database(stack.home / "airflow.db")]
    figures["tasks run with secrets and speech to leak"] += sum(
        task.task_id in {"transcribe", "in_place", "submit"} for task in tasks
    )
    figures["secrets and speech found"] += len(found)
    assert not found


def test_hundreds_of_secrets_that_a_server_repeats_are_found_nowhere(stack, echo_api, folder, figures):
    results = folder / "corpus"
    run_id = stack.trigger("corpus", {"results_path": str(results)})
    stack.wait("corpus", run_id, 900)
    tasks = stack.task_states("corpus", run_id)
    states = {task.task_id: task.state for task in tasks if task.task_id != "transcribe"}
    assert states == dict.fromkeys(("batch", "function", "submit", "wait"), "success")
    assert {task.state for task in tasks if task.task_id == "transcribe"} == {"success", "failed"}
    # Every recording has been sent.
    assert echo_api.numbers == set(range(CASES))

    secrets = all_secrets(CASES)
    texts = {str(path): path.read_text(errors="replace") for path in written(stack.home)}
    # A reply is the server's, to the letter.
    texts |= {
        str(path): path.read_text() for path in (results / "batch").rglob("*manifest*") if path.is_file()
    }
    texts |= {
        str(path): path.read_text() for path in (results / "batch" / ".manifest").rglob("*") if path.is_file()
    }
    texts |= dict(tables(stack.home / "airflow.db"))
    found = [f"{where}: {what}" for where, text in texts.items() for what in found_in(text, secrets)]
    found += [f"{where}: speech" for where, text in texts.items() if where != "xcom" and SPOKEN in text]
    figures["tasks run with secrets and speech to leak"] += len(tasks)
    figures["secrets and speech found"] += len(found)
    assert not found


def written(home):
    """Yield the files that Airflow's processes and the tasks have written."""
    for path in home.rglob("*"):
        if path.is_file() and not path.name.startswith("airflow.db"):
            yield path


def tables(path):
    """Yield each table's name, and all that is in it."""
    with closing(sqlite3.connect(path)) as database:
        for (name,) in database.execute("select name from sqlite_master where type = 'table'").fetchall():
            yield name, repr(database.execute(f'select * from "{name}"').fetchall())


def in_files(home):
    """Search all that Airflow's processes and the tasks have written."""
    searched = 0
    for path in written(home):
        searched += 1
        content = path.read_bytes()
        for canary in (*PRIVATE, SPEECH):
            if canary.encode() in content:
                at = content.index(canary.encode())
                yield f"{path}: {content[max(0, at - 300) : at + 80]!r}"
    assert searched > 20


def in_database(path):
    """Search every column of every table; speech may lie in XComs, which are the results."""
    with closing(sqlite3.connect(path)) as database:
        tables = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'")]
        for table in tables:
            canaries = PRIVATE if table == "xcom" else (*PRIVATE, SPEECH)
            for row in database.execute(f'select * from "{table}"'):
                text = repr(row)
                for canary in canaries:
                    if canary in text:
                        yield f"{table}: {text[max(0, text.index(canary) - 300) :][:400]}"
    assert "task_instance" in tables
