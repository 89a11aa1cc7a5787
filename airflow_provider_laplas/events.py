"""What the triggers tell the tasks that they resume."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_laplas.errors import LaplasError, from_payload, to_payload
from airflow_provider_laplas.results.keeping import Reference


@dataclass(frozen=True, slots=True)
class CompletionEvent:
    """
    The trigger's event. Small, because Airflow logs it and stores it unencrypted.

    :ivar generation_id: the generation that was waited for
    :ivar result: where the reply is stored; None if the wait ended with an error
    :ivar error: the error; None if there was none
    """

    generation_id: str
    result: Reference | None = None
    error: LaplasError | None = None

    def to_payload(self) -> dict[str, Any]:
        """Return the event as plain JSON."""
        if self.error is not None:
            return {"status": "error", "generation_id": self.generation_id, "error": to_payload(self.error)}
        return {"status": "completed", "generation_id": self.generation_id, "result": self.result}

    @classmethod
    def from_payload(cls, payload: Any) -> "CompletionEvent":
        """
        Make an event from the output of :meth:`to_payload`.

        :raises LaplasError: for anything else, because an unknown event must not count as success
        """
        match payload:
            case {
                "status": "completed",
                "generation_id": str(generation_id),
                "result": str() | dict() as result,
            }:
                return cls(generation_id, result=result)
            case {"status": "error", "generation_id": str(generation_id), "error": Mapping() as error}:
                return cls(generation_id, error=from_payload(error))
        raise _not_ours()


@dataclass(frozen=True, slots=True)
class BatchEvent:
    """
    The event of a batch's trigger. Everything else is in the manifest.

    :ivar error: the error that ended the wait; None if the worker is to continue
    """

    error: LaplasError | None = None

    def to_payload(self) -> dict[str, Any]:
        """Return the event as plain JSON."""
        if self.error is not None:
            return {"status": "error", "error": to_payload(self.error)}
        return {"status": "waited"}

    @classmethod
    def from_payload(cls, payload: Any) -> "BatchEvent":
        """
        Make an event from the output of :meth:`to_payload`.

        :raises LaplasError: for anything else
        """
        match payload:
            case {"status": "waited"}:
                return cls()
            case {"status": "error", "error": Mapping() as error}:
                return cls(from_payload(error))
        raise _not_ours()


def _not_ours() -> LaplasError:
    return LaplasError("The task was resumed with an event that its trigger never sends. Clear the task.")
