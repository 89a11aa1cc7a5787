"""What is taken over of what lies in the folder."""

import json

from airflow_provider_laplas.batch.wait import seconds_of
from airflow_provider_laplas.manifest import FileRecord, FileState, Manifest
from airflow_provider_laplas.manifest.takeover import adopt_outputs
from tests.fake_api import transcript_reply
from tests.unit.manifest.conftest import OWNER


def test_an_output_of_an_earlier_submission_is_not_taken_for_the_new_one(uri, storage):
    manifest = Manifest(uri, OWNER, 0, storage=storage)
    output = f"{manifest.folder}/a.json"
    storage.write_text(output, json.dumps(transcript_reply("an old one")))
    entry = FileRecord("a", "f", "a.json", FileState.SUBMITTED, "g", replaces=storage.info(output).modified)
    manifest.entries.append(entry)
    adopt_outputs(manifest, seconds_of)
    assert entry.state is FileState.SUBMITTED
    storage.write_text(output, json.dumps(transcript_reply("the new one")))
    adopt_outputs(manifest, seconds_of)
    assert (entry.state, entry.audio_seconds) == (FileState.COMPLETED, 1.5)


def test_one_reply_without_a_transcript_that_was_stored_holds_nobody_back(uri, storage):
    entries = [FileRecord(name, "f", f"{name}.json", FileState.SUBMITTED, name) for name in ("a", "b")]
    manifest = Manifest(uri, OWNER, 0, entries, storage=storage)
    heard = {"a": {"status": "completed", "result": {"unheard": 1}}, "b": transcript_reply()}
    for entry in entries:
        storage.write_text(manifest.uri_of(entry), json.dumps(heard[entry.source]))
    adopt_outputs(manifest, seconds_of)
    assert [entry.audio_seconds for entry in entries] == [None, 3.5]
