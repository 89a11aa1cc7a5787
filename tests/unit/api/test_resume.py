"""One table for what a try does with earlier work; what the documentation says of it is checked cell by cell."""

import re
from itertools import product

import pytest

from airflow_provider_laplas.api.responses import Generation, State
from airflow_provider_laplas.api.resume import Action, Earlier, Occasion, ResumePolicy, judge, resume
from airflow_provider_laplas.errors import (
    LaplasAuthenticationError,
    LaplasGenerationGoneError,
    LaplasTransportError,
    rebuild,
)
from airflow_provider_laplas.manifest.files import FileRecord, FileState
from airflow_provider_laplas.manifest.takeover import state_after
from tests.paths import ROOT

CHOICES = ("fail", "resubmit")
POLICIES = [ResumePolicy(*chosen) for chosen in product(CHOICES, CHOICES)]


@pytest.mark.parametrize(("occasion", "policy"), list(product(Occasion, POLICIES)))
def test_what_is_paid_for_is_taken_or_waited_for_whatever_the_user_chose(occasion, policy):
    assert resume(Earlier.STORED, occasion, policy) is Action.TAKE
    assert resume(Earlier.SUBMITTED, occasion, policy) is Action.ATTACH


@pytest.mark.parametrize(("occasion", "policy"), list(product(Occasion, POLICIES)))
def test_a_submission_that_may_have_been_made_is_repeated_only_with_consent(occasion, policy):
    consent = occasion is Occasion.CLEAR or policy.on_ambiguous == "resubmit"
    expected = Action.SUBMIT if consent else Action.FAIL
    assert resume(Earlier.AMBIGUOUS, occasion, policy) is expected


@pytest.mark.parametrize(("occasion", "policy"), list(product(Occasion, POLICIES)))
def test_a_clear_is_no_consent_to_what_nobody_was_told_of(occasion, policy):
    expected = Action.SUBMIT if policy.on_ambiguous == "resubmit" else Action.FAIL
    assert resume(Earlier.UNANSWERED, occasion, policy) is expected


@pytest.mark.parametrize(("occasion", "policy"), list(product(Occasion, POLICIES)))
def test_what_is_gone_is_paid_for_again_only_where_the_user_chose_it(occasion, policy):
    expected = Action.SUBMIT if policy.on_expired == "resubmit" else Action.FAIL
    assert resume(Earlier.GONE, occasion, policy) is expected


@pytest.mark.parametrize(("occasion", "policy"), list(product(Occasion, POLICIES)))
def test_what_failed_is_submitted_again_by_the_same_task_and_not_by_every_later_run(occasion, policy):
    expected = Action.FAIL if occasion is Occasion.LATER_RUN else Action.SUBMIT
    assert resume(Earlier.FAILED, occasion, policy) is expected


@pytest.mark.parametrize(
    ("earlier", "occasion", "policy"), list(product([Earlier.NOTHING, Earlier.DELETED], Occasion, POLICIES))
)
def test_where_nothing_is_left_it_is_submitted(earlier, occasion, policy):
    assert resume(earlier, occasion, policy) is Action.SUBMIT


def test_a_poll_that_failed_says_nothing_about_the_generation():
    assert judge(LaplasTransportError("cut off", sent=True)) is Earlier.SUBMITTED
    assert judge(rebuild(LaplasGenerationGoneError, "gone", {"generation_id": "g"})) is Earlier.GONE
    assert judge(Generation("g", "failed", State.FAILED, {})) is Earlier.FAILED
    assert judge(Generation("g", "completed", State.COMPLETED, {})) is Earlier.SUBMITTED
    with pytest.raises(LaplasAuthenticationError):
        judge(rebuild(LaplasAuthenticationError, "refused", {}))


# The tables of the documentation

MEANINGS = {
    Action.SUBMIT: r"submit(s|ted)",
    Action.ATTACH: r"attache[sd]",
    Action.TAKE: r"takes|taken",
    Action.FAIL: r"fails|stays",
}


def table(page, heading):
    """Return the first table below a heading: the label of each row, and its cells, with "the same" filled in."""
    text = (ROOT / "docs" / f"{page}.md").read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    for line in [line for line in text.splitlines() if line.startswith("|")][2:]:
        label, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        for n, cell in enumerate(cells):
            cells[n] = cells[n - 1] if cell == "the same" else cell
        yield label, cells


def action_of(cell, policy):
    """Return what a cell says is done, under a choice of the user."""
    usual, _, chosen = cell.partition("; with ")
    option = re.match(r'`(on_\w+)="resubmit"`', chosen)
    says = chosen if option and getattr(policy, option[1]) == "resubmit" else usual
    (action,) = [action for action, words in MEANINGS.items() if re.search(rf"\b({words})\b", says)]
    return action


SINGLE = {
    "a stored transcript": Earlier.STORED,
    "a generation that is running or done": Earlier.SUBMITTED,
    "a generation that failed": Earlier.FAILED,
    "a generation that is gone": Earlier.GONE,
    "a note without an id": Earlier.UNANSWERED,
    "the same, and an earlier try failed": Earlier.AMBIGUOUS,
    "other audio": Earlier.NOTHING,
    "no note": Earlier.NOTHING,
}


@pytest.mark.parametrize("policy", POLICIES, ids=str)
def test_the_table_of_one_recording_says_what_a_retry_and_a_clear_do(policy):
    rows = dict(table("costs-and-retries", "Never pay twice"))
    assert len(rows) == len(SINGLE)
    for label, cells in rows.items():
        (earlier,) = [earlier for start, earlier in SINGLE.items() if label.startswith(start)]
        for occasion, cell in zip([Occasion.RETRY, Occasion.CLEAR], cells, strict=True):
            assert resume(earlier, occasion, policy) is action_of(cell, policy), (label, occasion)


def files_of(label):
    """Return the files that a row is about, and whether their transcripts are there."""
    for name, with_id in re.findall(r"`(\w+)`( with an id)?", label):
        state = FileState(name)
        known = with_id or state in {FileState.SUBMITTED, FileState.TIMED_OUT}
        yield (
            FileRecord(
                "a",
                "f",
                "a.json",
                state,
                generation_id="g" if known else None,
                reported="and a task that ended" in label,
                attempt=0 if "nothing was sent" in label else 1,
            ),
            "deleted" not in label,
        )


ACTIONS = {
    FileState.PENDING: Action.SUBMIT,
    FileState.SUBMITTED: Action.ATTACH,
    FileState.SPLIT: Action.ATTACH,
    FileState.COMPLETED: Action.TAKE,
    FileState.DUPLICATE: Action.TAKE,
    FileState.AMBIGUOUS: Action.FAIL,
    FileState.GONE: Action.FAIL,
    FileState.FAILED: Action.FAIL,
}


@pytest.mark.parametrize("policy", POLICIES, ids=str)
def test_the_table_of_a_batch_says_what_a_retry_a_clear_and_a_later_run_do_with_each_file(policy):
    checked = set()
    for label, cells in table("transcribe-thousands", "What a retry, a Clear and a later run do"):
        for occasion, cell in zip(Occasion, cells, strict=True):
            for record, stored in files_of(label):
                state = state_after(record, occasion, policy, stored=stored)
                assert ACTIONS[state] is action_of(cell, policy), (label, occasion)
                checked.add(record.state)
    assert checked == set(FileState)
