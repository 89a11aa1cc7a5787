"""What is sent, and how a submission's answer is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_laplas.api.calls import check_generation_id, fetch, form_fields
from airflow_provider_laplas.errors import LaplasArgumentError, LaplasMalformedReplyError
from tests.unit.api.answers import ID, SUBMIT, answer, failure


@pytest.mark.parametrize("status", [200, 201, 202])
@pytest.mark.parametrize(
    "body", [{"generation_id": ID}, {"id": ID, "status": "queued"}, {"generation_id": None, "id": ID}]
)
def test_any_success_status_and_either_key_gives_the_id(status, body):
    assert SUBMIT.read(answer(status, body)) == ID


@pytest.mark.parametrize("body", [{}, {"generation_id": ""}, {"generation_id": 7}, {"id": ".."}, []])
def test_a_submission_answered_without_an_id_is_malformed(body):
    assert isinstance(failure(SUBMIT, answer(201, body)), LaplasMalformedReplyError)


@given(st.text(min_size=1, max_size=40))
def test_an_id_is_quoted_into_the_path_or_refused(generation_id):
    try:
        path = fetch(generation_id).path
    except LaplasArgumentError as error:
        assert error.argument == "generation_id"
        return
    prefix, _, rest = path.partition("/stt/")
    assert prefix == ""
    assert not set(rest) & set("/?#\r\n ")
    assert rest.strip(".")


@pytest.mark.parametrize("value", [None, "", "  ", "None", "..", ".", 7, "a\nb", "x" * 201, "\ud800"])
def test_what_cannot_be_an_id_is_refused_by_name(value):
    with pytest.raises(LaplasArgumentError, match="generation_id"):
        check_generation_id(value)


def test_form_fields_write_booleans_in_lower_case_and_repeat_lists():
    fields = list(
        form_fields(
            {"punctuate": True, "diarize": False, "tag": ["a", "b"], "utt_split": 0.8, "language": "en"}
        )
    )
    assert fields == [
        ("punctuate", "true"),
        ("diarize", "false"),
        ("tag", "a"),
        ("tag", "b"),
        ("utt_split", "0.8"),
        ("language", "en"),
    ]
