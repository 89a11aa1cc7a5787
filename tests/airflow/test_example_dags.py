"""Every DAG of the project, on a real Airflow and a real model, and what a user builds on them."""

from tests.speech import word_error_rate


def test_a_url_is_transcribed(stack, run_dag, recording_url):
    run_id = run_dag("transcribe_url", {"audio": recording_url})

    assert word_error_rate(stack.xcom("transcribe_url", run_id, "wait", key="text")) == 0
    assert stack.xcom("transcribe_url", run_id, "use_text") == {"words": 22}


def test_a_file_is_transcribed(stack, run_dag, jfk_mp3):
    run_id = run_dag("transcribe_file", {"audio": str(jfk_mp3)})

    assert word_error_rate(stack.xcom("transcribe_file", run_id, "wait")["text"]) == 0
    # Whether the model leaves a pause between two words depends on the processor.
    assert 0 <= stack.xcom("transcribe_file", run_id, "longest_pause") < 3


def test_an_object_storage_uri_is_transcribed_in_one_task(stack, run_dag, jfk_mp3):
    run_id = run_dag("transcribe_file_in_one_task", {"audio": jfk_mp3.as_uri()})

    assert word_error_rate(stack.xcom("transcribe_file_in_one_task", run_id, "transcribe", key="text")) == 0
    assert stack.xcom("transcribe_file_in_one_task", run_id, "use_text") == {"words": 22}


def test_mapped_waits_keep_their_results_apart(stack, run_dag, jfk_mp3, recording_url):
    run_id = run_dag("mapped_output", {"audio": [str(jfk_mp3), recording_url]})

    texts = stack.xcom("mapped_output", run_id, "join")
    assert [word_error_rate(text) for text in texts] == [0, 0]
    ids = {
        stack.xcom("mapped_output", run_id, "wait", map_index=index)["generation_id"] for index in range(2)
    }
    assert len(ids) == 2


def test_the_text_can_be_passed_on_by_its_key(stack, run_dag, recording_url):
    run_id = run_dag("output_key", {"audio": recording_url})

    assert word_error_rate(stack.xcom("output_key", run_id, "echo")) == 0
