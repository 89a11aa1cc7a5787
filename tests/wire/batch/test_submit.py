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


def submit(manifest):
    sources = {entry.output: entry.source for entry in manifest.entries}

    async def run():
        await submit_pending(client(), manifest, sources, REQUEST, room=len(sources), stopped=lambda: False)

    asyncio.run(run())


class Away(Storage):
    """Storage that takes the manifest so many times, and then no longer."""

    def __init__(self, times):
        super().__init__(UPath)
        self.times = times

    def write_text(self, uri, text):
        if uri.endswith("/manifest.json"):
            self.times -= 1
        if self.times < 0:
            raise OSError("the storage is away")
        super().write_text(uri, text)


def test_ids_are_noted_while_others_of_their_group_are_still_being_submitted(api, begin, noted, monkeypatch):
    ids = []

    async def answer_when_noted(api, request):
        async with asyncio.timeout(20):
            while not ids:
                await asyncio.sleep(0.01)
                ids.extend(entry.generation_id for entry in noted().having(FileState.SUBMITTED))
        await answer_healthily(api, request)

    monkeypatch.setattr("airflow_provider_laplas.batch.timing.SAVE_EVERY", 0.05)
    api.script("POST", answer_when_noted)
    manifest = begin(3)
    submit(manifest)
    assert manifest.counts() == {"submitted": 3}
    assert ids
    assert all(ids)


def test_ids_are_in_the_log_where_the_manifest_cannot_be_written_and_nothing_under_way_is_cut_off(
    api, begin, monkeypatch, caplog
):
    async def answer_late(api, request):
        await asyncio.sleep(0.5)
        await answer_healthily(api, request)

    monkeypatch.setattr("airflow_provider_laplas.batch.timing.SAVE_EVERY", 0.05)
    monkeypatch.setattr("airflow_provider_laplas.persistence.WRITE_ATTEMPTS", 1)
    api.script("POST", *[answer_late] * 2)
    manifest = begin(4)
    # The intents are written.
    manifest.storage = Away(times=1)
    with pytest.raises(OSError, match="away"):
        submit(manifest)
    assert len(api.generations) == 4
    assert all(generation_id in caplog.text for generation_id in api.generations)


def test_a_429_to_a_submission_slows_all_of_them_down_and_ends_none(api, begin, caplog):
    api.script("POST", *[reply(429, headers=[("Retry-After", "0")])] * 3)
    manifest = begin(7)
    submit(manifest)
    assert manifest.counts() == {"submitted": 7}
    assert "fewer requests" in caplog.text
