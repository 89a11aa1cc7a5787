"""What is taken over of what lies in the folder."""

import json

from airflow_provider_laplas.api.resume import Occasion, ResumePolicy
from airflow_provider_laplas.batch.wait import seconds_of
from airflow_provider_laplas.manifest import FileRecord, FileState, Manifest
from airflow_provider_laplas.manifest.files import merge
from airflow_provider_laplas.manifest.takeover import adopt_outputs, take_over
from tests.fake_api import transcript_reply


def test_an_output_of_an_earlier_submission_is_not_taken_for_the_new_one(tmp_path, storage):
    def adopt():
        adopt_outputs(
            [entry], storage.list_files(tmp_path), lambda name: seconds_of(f"{tmp_path}/{name}", storage), map
        )

    tmp_path = str(tmp_path)
    output = f"{tmp_path}/a.json"
    storage.write_text(output, json.dumps(transcript_reply("an old one")))
    entry = FileRecord("a", "f", "a.json", FileState.SUBMITTED, "g", replaces=storage.info(output).modified)
    adopt()
    assert entry.state is FileState.SUBMITTED
    storage.write_text(output, json.dumps(transcript_reply("the new one")))
    adopt()
    assert (entry.state, entry.audio_seconds) == (FileState.COMPLETED, 1.5)


def test_one_reply_without_a_transcript_that_was_stored_holds_nobody_back(tmp_path, storage):
    entries = [FileRecord(name, "f", f"{name}.json", FileState.SUBMITTED, name) for name in ("a", "b")]
    heard = {"a": {"status": "completed", "result": {"unheard": 1}}, "b": transcript_reply()}
    for entry in entries:
        storage.write_text(f"{tmp_path}/{entry.output}", json.dumps(heard[entry.source]))
    adopt_outputs(
        entries,
        storage.list_files(str(tmp_path)),
        lambda name: seconds_of(f"{tmp_path}/{name}", storage),
        map,
    )
    assert [entry.audio_seconds for entry in entries] == [None, 3.5]


def test_the_id_of_a_generation_that_took_too_long_is_kept_where_the_audio_changes():
    old = FileRecord("a", "f-1", "a.json", FileState.TIMED_OUT, "paid")
    earlier = Manifest("out/manifest.json", {}, 0, [old])
    new = FileRecord("a", "f-2", "a.json")
    (record,) = take_over([new], earlier, (), ResumePolicy(), Occasion.LATER_RUN, mine=False, lease=2)
    assert (record.state, record.other_ids) == (FileState.PENDING, ["paid"])
    assert merge(old, new).other_ids == ["paid"]
