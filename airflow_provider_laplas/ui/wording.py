"""What the page says of a task: what a Clear would do, and what to do about an error. Pure."""

_GOES_ON = "A Clear goes on with what was submitted, if anything was, and does not pay for it again; otherwise it submits."
_SUBMITS = "A Clear submits: the API has accepted nothing that it could go on with."

_ATTACHES = (
    "A Clear takes up this generation with a new deadline, and does not pay for it again. "
    "Until then the generation goes on and is billed: it cannot be cancelled."
)
_WAITS_ANEW = "A Clear waits for the same generation once more, with a new deadline. It submits nothing."
_FINISHED = "A Clear takes the stored transcript, and does not pay for it again."
_FINISHED_IN_XCOM = (
    "A Clear deletes this transcript, which is an XCom: without `results_path` the task finds it again only if it is "
    "short, or within the API's hour."
)
_BATCH = (
    "A Clear goes on from the manifest: finished files are not submitted again, those under way are waited for, and "
    "failed ones are submitted again."
)

_DURABLE = "With `durable=False` it always submits."

_AFTER_ERROR = {
    "LaplasAmbiguousSubmitError": (
        "A Clear submits again, and pays twice if the first submission was accepted: look at the account's usage first."
    ),
    "LaplasGenerationFailedError": "A Clear submits again.",
    "LaplasGenerationGoneError": 'A Clear fails again, unless the task has `on_expired="resubmit"`: then it submits again.',
    "LaplasGenerationTimeoutError": "A Clear takes up the same generation, with a new deadline.",
    "LaplasQualityError": "A Clear checks the stored transcript again, and does not pay.",
    "LaplasValidationError": _SUBMITS,
    "LaplasTooLargeError": _SUBMITS,
}

ADVICE = {
    "LaplasArgumentError": "Correct the DAG. If it names formats or result, the reply is kept.",
    "LaplasConfigurationError": "Correct the connection, then clear the task.",
    "LaplasStorageError": "Grant the permission that it names, or check the storage. Airflow retries.",
    "LaplasTransportError": "Check the network, the proxy and the API's state. Airflow retries.",
    "LaplasResponseError": "Read what the API said; its address may have moved.",
    "LaplasValidationError": "Correct the option that it names, then clear the task. Nothing was billed.",
    "LaplasAuthenticationError": "Replace the key in the connection, then clear the task within the hour.",
    "LaplasCreditsError": "Top the account up, then clear the task.",
    "LaplasNotFoundError": "Correct the connection's host, then clear the task.",
    "LaplasTooLargeError": "Give the task media={}, which sends it in parts, or submit it by URL.",
    "LaplasRateLimitError": "Use a pool, or a lower rate limit. Airflow retries.",
    "LaplasServerError": "Check the API's status page. Airflow retries.",
    "LaplasMalformedReplyError": "Check that the connection's host is not a login page or a proxy. Airflow retries.",
    "LaplasAmbiguousSubmitError": "Look at the account's usage page first: if the submission is not there, clear the task.",
    "LaplasBatchError": "Read the files below, fix the cause, then clear the task.",
    "LaplasGenerationFailedError": "Correct what the reason names, such as audio that cannot be reached or played.",
    "LaplasGenerationGoneError": "The transcript is lost unless it was stored.",
    "LaplasGenerationTimeoutError": "Within the hour, clear the task, or give the id to an STTCompletionSensor.",
    "LaplasQualityError": "Listen to it, or change the task's quality checks, then clear the task.",
}
"""What to do about an error, by its class."""

NO_ERROR = "The task failed without an error of this provider: its log says why."

SIGNED = "The address of the audio was signed or had a password in it, and is not kept."
SEVERAL = "The task has several recordings: each file has its own page."
NOT_KNOWN = "Airflow does not know any more where the audio is."
NOT_PLAYABLE = "The audio does not lie in object storage, on a disk or at a web address."


def after_clear(kind: str, state: str, error: str | None, *, sensor: bool, in_xcom: bool) -> str:
    """
    Return what a Clear of a task would do now, as the documentation on costs and retries says.

    :param kind: of the page: ``transcript``, ``submission``, ``batch``
    :param state: ``waiting``, ``finished``, ``failed``, ``none``
    :param error: the class of its error
    :param sensor: whether it waits for what another task submitted
    :param in_xcom: whether its transcript is an XCom
    """
    if sensor:
        return _of_sensor(state, error, in_xcom=in_xcom)
    return f"{_of_submitter(kind, state, error, in_xcom=in_xcom)} {_DURABLE}"


def _of_submitter(kind: str, state: str, error: str | None, *, in_xcom: bool) -> str:
    if kind == "batch":
        return _BATCH
    if state == "waiting":
        return _ATTACHES
    if state == "finished":
        return _FINISHED_IN_XCOM if in_xcom else _ATTACHES if kind == "submission" else _FINISHED
    return _AFTER_ERROR.get(error or "", _GOES_ON)


def _of_sensor(state: str, error: str | None, *, in_xcom: bool) -> str:
    if state == "finished":
        return _FINISHED_IN_XCOM if in_xcom else _FINISHED
    return _AFTER_ERROR["LaplasQualityError"] if error == "LaplasQualityError" else _WAITS_ANEW
