"""A local server with the Laplas API and a real Whisper model.

It is for developing DAGs without spending money, for tests, and for audio that must stay in-house. The modules
that process a request:

    uploads (body -> disk) -> options (validation) -> store (SQLite) -> workers (threads)
    workers: download (url -> disk) -> audio (disk -> samples) -> engine (samples -> words)
             -> replies (words -> reply)

`service` combines these, `app` serves them over HTTP, `running` runs the app, and `cli` is the command
`laplas-local`. Nothing in here imports Airflow, and heavy imports are deferred until the first recording.
"""
