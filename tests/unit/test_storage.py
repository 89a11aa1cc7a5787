"""Files on a disk, and what a storage that is away, silent or strict is answered with."""

import asyncio
import logging
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from upath import UPath

from airflow_provider_laplas import storage as storage_module
from airflow_provider_laplas.errors import (
    LaplasArgumentError,
    LaplasConfigurationError,
    LaplasStorageError,
)
from airflow_provider_laplas.manifest.lease import check_lease, take_lease
from airflow_provider_laplas.storage import LOCAL, Storage

NAMES = [
    "Title [id].mp3.json",
    "a?b*.json",
    "what #1.json",
    "trailing?",
    "trailing#",
    "a\tb.json",
    "~user.json",
    "50%20 off.json",
    "é.json",
    "e\u0301.json",
    "🎧 'quoted' \"twice\".json",
    "a" * 250,
]


@pytest.mark.parametrize("kind", ["disk", "objects"])
def test_a_part_of_a_file_is_read_by_its_positions(tmp_path, kind):
    storage, folder = (LOCAL, tmp_path) if kind == "disk" else (Storage(UPath), "memory://parts")
    uri = f"{folder}/file"
    storage.write_text(uri, "0123456789")
    assert storage.read_range(uri, 0, 4) == b"0123"
    assert storage.read_range(uri, 7, 10) == b"789"
    assert storage.read_range(uri, 7, 100) == b"789"
    assert storage.read_range(uri, 3, 3) == b""
    with pytest.raises(FileNotFoundError):
        storage.read_range(f"{folder}/none", 0, 1)


@pytest.mark.parametrize("scheme", ["", "file://", "file://connection@"])
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_disk_takes_names_to_the_letter(tmp_path, scheme, name):
    uri = f"{scheme}{tmp_path}/in [2024]/{name}"
    LOCAL.write_text(uri, "text")
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()] == [
        f"in [2024]/{name}"
    ]
    assert LOCAL.read_text(uri) == "text"
    assert LOCAL.exists(uri)
    found = LOCAL.list_files(f"{scheme}{tmp_path}")
    assert list(found) == [f"in [2024]/{name}"]
    assert found[f"in [2024]/{name}"] == LOCAL.info(uri)
    assert LOCAL.info(uri).size == 4
    with LOCAL.open(uri) as file:
        assert file.read() == b"text"
    LOCAL.delete(uri)
    LOCAL.delete(uri)
    assert not LOCAL.exists(uri)


def test_a_path_with_a_colon_and_slashes_in_it_is_a_path(tmp_path):
    LOCAL.write_text(f"{tmp_path}/a b://c.json", "text")
    assert (tmp_path / "a b:" / "c.json").read_text() == "text"


def test_of_many_that_create_a_file_at_once_one_succeeds(tmp_path):
    uri = f"{tmp_path}/lease"
    with ThreadPoolExecutor(8) as threads:
        created = list(threads.map(lambda n: LOCAL.create(uri, str(n)), range(8)))
    assert sum(created) == 1
    assert LOCAL.read_text(uri) == str(created.index(True))
    assert [path.name for path in tmp_path.iterdir()] == ["lease"]


def test_a_file_is_created_on_a_disk_without_links(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    assert LOCAL.create(f"{tmp_path}/lease", "mine")
    assert not LOCAL.create(f"{tmp_path}/lease", "yours")
    assert LOCAL.read_text(f"{tmp_path}/lease") == "mine"


def test_what_a_killed_writer_left_half_written_is_no_file_and_goes_after_a_day(tmp_path):
    old, new, first = (
        tmp_path / name
        for name in (".0123456789ab.part", ".ba9876543210.part", "a.json." + "0" * 32 + ".part")
    )
    for file in (old, new, first, tmp_path / "a.json", tmp_path / "spare.part"):
        file.write_text("half")
    os.utime(old, (1, 1))
    assert set(LOCAL.list_files(str(tmp_path))) == {"a.json", "spare.part"}
    assert not old.exists()
    assert new.exists()


def test_a_dangling_link_and_a_folder_are_no_files(tmp_path):
    (tmp_path / "gone.mp3").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.mp3").mkdir()
    assert LOCAL.list_files(str(tmp_path)) == {}
    assert not LOCAL.exists(f"{tmp_path}/gone.mp3")
    assert not LOCAL.exists(f"{tmp_path}/folder.mp3")
    assert LOCAL.list_files(f"{tmp_path}/nowhere") == {}


def test_a_name_that_the_disk_cannot_take_is_an_error_of_the_storage(tmp_path):
    with pytest.raises(LaplasStorageError, match=r"could not be written: .*too long"):
        LOCAL.write_text(f"{tmp_path}/{'a' * 300}", "text")


def test_only_local_files_are_read_without_a_storage():
    with pytest.raises(LaplasConfigurationError, match="s3://bucket/a"):
        LOCAL.read_text("s3://bucket/a")


# Other storages


class Away(MemoryFileSystem):
    """A file system that fails, refuses or hangs."""

    protocol = "away"
    cachable = False

    def __init__(self):
        super().__init__()
        self.store, self.failure = {}, None

    def pipe_file(self, path, value, mode="overwrite", **kwargs):
        if self.failure is not None:
            self.failure()
        super().pipe_file(path, value, mode=mode, **kwargs)


class Root:
    def __init__(self, filesystem, path):
        self.fs, self.path = filesystem, path


@pytest.fixture
def away():
    filesystem = Away()
    return filesystem, Storage(lambda root: Root(filesystem, root.partition("://")[2]), call_timeout=0.2)


def test_a_missing_permission_is_named(away):
    filesystem, storage = away

    def refuse():
        raise PermissionError("Access Denied")

    filesystem.failure = refuse
    with pytest.raises(LaplasStorageError, match=r"away://bucket/a\.json: .*s3:PutObject") as caught:
        storage.write_text("away://bucket/a.json", "text")
    assert "write" in caught.value.permission


def test_an_outage_is_logged_once_and_once_when_it_is_over(away, caplog):
    filesystem, storage = away

    def fail():
        raise OSError("503 https://bucket/a?X-Amz-Signature=5f3a")

    filesystem.failure = fail
    for _ in range(3):
        with pytest.raises(LaplasStorageError) as caught:
            storage.write_text("away://bucket/a.json", "text")
        assert "5f3a" not in str(caught.value)
    filesystem.failure = None
    for _ in range(3):
        storage.write_text("away://bucket/a.json", "text")
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(said) == 2
    assert said[0].startswith("away://bucket does not work: OSError('503")
    assert said[1].startswith("away://bucket works again")
    assert "5f3a" not in caplog.text


def test_a_storage_that_hangs_holds_up_nobody_elses_calls(away, tmp_path):
    filesystem, storage = away
    release = threading.Event()
    filesystem.failure = release.wait

    async def scenario():
        hung = [
            asyncio.create_task(
                storage.off_loop("away://bucket/a", storage.write_text, f"away://bucket/{n}", "text")
            )
            for n in range(40)
        ]
        await asyncio.sleep(0)
        for n in range(20):
            await LOCAL.off_loop(str(tmp_path), LOCAL.write_text, f"{tmp_path}/{n}", "text")
        still_hanging = sum(not task.done() for task in hung)
        outcomes = await asyncio.gather(*hung, return_exceptions=True)
        return still_hanging, outcomes

    try:
        still_hanging, outcomes = asyncio.run(scenario())
    finally:
        release.set()
    assert still_hanging > 0
    assert all(isinstance(outcome, LaplasStorageError) for outcome in outcomes)
    assert "does not answer" in str(outcomes[0])


def test_what_another_process_wrote_is_listed_at_once():
    memory = fsspec.filesystem("memory")
    storage = Storage(UPath)
    memory.pipe_file("/bucket/a.json", b"one")
    assert set(storage.list_files("memory://bucket")) == {"a.json"}
    memory.pipe_file("/bucket/in/b [1].json", b"two")
    assert set(storage.list_files("memory://bucket")) == {"a.json", "in/b [1].json"}
    assert storage.read_text("memory://bucket/in/b [1].json") == "two"
    assert storage.info("memory://bucket/a.json").modified <= time.time()
    assert not storage.create("memory://bucket/a.json", "again")
    memory.rm("/bucket", recursive=True)


def test_a_key_that_was_replaced_is_looked_up_again(monkeypatch):
    class Locked(MemoryFileSystem):
        cachable = False
        key = "old"

        def cat_file(self, path, **_):
            if self.key != keys[-1]:
                raise PermissionError("The AWS Access Key Id you provided does not exist in our records.")
            return self.key.encode()

    def reopen(path):
        filesystem = Locked()
        filesystem.key = keys[-1]
        return filesystem

    keys = ["old"]
    root = SimpleNamespace(fs=Locked(), path="/")
    storage = Storage(lambda _: root, reopen=reopen)
    assert storage.read_text("memory://x") == "old"
    keys.append("new")
    with pytest.raises(LaplasStorageError):
        storage.read_text("memory://x")
    with pytest.raises(LaplasStorageError):
        storage.read_text("memory://x")
    monkeypatch.setattr(storage_module, "REOPEN_AFTER", 0.0)
    assert storage.read_text("memory://x") == "new"


@pytest.mark.parametrize(
    ("code", "permission"), [("AccessDenied", True), ("ExpiredToken", False), ("InvalidObjectState", False)]
)
def test_only_a_missing_permission_is_called_one(code, permission):
    class Refusing(MemoryFileSystem):
        cachable = False

        def cat_file(self, path, **_):
            cause = RuntimeError()
            cause.response = {"Error": {"Code": code}}
            raise PermissionError(code) from cause

    storage = Storage(lambda _: SimpleNamespace(fs=Refusing(), path="/"))
    with pytest.raises(LaplasStorageError, match=code) as raised:
        storage.read_text("memory://x")
    assert (raised.value.permission is not None) is permission
    assert ("Grant it" in str(raised.value)) is permission


class Careless(MemoryFileSystem):
    """A storage that ignores the condition of a create."""

    cachable = False

    def pipe_file(self, path, value, mode="overwrite", **_):
        super().pipe_file(path, value)


def test_a_storage_that_ignores_the_condition_of_a_create_is_found_out_and_the_last_one_has_the_lease(caplog):
    filesystem = Careless()
    storage = Storage(lambda _: SimpleNamespace(fs=filesystem, path="/leases"))
    first = take_lease("memory://b/manifest.json", {"task_id": "first"}, storage, after=None)
    assert "cannot create a file only where there is none" in caplog.text
    create, storage.create = storage.create, lambda uri, text: storage.write_text(uri, text) or True
    second = take_lease("memory://b/manifest.json", {"task_id": "second"}, storage, after=None)
    storage.create = create
    assert first.number == second.number
    check_lease(second, storage)
    with pytest.raises(LaplasArgumentError, match="second"):
        check_lease(first, storage)


def test_a_listing_may_take_longer_than_another_call():
    class Large(MemoryFileSystem):
        cachable = False

        def find(self, path, **_):
            time.sleep(0.3)
            return {"/in/a": {"name": "/in/a", "size": 1, "type": "file"}}

    storage = Storage(lambda _: SimpleNamespace(fs=Large(), path="/"), call_timeout=0.1)
    assert list(storage.list_files("memory://b/in")) == ["a"]


def test_a_glob_lists_no_folders_below(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("a.mp3", "deep/b.mp3"):
        (tmp_path / name).write_bytes(b"x")
    assert list(LOCAL.list_files(str(tmp_path), recursive=False)) == ["a.mp3"]
    storage = Storage(UPath)
    storage.write_text("memory://glob/a.mp3", "x")
    storage.write_text("memory://glob/deep/b.mp3", "x")
    assert list(storage.list_files("memory://glob", recursive=False)) == ["a.mp3"]


def test_a_file_uri_may_name_this_machine(tmp_path):
    LOCAL.write_text(f"file://localhost{tmp_path}/a.json", "text")
    assert (tmp_path / "a.json").read_text() == "text"


def test_what_a_label_does_not_change_is_the_version_of_an_object_at_google():
    class Google(MemoryFileSystem):
        cachable = False
        etag = "CAE="

        def info(self, path, **_):
            return {"name": path, "size": 3, "generation": "17", "etag": self.etag, "type": "file"}

    filesystem = Google()
    storage = Storage(lambda _: SimpleNamespace(fs=filesystem, path="/"))
    before = storage.info("memory://b/a.mp3")
    filesystem.etag = "CAI="
    after = storage.info("memory://b/a.mp3")
    assert before.version == after.version == "17"
    assert before.etag != after.etag
