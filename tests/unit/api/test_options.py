"""The request's options: what is refused, what is passed on, what is read from a template's text."""

import inspect
import logging

import pytest

from airflow_provider_laplas.api.options import OPTION_NAMES, check_options, merge_options
from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.task.base import BaseSTTOperator


def test_every_documented_option_is_a_typed_argument_of_the_operators():
    arguments = set(inspect.signature(BaseSTTOperator.__init__).parameters)
    assert arguments >= OPTION_NAMES


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("diarize", "true"),
        ("diarize", 1),
        ("utt_split", "0.8"),
        ("utt_split", True),
        ("utt_split", float("nan")),
        ("tag", "a"),
        ("tag", [1]),
        ("language", 5),
        ("custom_intent", [1]),
        ("custom_intent_mode", "loose"),
    ],
)
def test_a_wrong_type_is_refused_by_name(name, value):
    with pytest.raises(LaplasArgumentError, match=f"`{name}`") as caught:
        check_options({name: value}, rendered=False)
    assert caught.value.argument == name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("diarize", True),
        ("utt_split", 1),
        ("utt_split", 0.8),
        ("tag", ["a"]),
        ("custom_intent", "x"),
        ("custom_intent", ["x"]),
    ],
)
def test_a_right_type_is_taken_as_it_is(name, value):
    assert check_options({name: value}, rendered=False) == {name: value}


def test_a_template_is_left_until_it_is_rendered_and_then_read_as_the_options_type():
    template = {"diarize": "{{ params.diarize }}", "utt_split": "{{ params.split }}"}
    assert check_options(template, rendered=False) == template
    rendered = check_options({"diarize": "True", "utt_split": "0.8"}, rendered=True)
    assert rendered == {"diarize": True, "utt_split": 0.8}
    with pytest.raises(LaplasArgumentError, match="`diarize`"):
        check_options({"diarize": "perhaps"}, rendered=True)


def test_unset_options_are_not_sent():
    assert check_options({"diarize": None, "punctuate": False}, rendered=True) == {"punctuate": False}


def test_an_unknown_option_is_passed_on_with_a_warning_that_names_the_nearest(caplog):
    with caplog.at_level(logging.WARNING):
        assert merge_options({"diarize": None}, {"diarise": True}) == {"diarise": True}
    assert "`diarise`" in caplog.text
    assert "`diarize`" in caplog.text


@pytest.mark.parametrize("options", [["diarize"], "diarize", {1: 2}])
def test_options_must_be_a_mapping_of_names(options):
    with pytest.raises(LaplasArgumentError, match="`options`"):
        merge_options({}, options)


def test_an_option_given_twice_is_refused():
    with pytest.raises(LaplasArgumentError, match="`language` is given twice"):
        merge_options({"language": "en"}, {"language": "de"})


@pytest.mark.parametrize("name", ["model", "url", "audio", "file"])
def test_what_is_an_argument_of_its_own_cannot_be_smuggled_in_as_an_option(name):
    with pytest.raises(LaplasArgumentError, match=f"`{name}`"):
        check_options({name: "x"}, rendered=False)


def test_an_option_that_is_no_json_is_refused_before_anything_is_sent():
    with pytest.raises(LaplasArgumentError, match="`options`"):
        check_options({"new_option": {1, 2}}, rendered=True)
