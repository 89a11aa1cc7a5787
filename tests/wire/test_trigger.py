"""The trigger over a real wire: it waits, brings the reply to safety, and says where it lies."""

import asyncio
import contextlib
import json
import time

import pytest

from airflow_provider_laplas.errors import (
    LaplasAuthenticationError,
    LaplasError,
    LaplasGenerationFailedError,
    LaplasGenerationGoneError,
    LaplasGenerationTimeoutError,
)
from airflow_provider_laplas.events import CompletionEvent
from airflow_provider_laplas.results import load_transcript
from airflow_provider_laplas.triggers import (
    FIRST_POLL,
    STTBatchTrigger,
    STTCompletionTrigger,
)
from tests.fake_api import WORDS, transcript_reply, until_closed


@pytest.fixture
def make(tmp_path):
    def make(generation_id, *, seconds=30.0, **kwargs):
        arguments = {"poll_interval": 0.01, "results_path": str(tmp_path / "results"), "first_poll": -2.0}
        return STTCompletionTrigger(
            generation_id=generation_id, deadline=time.time() + seconds, **(arguments | kwargs)
        )

    return make


def run(trigger):
    async def collect():
        return [event async for event in trigger.run()]

    (event,) = asyncio.run(collect())
    return event.payload


def test_the_event_holds_the_id_and_where_the_reply_lies_and_nothing_else(api, make, tmp_path):
    generation_id = api.create()
    payload = run(make(generation_id))
    path = tmp_path / "results" / f"{generation_id}.json"
    assert payload == {"status": "completed", "generation_id": generation_id, "result": str(path)}
    assert json.loads(path.read_text()) == transcript_reply()
    assert load_transcript(payload["result"]).text == " ".join(WORDS)


def test_nothing_but_the_finished_file_is_left_in_the_folder(api, make, tmp_path):
    generation_id = api.create()
    run(make(generation_id))
    assert [path.name for path in (tmp_path / "results").iterdir()] == [f"{generation_id}.json"]


@pytest.mark.parametrize(
    ("prepare", "kind"),
    [
        (
            lambda api, g: api.complete(g, {"status": "failed", "error": "not audio"}),
            LaplasGenerationFailedError,
        ),
        (lambda api, g: api.forget(g), LaplasGenerationGoneError),
        (lambda api, g: setattr(api, "key", "other"), LaplasAuthenticationError),
        (lambda api, g: setattr(api, "polls_until_done", 10_000), LaplasGenerationTimeoutError),
    ],
)
def test_a_wait_that_ends_badly_is_an_event_with_the_typed_error(api, make, prepare, kind):
    generation_id = api.create()
    prepare(api, generation_id)
    event = CompletionEvent.from_payload(json.loads(json.dumps(run(make(generation_id, seconds=0.3)))))
    assert type(event.error) is kind
    assert event.generation_id == generation_id


def test_a_first_poll_that_is_far_away_is_made_at_the_deadline(api, make, monkeypatch):
    monkeypatch.setattr("airflow_provider_laplas.triggers.FIRST_POLL", -2.0)
    trigger = make(api.create(), seconds=0.3, first_poll=3600.0)

    async def event():
        async with asyncio.timeout(20):
            return [event.payload async for event in trigger.run()]

    (payload,) = asyncio.run(event())
    assert isinstance(CompletionEvent.from_payload(payload).error, LaplasGenerationTimeoutError)
    assert api.count("GET") == 1


@pytest.mark.parametrize(
    "payload",
    [
        None,
        {},
        "completed",
        {"status": "completed"},
        {"status": "success", "generation_id": "g"},
        {"status": "completed", "generation_id": "g", "result": None},
    ],
)
def test_an_event_that_the_trigger_never_sends_is_refused(payload):
    with pytest.raises(LaplasError, match="never sends"):
        CompletionEvent.from_payload(payload)


def test_the_arguments_survive_storage_and_hold_no_secret(api, make):
    trigger = make("g", task={"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": 3})
    path, arguments = trigger.serialize()
    assert path == "airflow_provider_laplas.triggers.STTCompletionTrigger"
    again = STTCompletionTrigger(**json.loads(json.dumps(arguments)))
    assert again.serialize() == trigger.serialize()
    assert api.key not in json.dumps(arguments)


BATCH = {
    "conn_id": "c",
    "manifest": "m",
    "lease_token": "w",
    "poll_interval": 1.0,
    "resume_at": 0,
}


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [(STTCompletionTrigger, {"generation_id": "g", "deadline": 1.0}), (STTBatchTrigger, BATCH)],
)
def test_the_usual_first_poll_is_stored_as_a_number_and_another_one_is_kept(kind, arguments):
    assert kind(**arguments).serialize()[1]["first_poll"] == FIRST_POLL
    assert kind(**arguments, first_poll=0.0).serialize()[1]["first_poll"] == 0.0


def test_the_arguments_of_tasks_that_were_deferred_by_the_version_before_are_understood():
    single = STTCompletionTrigger(generation_id="g", deadline=1.0, first_look=7.0)
    batch = STTBatchTrigger(
        **{name: value for name, value in BATCH.items() if name != "lease_token"}, claim="w", first_look=7.0
    )
    assert (single.first_poll, batch.first_poll, batch.lease_token) == (7.0, 7.0, "w")


def test_waits_on_one_connection_share_one_look_up_and_one_client(api, make, look_ups):
    async def all_at_once():
        async def one(trigger):
            return [event.payload async for event in trigger.run()]

        return await asyncio.gather(*(one(make(api.create())) for _ in range(50)))

    payloads = asyncio.run(all_at_once())
    assert all(payload["status"] == "completed" for (payload,) in payloads)
    assert look_ups == ["laplas_default"]


def test_a_trigger_that_is_cancelled_closes_the_client_and_leaves_the_others_running(api, make):
    async def scenario():
        async def one(trigger):
            return [event.payload async for event in trigger.run()]

        api.polls_until_done = 20
        first = asyncio.ensure_future(one(make(api.create(), poll_interval=5.0)))
        second = asyncio.ensure_future(one(make(api.create())))
        while api.count("GET") < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        first.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await first
        (payload,) = await second
        await until_closed(api)
        return payload["status"]

    assert asyncio.run(scenario()) == "completed"


def test_ending_the_task_says_that_the_generation_goes_on(caplog):
    asyncio.run(STTCompletionTrigger(generation_id="g-1", deadline=1.0).on_kill())
    assert "g-1" in caplog.text
    assert "billed" in caplog.text


@pytest.fixture
def tolerate(monkeypatch):
    """Have Airflow move the triggers of a triggerer that stands still for longer than some seconds."""
    monkeypatch.setattr("airflow_provider_laplas.stalls.TICK", 0.01)

    def tolerated(seconds):
        monkeypatch.setenv("AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD", str(5 + seconds))
        monkeypatch.setenv("AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC", "5")

    return tolerated


@pytest.mark.parametrize("ticks", [False, True])
def test_a_triggerer_that_stood_still_says_so_and_warns_of_nothing(api, make, caplog, tolerate, ticks):
    """Also if the clock is not looked at between the stall and the cancellation."""
    tolerate(0.2)
    caplog.set_level("INFO", "airflow_provider_laplas.triggers")
    api.polls_until_done = 10_000

    async def scenario():
        trigger = make(api.create())
        wait = asyncio.ensure_future(anext(trigger.run()))
        while not api.count("GET"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        # As SIGSTOP does.
        time.sleep(0.5)  # noqa: ASYNC251
        if ticks:
            await asyncio.sleep(0.05)
        wait.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await wait
        await trigger.on_kill()
        return trigger.generation_id

    generation_id = asyncio.run(scenario())
    (record,) = [record for record in caplog.records if record.name == "airflow_provider_laplas.triggers"]
    assert record.levelname == "INFO"
    assert f"moved the wait for generation {generation_id} to another triggerer" in record.getMessage()


def test_a_stall_that_was_over_long_ago_is_no_reason_for_a_cancellation(
    api, make, caplog, monkeypatch, tolerate
):
    tolerate(0.2)
    monkeypatch.setattr("airflow_provider_laplas.stalls.RECENT", 0.0)
    asyncio.run(_cancelled_after_a_stall(api, make))
    assert "was cancelled" in caplog.text


def test_a_stall_that_airflow_tolerates_is_no_reason_for_a_cancellation(api, make, caplog, tolerate):
    """The triggers of a triggerer that is only slow stay there, so it was a user."""
    tolerate(60)
    asyncio.run(_cancelled_after_a_stall(api, make))
    assert "was cancelled" in caplog.text


async def _cancelled_after_a_stall(api, make):
    trigger = make(api.create())
    wait = asyncio.ensure_future(anext(trigger.run()))
    await asyncio.sleep(0.01)
    time.sleep(0.5)  # noqa: ASYNC251
    await wait
    await trigger.on_kill()
