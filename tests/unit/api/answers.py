"""Two calls, and answers to them."""

import json

import pytest

from airflow_provider_laplas.api.calls import Call, fetch, submit
from airflow_provider_laplas.api.responses import Response
from airflow_provider_laplas.errors import LaplasError

ID = "5f0c7a52-8a4f-4b52-a7d3-0d2a4a2c9a11"
JSON_TYPE = {"content-type": "application/json"}
SUBMIT = submit("https://example.com/a.mp3")
FETCH = fetch(ID)


def answer(status: int, body: object, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(
        status, JSON_TYPE | {name.replace("_", "-"): value for name, value in headers.items()}, raw
    )


def failure(call: Call, response: Response, **kwargs: object) -> LaplasError:
    with pytest.raises(LaplasError) as caught:
        call.read(response, **kwargs)
    return caught.value
