"""The worker's half of a batch: what is submitted, and when its ids are noted."""

import asyncio

import pytest
from upath import UPath

from airflow_provider_laplas.api.options import DEFAULT_MODEL
from airflow_provider_laplas.api.resume import ResumePolicy
from airflow_provider_laplas.batch.submit import Request, submit_pending
from airflow_provider_laplas.manifest import FileState
from airflow_provider_laplas.storage import Storage
from tests.fake_api import answer_healthily, reply
from tests.wire.batch.conftest import client

REQUEST = Request(DEFAULT_MODEL, {}, 600.0, ResumePolicy())


def submit(state, room=100, request=REQUEST):
    submit_pending(client, state, lambda record: record.source, request, room=room, stopped=lambda: False)


class Away(Storage):
    """Storage that takes no ids."""

    def write_text(self, uri, text):
        if '"submitted"' in text:
            raise OSError("the storage is away")
        super().write_text(uri, text)


def test_ids_are_noted_while_other_files_are_still_being_submitted(api, begin, noted):
    ids = []

    async def answer_when_noted(api, request):
        async with asyncio.timeout(20):
            while not ids:
                await asyncio.sleep(0.01)
                ids.extend(entry.generation_id for entry in noted().having(FileState.SUBMITTED))
        await answer_healthily(api, request)

    api.script("POST", answer_when_noted)
    state = begin(3)
    submit(state)
    assert state.tally.counts() == {"submitted": 3}
    assert ids
    assert all(ids)


def test_ids_are_in_the_log_where_the_manifest_cannot_be_written_and_nothing_under_way_is_cut_off(
    api, begin, monkeypatch, caplog
):
    async def answer_late(api, request):
        await asyncio.sleep(0.5)
        await answer_healthily(api, request)

    monkeypatch.setattr("airflow_provider_laplas.persistence.WRITE_ATTEMPTS", 1)
    api.script("POST", *[answer_late] * 2)
    state = begin(4)
    state.journal.storage = Away(UPath)
    with pytest.raises(OSError, match="away"):
        submit(state)
    assert len(api.generations) >= 2
    assert all(generation_id in caplog.text for generation_id in api.generations)


def test_a_429_to_a_submission_slows_all_of_them_down_and_ends_none(api, begin, caplog):
    api.script("POST", *[reply(429, headers=[("Retry-After", "0")])] * 3)
    state = begin(7)
    submit(state)
    assert state.tally.counts() == {"submitted": 7}
    assert "fewer requests" in caplog.text
