"""``python -m airflow_provider_laplas media``, as people run it."""

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest

from airflow_provider_laplas.__main__ import main
from tests.paths import JFK_MP3, ROOT

LONG = ROOT / "demo" / "recordings" / "two_cities.ogg"
"""Some 44 seconds."""

needs_media = pytest.mark.skipif(find_spec("av") is None, reason="needs the extra media")


@pytest.fixture
def run(capsys):
    """Run the command in this process, and return its exit code, output and errors."""

    def run(*arguments):
        code = main(["media", *map(str, arguments)])
        written = capsys.readouterr()
        return code, written.out, written.err

    return run


@needs_media
def test_a_short_recording_is_sent_as_it_is(run):
    code, out, err = run(JFK_MP3)
    assert (code, err) == (0, "")
    size = JFK_MP3.stat().st_size
    assert "track 0: mp3, channels: 1, 16000 Hz, no language" in out
    assert "length: 0:00:11." in out
    assert f"to be sent: {size:,} (sent as it is)" in out
    assert "parts" not in out
    assert "cost" not in out


@needs_media
def test_a_long_recording_is_shown_with_its_parts_and_why_each_ends(run):
    code, out, _ = run(LONG, "--max-part-seconds", "20", "--price-per-minute", "0.6")
    assert code == 0
    assert "its audio is encoded anew" in out
    assert "parts: 4" in out
    assert "    1: 0:00:00.0 to " in out
    assert "(in a silence of" in out
    assert "estimated cost: 0.44" in out


@needs_media
def test_json_has_each_file_and_the_sums(run):
    code, out, _ = run(LONG, JFK_MP3, "--json", "--max-part-seconds", "20")
    assert code == 0
    found = json.loads(out)
    long, short = found["files"]
    assert long["source"] == str(LONG)
    assert len(long["parts"]) == 4
    assert long["parts"][-1]["end"] == long["seconds"] == pytest.approx(44.4, abs=0.1)
    assert long["tracks"][0]["chosen"]
    assert not short["estimated"]
    assert short["bytes_to_send"] == JFK_MP3.stat().st_size
    sums = found["sums"]
    assert (sums["files"], sums["errors"], sums["generations"]) == (2, 0, 5)
    assert sums["seconds"] == pytest.approx(55.4, abs=0.3)


@needs_media
def test_what_is_estimated_is_near_to_what_is_sent(run, tmp_path):
    from airflow_provider_laplas.audio.sources import open_upload  # noqa: PLC0415
    from airflow_provider_laplas.media import MediaSettings, plan_media, prepared  # noqa: PLC0415
    from airflow_provider_laplas.storage import LOCAL  # noqa: PLC0415
    from tests.media_files import mp4, speech  # noqa: PLC0415

    video = tmp_path / "talk.mp4"
    video.write_bytes(mp4(speech()))
    for path, options, given in (
        (video, (), {}),
        (LONG, ("--max-part-seconds", 20), {"max_part_seconds": 20}),
    ):
        (file,) = json.loads(run(path, "--json", *options)[1])["files"]
        upload, settings = open_upload(path, LOCAL), MediaSettings(**given)
        plan = plan_media(upload, settings)
        sent = 0
        for number in range(len(plan.parts)):
            with prepared(upload, plan, number, settings) as part:
                sent += part.size
        assert file["estimated"]
        assert file["bytes_to_send"] == pytest.approx(sent, rel=0.1)


@needs_media
def test_a_file_that_cannot_be_used_is_one_clear_line_and_code_one_and_the_others_go_on(run, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video at all" * 1000)
    code, out, err = run(
        tmp_path / "missing.mp4", tmp_path / "broken.mp4", JFK_MP3, "--extract-audio", "always"
    )
    assert code == 1
    assert [line.startswith("Error: ") for line in err.splitlines()] == [True, True]
    assert "missing.mp4" in err
    assert "broken.mp4" in err
    assert str(JFK_MP3) in out
    assert "3 files, 2 that cannot be used" in out


def test_a_folder_is_said_to_be_one_and_not_to_be_missing(run, tmp_path):
    code, out, err = run(tmp_path)
    assert (code, out) == (1, "")
    assert "is a folder" in err
    assert "does not exist" not in err


def test_a_url_is_not_downloaded(run):
    code, out, err = run("https://example.com/a.mp4?X-Amz-Signature=0123456789abcdef0123456789abcdef")
    assert (code, out) == (1, "")
    assert "A URL is not downloaded" in err
    assert "0123456789abcdef" not in err


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        (JFK_MP3, "--codec", "mp3"),
        (JFK_MP3, "--max-upload-bytes", "1"),
        (JFK_MP3, "--max-part-seconds", "nan"),
        (JFK_MP3, "--price-per-minute", "-1"),
    ],
)
def test_a_wrong_command_is_code_two(run, arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        run(*arguments)
    assert caught.value.code == 2
    assert "error: " in capsys.readouterr().err


@needs_media
def test_it_runs_without_airflow():
    code = (
        "import sys; from airflow_provider_laplas.__main__ import main;"
        f"main(['media', {str(JFK_MP3)!r}]); print([name for name in sys.modules if name.split('.')[0] == 'airflow'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")
