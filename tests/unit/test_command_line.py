"""``python -m airflow_provider_laplas captions``, as people run it."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import webvtt

from airflow_provider_laplas.__main__ import main
from airflow_provider_laplas.transcript import Transcript

REPLIES = Path(__file__).parent / "replies"
REPLY = REPLIES / "deepgram_full.json"
VTT = """WEBVTT

00:00:00.500 --> 00:00:01.334
<v Speaker 0>Good morning.</v>

00:00:03.500 --> 00:00:04.500
<v Speaker 1>Hello, doctor.</v>
"""


def run(*arguments: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "airflow_provider_laplas", "captions", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=60)


def test_a_stored_reply_becomes_webvtt_on_standard_output():
    done = run(REPLY, "--format", "vtt")
    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, VTT, b"")


def test_standard_input_is_read_and_srt_is_the_default():
    done = run("-", stdin=REPLY.read_bytes())
    assert done.returncode == 0
    assert done.stdout.decode().startswith("1\n00:00:00,500 --> 00:00:01,334\nGood morning.\n\n2\n")


def test_what_to_dict_gave_reads_the_same_as_the_reply():
    stored = json.dumps(Transcript.from_reply(json.loads(REPLY.read_text())).to_dict(raw=False))
    assert run("-", "-f", "vtt", stdin=stored.encode()).stdout.decode() == VTT


def test_a_file_is_written_in_the_format_of_its_suffix(tmp_path):
    target = tmp_path / "captions.vtt"
    assert run(REPLIES / "japanese.json", "--output", target).stdout == b""
    assert [caption.text for caption in webvtt.read(str(target))] == [
        "今日はいい天気ですね。",
        "散歩に行きましょう。",
    ]


def test_text_needs_no_times(tmp_path):
    done = run(REPLIES / "openai_plain.json", "-f", "txt")
    assert (done.returncode, done.stdout) == (0, b"Good morning. Hello, doctor.\n")


def test_limits_are_options_and_exceptions_are_reported_on_standard_error():
    done = run(
        REPLY, "-f", "vtt", "--line-length", "5", "--lines", "1", "--frame-rate", "25", "--gap-frames", "1"
    )
    assert done.returncode == 0
    assert b"<v Speaker 0>Good</v>" in done.stdout
    assert done.stderr.decode().startswith(
        "Cues: 4. Exceptions: lines with one word that is longer than a line (3); "
    )
    assert run(REPLY, "-q", "--line-length", "5").stderr == b""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not json", "Standard input is not a JSON object."),
        (b"\xff\xfe", "Standard input is not a JSON object."),
        (b"[1]", "Standard input is not a JSON object."),
        (b"[" * 100_000, "Standard input is not a JSON object."),
        (b'{"status": "active"}', "The reply contains no transcript: it has neither `results` nor `text`."),
        (
            b'{"format": "laplas-transcript", "version": 9}',
            "The stored transcript has version 9; this package reads version 1.",
        ),
        (b'{"text": "Hello."}', "Captions need times"),
    ],
)
def test_what_cannot_be_read_is_one_clear_line_and_code_one(content, message):
    done = run("-", stdin=content)
    error = done.stderr.decode()
    assert (done.returncode, done.stdout) == (1, b"")
    assert error.startswith(f"Error: {message}")
    assert error.count("\n") == 1


def test_a_missing_file_and_a_missing_folder_are_one_clear_line(tmp_path):
    for arguments in ((tmp_path / "none.json",), (REPLY, "-o", tmp_path / "no" / "a.srt"), (tmp_path,)):
        done = run(*arguments)
        assert done.returncode == 1
        assert done.stderr.startswith(b"Error: ")
        assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        (REPLY, "--format", "doc"),
        (REPLY, "--lines", "0"),
        (REPLY, "--max-duration", "nan"),
        (REPLY, "-o", "a.ass"),
    ],
)
def test_a_wrong_command_is_code_two(arguments):
    done = run(*arguments)
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr


def test_a_reader_that_goes_away_is_no_error(tmp_path):
    words = [{"word": "word", "start": n * 0.4, "end": n * 0.4 + 0.3} for n in range(20_000)]
    stored = tmp_path / "long.json"
    stored.write_text(
        json.dumps({"results": {"channels": [{"alternatives": [{"transcript": "w", "words": words}]}]}})
    )
    command = [sys.executable, "-m", "airflow_provider_laplas", "captions", str(stored)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


def test_the_command_brings_no_airflow(tmp_path):
    code = (
        "import sys; from airflow_provider_laplas.__main__ import main;"
        f"code = main(['captions', {str(REPLY)!r}, '-o', {str(tmp_path / 'a.srt')!r}]);"
        "sys.exit(code or any(name.partition('.')[0] == 'airflow' for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_it_can_be_called_from_python(tmp_path):
    target = tmp_path / "out.vtt"
    assert main(["captions", str(REPLY), "-o", str(target)]) == 0
    assert target.read_text() == VTT
    assert main(["captions", str(tmp_path / "none.json")]) == 1


@pytest.mark.parametrize(
    ("content", "arguments", "code"),
    [
        (REPLY.read_bytes(), (), 0),
        (REPLY.read_bytes(), ("-f", "vtt", "--line-length", "5"), 0),
        (REPLY.read_bytes(), ("-f", "txt"), 0),
        (b"nothing", (), 1),
        (b'{"text": "Hello."}', (), 1),
    ],
)
def test_called_from_python_it_reads_and_writes_the_standard_streams(
    content, arguments, code, monkeypatch, capsysbinary
):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert main(["captions", "-", *arguments]) == code
    assert bool(capsysbinary.readouterr().out) == (code == 0)


def test_called_from_python_a_wrong_limit_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["captions", "-", "--lines", "0"])
    assert caught.value.code == 2
    assert "`lines` must be a whole number from 1 to 1000, not 0." in capsys.readouterr().err
