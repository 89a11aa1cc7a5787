"""
What to do about work that an earlier try or run started: one decision table, for single files and for batches.

Pure, and the only place that interprets ``on_ambiguous`` and ``on_expired``.
"""

from dataclasses import dataclass
from enum import StrEnum

from airflow_provider_laplas.api.poller import ENDS_A_WAIT
from airflow_provider_laplas.api.responses import Generation, State
from airflow_provider_laplas.errors import LaplasError, LaplasGenerationGoneError


class Earlier(StrEnum):
    """The state of the earlier work, from its record and from what exists now."""

    NOTHING = "nothing"
    """There is no record, or it is of different audio, another model or other options."""

    UNANSWERED = "unanswered"
    """A submission was started, and its id is unknown: the API may have accepted and billed it. No task said so yet."""

    AMBIGUOUS = "ambiguous"
    """The same, and a task has ended with an error, or a manifest, that said so."""

    SUBMITTED = "submitted"
    """A generation that is running or completed at the API, or whose state a failed poll could not tell."""

    STORED = "stored"
    """A stored transcript that still exists."""

    DELETED = "deleted"
    """A stored transcript that has since been deleted."""

    FAILED = "failed"
    """A generation that the API could not transcribe, or a file that it rejected."""

    GONE = "gone"
    """A generation that the API no longer knows, and whose transcript was not stored."""


class Occasion(StrEnum):
    """Why the work is resumed."""

    RETRY = "retry"
    """Another try of the same task, or the same try again."""

    CLEAR = "Clear"
    """A user cleared the task."""

    LATER_RUN = "later run"
    """Another DAG run, or another task, over the same folder."""


class Action(StrEnum):
    """What to do."""

    SUBMIT = "submit"
    ATTACH = "attach"
    TAKE = "take"
    FAIL = "fail"
    """Neither submit nor wait, but raise an error about the earlier work."""


@dataclass(frozen=True, slots=True)
class ResumePolicy:
    """
    The user's choices.

    :ivar on_ambiguous: for an unanswered submission: ``fail``, or ``resubmit`` at the risk of paying twice
    :ivar on_expired: for a generation that expired before its transcript was stored: ``fail`` or ``resubmit``
    """

    on_ambiguous: str = "fail"
    on_expired: str = "fail"


def resume(earlier: Earlier, occasion: Occasion, policy: ResumePolicy) -> Action:
    """Return what to do about earlier work."""
    match earlier:
        case Earlier.STORED:
            return Action.TAKE
        case Earlier.SUBMITTED:
            return Action.ATTACH
    again = {
        Earlier.UNANSWERED: policy.on_ambiguous == "resubmit",
        # Clearing the task is consent to submit again: the error told the user to check the usage page first.
        Earlier.AMBIGUOUS: policy.on_ambiguous == "resubmit" or occasion is Occasion.CLEAR,
        Earlier.GONE: policy.on_expired == "resubmit",
        # Not by every later run, which would fail, and be paid for, each time.
        Earlier.FAILED: occasion is not Occasion.LATER_RUN,
    }
    return Action.SUBMIT if again.get(earlier, True) else Action.FAIL


def judge(outcome: Generation | LaplasError) -> Earlier:
    """
    Return the state of an earlier submission, from the outcome of a poll.

    :raises LaplasError: if polling again would not help: a rejected key, a wrong connection
    """
    if isinstance(outcome, Generation):
        return Earlier.FAILED if outcome.state is State.FAILED else Earlier.SUBMITTED
    if isinstance(outcome, LaplasGenerationGoneError):
        return Earlier.GONE
    if isinstance(outcome, ENDS_A_WAIT):
        raise outcome
    # A failed poll says nothing about the generation, which is already paid for.
    return Earlier.SUBMITTED
