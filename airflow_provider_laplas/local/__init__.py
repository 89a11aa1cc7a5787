"""A server with the Laplas API and a real Whisper model, on this machine.

It is for developing DAGs without spending money, for tests, and for audio that may not leave the house. How a
request travels, and the module that holds each step:

    uploads (body -> disk) -> options (what is asked for, may it be) -> store (SQLite) -> workers (threads)
    workers: download (url -> disk) -> audio (disk -> samples) -> engine (samples -> words)
             -> replies (words -> reply)

`service` joins these, `app` puts them behind HTTP, `running` runs the app, `cli` is the command
`laplas-local`. Nothing in here imports Airflow, and nothing heavy is imported before the first recording
needs it.
"""
