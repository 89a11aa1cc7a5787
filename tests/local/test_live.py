"""The local server is as the API was observed: what `make test-live` asks of the one, the other holds."""

import io

from airflow_provider_laplas.local.engine import Heard
from tests.live.__main__ import HOLDS, main
from tests.live.facts import CLIP_WORDS, FACTS
from tests.local.conftest import KEY, StubEngine

SPOKEN = tuple(Heard(f" {word}", n / 2, n / 2 + 0.4, 0.9) for n, word in enumerate(CLIP_WORDS))


def test_the_local_server_holds_what_is_known_of_the_api(serve, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    server = serve(StubEngine(words=SPOKEN))
    code = main({"LAPLAS_API_KEY": KEY, "LAPLAS_BASE_URL": f"{server.url}/v1"}, poll_interval=0.01)
    printed = capsys.readouterr().out
    assert "0 do not" in printed, printed
    assert "is_read" in printed
    assert code == HOLDS
    assert len(printed.splitlines()) > len(FACTS)
