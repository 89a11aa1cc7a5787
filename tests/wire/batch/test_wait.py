"""The trigger's half of a batch: what is waited for, and when what finished is noted."""

import asyncio
import time

import pytest

from airflow_provider_laplas.api.poller import Poller
from airflow_provider_laplas.batch.notes import Notes
from airflow_provider_laplas.batch.publish import publish_completed
from airflow_provider_laplas.batch.wait import wait_for_submitted
from airflow_provider_laplas.errors import LaplasArgumentError, LaplasStorageError
from airflow_provider_laplas.manifest import FileState
from airflow_provider_laplas.manifest.lease import take_lease
from airflow_provider_laplas.manifest.state import BatchState
from airflow_provider_laplas.results.output import Output
from airflow_provider_laplas.transcript.quality import QualitySettings
from tests.airflow_names import AirflowTaskTimeout
from tests.fake_api import answer_healthily
from tests.wire.batch.conftest import OWNER, client


@pytest.fixture
def submitted(api, begin):
    """A batch of so many files that are submitted."""

    def make(count):
        state = begin(count)
        for record in state.next_pending(count):
            state.transition(
                record, FileState.SUBMITTED, generation_id=api.create(), deadline=time.time() + 60
            )
        state.note()
        return state

    return make


def wait(state, **arguments):
    async def run():
        await wait_for_submitted(client(), state, poll_interval=0.1, resume_at=0, **arguments)

    asyncio.run(run())


def suffixes(folder):
    return sorted(path.suffix for path in folder.glob("0.mp3*"))


def test_what_finished_is_noted_though_nothing_else_finishes(api, submitted, noted, monkeypatch):
    seen = []

    async def answer_when_noted(api, request):
        async with asyncio.timeout(20):
            while not seen:
                await asyncio.sleep(0.01)
                seen.extend(noted().having(FileState.COMPLETED))
        await answer_healthily(api, request)

    # Longer than it takes until the first file is done, so that it is not noted right then.
    monkeypatch.setattr("airflow_provider_laplas.batch.timing.SAVE_EVERY", 2.0)
    api.polls_until_done = 0
    api.script("GET", answer_when_noted)
    state = submitted(2)
    wait(state)
    assert state.tally.counts() == {"completed": 2}
    assert len(seen) == 1


def test_formats_are_written_as_each_file_finishes_and_the_worker_reads_none_again(
    api, submitted, tmp_path, storage, monkeypatch
):
    output = Output(("json", "srt", "txt"), None, QualitySettings())
    state = submitted(3)
    wait(state, output=output)
    assert suffixes(tmp_path) == [".json", ".srt", ".txt"]
    monkeypatch.setattr(storage, "read_text", None)
    publish_completed(state, output)
    assert not list(state.having(*FileState))


def test_what_is_not_good_enough_has_no_formats_and_is_left_to_the_worker(api, submitted, noted, tmp_path):
    output = Output(("json", "srt"), None, QualitySettings(language="fail", expected_language="ta"))
    state = submitted(1)
    wait(state, output=output)
    assert suffixes(tmp_path) == [".json"]
    publish_completed(state, output)
    assert noted().counts() == {"rejected": 1}


def test_a_format_that_cannot_be_written_leaves_the_file_to_the_worker(api, submitted, tmp_path, storage):
    def refuse(uri, text):
        if uri.endswith(".srt"):
            raise LaplasStorageError("full")
        write(uri, text)

    write, storage.write_text = storage.write_text, refuse
    output = Output(("json", "srt"), None, None)
    state = submitted(1)
    wait(state, output=output)
    storage.write_text = write
    assert suffixes(tmp_path) == [".json"]
    publish_completed(state, output)
    assert suffixes(tmp_path) == [".json", ".srt"]


def test_a_time_out_of_airflow_that_comes_up_in_a_wait_ends_it(api, submitted, noted, monkeypatch):
    def time_out(poller, outcome):
        raise AirflowTaskTimeout

    monkeypatch.setattr(Poller, "observe", time_out)
    state = submitted(2)
    with pytest.raises(AirflowTaskTimeout):
        wait(state)
    assert [entry.state for entry in noted().entries] == ["submitted"] * 2


def test_a_reply_whose_first_write_failed_does_not_replace_that_of_the_next_holder(
    api, submitted, storage, tmp_path, monkeypatch
):
    def lose_the_lease(uri, text):
        storage.write_text = write
        take_lease(state.uri, OWNER, storage, after=state.lease)
        write(uri, "of newer audio")
        raise LaplasStorageError("reset")

    state = submitted(1)
    write, storage.write_text = storage.write_text, lose_the_lease
    with pytest.raises(LaplasArgumentError, match="another try"):
        wait(state)
    assert [path.read_text() for path in tmp_path.glob("0.mp3*")] == ["of newer audio"]


def test_a_check_of_the_lease_that_takes_long_is_made_once(submitted, storage, monkeypatch):
    checks = []
    monkeypatch.setattr("airflow_provider_laplas.batch.timing.LEASE_VALID", 0.0)
    monkeypatch.setattr(BatchState, "check", lambda state: checks.append(state.uri))

    async def note():
        await asyncio.wait_for(Notes(submitted(1)).noted(check=True), 20)

    asyncio.run(note())
    assert len(checks) == 1
