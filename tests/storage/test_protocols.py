"""What holds of files on each protocol, seen by a client that knows nothing of this package."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_laplas.errors import LaplasStorageError
from airflow_provider_laplas.storage import Storage, object_storage

NAMES = [
    "plain.json",
    "Title [id].mp3.json",
    "[!a]-[0-9].json",
    "a?b*.json",
    "**",
    "{a,b}.json",
    "what #1.json",
    "x;y=z&%20+.json",
    "50%.json",
    "two  spaces .json",
    'it\'s "quoted" `so` $HOME.json',
    "\u00e9.json",
    "e\u0301.json",
    "🎧.json",
    "~user.json",
    "trailing?",
    "trailing#",
    "query?then#fragment.json",
    "a\tb.json",
    "a.json?versionId=1",
    "a.json?versionid=1",
    "a.json?generation=1",
    "a.json#1",
    "http://host:80/a@b.json",
    "C:a|b<c>.json",
]
# What the storage's library would make of them is another name.
REFUSED = {
    "s3": {"a.json?versionId=1"},
    "abfs": {"trailing?", "trailing#", "query?then#fragment.json", "a\tb.json", "a.json?versionid=1"},
}
NEIGHBOURS = ["a1b2.json", "i.json", "Title i.mp3.json", "trailing", "what ", "a.json", "ab.json", "x.json"]


def taken(scheme):
    return [name for name in NAMES if name not in REFUSED.get(scheme, ())]


@pytest.fixture
def storage():
    return object_storage()


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_what_is_written_lies_under_exactly_that_name(bucket, storage, name):
    if name in REFUSED.get(bucket.scheme, ()):
        with pytest.raises(LaplasStorageError):
            storage.write_text(bucket.uri(name), "text")
        with pytest.raises(LaplasStorageError):
            storage.create(bucket.uri(name), "text")
        assert bucket.keys() == set()
        return
    # Azure's library fails on a write below a folder of the container that has brackets in its name.
    key = f"{'in 2024' if bucket.scheme == 'abfs' else 'in [2024]'}/{one_slash(name)}"
    storage.write_text(bucket.uri(key), "text \u00e9\r\n")
    assert bucket.keys() == {key}
    assert bucket.get(key) == "text \u00e9\r\n".encode()
    assert not storage.create(bucket.uri(key), "again")
    storage.write_text(bucket.uri(key), "other")
    assert bucket.keys() == {key}
    assert bucket.get(key) == b"other"
    storage.delete(bucket.uri(key))
    assert bucket.keys() == set()


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_what_another_program_wrote_is_found_under_exactly_that_name(bucket, storage, name):
    name = one_slash(name)
    bucket.put(name, b"text")
    if name in REFUSED.get(bucket.scheme, ()):
        # It is listed, and that is all.
        assert set(storage.list_files(bucket.root)) == {name}
        for call in (storage.read_text, storage.info, storage.delete):
            with pytest.raises(LaplasStorageError):
                call(bucket.uri(name))
        assert bucket.keys() == {name}
        return
    assert storage.read_text(bucket.uri(name)) == "text"
    assert storage.exists(bucket.uri(name))
    with storage.open(bucket.uri(name)) as file:
        assert file.read() == b"text"
    found = storage.list_files(bucket.root)
    assert set(found) == {name}
    info = storage.info(bucket.uri(name))
    assert (found[name].size, found[name].version) == (info.size, info.version)
    assert info.size == 4
    # By the emulator's clock, which is ours; S3 says whole seconds.
    assert abs(info.modified - time.time()) < 60
    assert abs(info.modified - found[name].modified) <= 1
    storage.delete(bucket.uri(name))
    assert bucket.keys() == set()


def one_slash(name):
    """A disk has no folder without a name, nor has the emulator of Google's storage."""
    return name.replace("//", "/")


def test_names_that_read_like_patterns_touch_no_neighbour(bucket, storage):
    for name in NEIGHBOURS:
        bucket.put(name, b"neighbour")
    names = [name for name in taken(bucket.scheme) if bucket.scheme != "abfs" or not set("[:") & set(name)]
    for name in map(one_slash, names):
        assert not storage.exists(bucket.uri(name))
        with pytest.raises(FileNotFoundError):
            storage.read_text(bucket.uri(name))
        storage.delete(bucket.uri(name))
        assert storage.create(bucket.uri(name), "mine")
    mine = set(map(one_slash, names))
    assert bucket.keys() == mine | set(NEIGHBOURS)
    for name in mine:
        storage.delete(bucket.uri(name))
    left = bucket.keys()
    assert {name: bucket.get(name) for name in left} == dict.fromkeys(NEIGHBOURS, b"neighbour")


def test_a_name_that_a_storage_refuses_is_not_taken_for_another_one(remote, storage):
    for name in NEIGHBOURS:
        remote.put(name, b"neighbour")
    for name in REFUSED.get(remote.scheme, ()):
        for call in (storage.read_text, storage.info, storage.exists, storage.open, storage.delete):
            with pytest.raises(LaplasStorageError):
                call(remote.uri(name))
    assert remote.keys() == set(NEIGHBOURS)


@pytest.mark.parametrize("folder", ["in [2024]", "a*", "what #1", "50%20 off", "\u00e9 🎧", "~in"], ids=ascii)
def test_a_folder_is_listed_with_its_folders_and_without_its_neighbours(bucket, storage, folder):
    inside = {"a.json", "sub/b [1].json", "sub/sub/c?.json", "#"}
    for name in inside:
        bucket.put(f"{folder}/{name}", b"12345")
    for neighbour in (f"{folder}2/a.json", f"{folder}.json", "in 2/a.json", "ab/a.json"):
        bucket.put(neighbour, b"-")
    for uri in (bucket.uri(folder), bucket.uri(f"{folder}/")):
        found = storage.list_files(uri)
        assert set(found) == inside
        assert {info.size for info in found.values()} == {5}
    assert set(storage.list_files(bucket.root)) == bucket.keys()
    assert storage.list_files(bucket.uri("nowhere")) == {}
    assert storage.list_files(bucket.uri("i")) == {}


def test_the_files_of_a_folder_are_found_beside_an_object_with_its_name(remote, storage):
    remote.put("results", b"-")
    remote.put("results/a.json", b"text")
    assert set(storage.list_files(remote.uri("results"))) == {"a.json"}
    assert storage.read_text(remote.uri("results/a.json")) == "text"


def test_a_folders_own_marker_is_no_file(remote, storage):
    # As the consoles of the vendors make them.
    if remote.scheme != "gs":
        # This emulator drops the slash.
        remote.put("results/", b"")
    remote.put("results/a.json", b"text")
    assert set(storage.list_files(remote.uri("results"))) == {"a.json"}
    assert not storage.exists(remote.uri("results"))


def test_what_is_not_there_is_not_found(bucket, storage):
    uri = bucket.uri("folder/none.json")
    bucket.put("folder/none.json.part/in.json", b"-")
    bucket.put("folder/none", b"-")
    assert not storage.exists(uri)
    for call in (storage.read_text, storage.info, storage.open):
        with pytest.raises(FileNotFoundError):
            call(uri)
    storage.delete(uri)
    # A folder is no file.
    assert not storage.exists(bucket.uri("folder"))
    with pytest.raises(FileNotFoundError):
        storage.info(bucket.uri("folder"))


def test_what_another_program_does_is_seen_at_once(bucket, storage):
    bucket.put("in/a.json", b"old")
    bucket.put("in/gone.json", b"-")
    before = storage.list_files(bucket.uri("in"))
    assert set(before) == {"a.json", "gone.json"}
    assert not storage.exists(bucket.uri("in/new.json"))
    first = storage.info(bucket.uri("in/a.json"))

    bucket.put("in/a.json", b"changed")
    bucket.put("in/new.json", b"new")
    assert storage.exists(bucket.uri("in/new.json"))
    assert storage.info(bucket.uri("in/new.json")).size == 3
    assert storage.read_text(bucket.uri("in/new.json")) == "new"
    assert storage.read_text(bucket.uri("in/a.json")) == "changed"
    with storage.open(bucket.uri("in/a.json")) as file:
        assert file.read() == b"changed"
    second = storage.info(bucket.uri("in/a.json"))
    assert second.size == 7
    assert second.version != first.version
    assert second.modified >= first.modified
    after = storage.list_files(bucket.uri("in"))
    assert set(after) == {"a.json", "gone.json", "new.json"}
    assert after["a.json"].version == second.version
    assert after["gone.json"].version == before["gone.json"].version


def test_a_file_that_is_replaced_has_another_version(bucket, storage):
    storage.write_text(bucket.uri("a"), "one")
    versions = [storage.info(bucket.uri("a")).version]
    for text in ("two", "three"):
        storage.write_text(bucket.uri("a"), text)
        versions.append(storage.info(bucket.uri("a")).version)
    assert len(set(versions)) == 3


def test_a_file_is_created_once(bucket, storage):
    assert storage.create(bucket.uri("locks/lease"), "mine")
    assert not storage.create(bucket.uri("locks/lease"), "yours")
    assert not Storage(ObjectStoragePath).create(bucket.uri("locks/lease"), "theirs")
    assert bucket.get("locks/lease") == b"mine"
    storage.delete(bucket.uri("locks/lease"))
    assert storage.create(bucket.uri("locks/lease"), "yours")
    assert bucket.get("locks/lease") == b"yours"
    assert bucket.keys() == {"locks/lease"}


def test_of_those_that_create_a_file_at_once_one_succeeds(bucket, storage):
    racers = 4
    start = threading.Barrier(racers)

    def race(number, name):
        start.wait()
        return storage.create(bucket.uri(name), str(number))

    with ThreadPoolExecutor(racers) as threads:
        for name in ("a", "b", "c", "d", "e"):
            won = list(threads.map(race, range(racers), [name] * racers))
            assert won.count(True) == 1
            assert bucket.get(name) == str(won.index(True)).encode()


def test_each_call_is_one_request(remote, storage):
    # The first call of all may look the bucket up.
    storage.exists(remote.uri("anything"))
    upload = "POST" if remote.scheme == "gs" else "PUT"

    def requests(call, *args):
        remote.proxy.reset()
        call(*args)
        return remote.proxy.count()

    assert requests(storage.write_text, remote.uri("in/a.json"), "text") == {upload: 1}
    assert requests(storage.write_text, remote.uri("in/a.json"), "more" * 100_000) == {upload: 1}
    # The first one is tried twice, to find out whether the storage refuses what is there.
    assert requests(storage.create, remote.uri("in/lease"), "text") == {upload: 2}
    assert requests(storage.create, remote.uri("in/lease"), "text") == {upload: 1}
    assert requests(storage.create, remote.uri("in/next"), "text") == {upload: 1}
    assert storage.creates_exclusively(remote.uri("in/lease"))
    assert requests(storage.read_text, remote.uri("in/a.json")) == {"GET": 1}
    assert requests(storage.read_range, remote.uri("in/a.json"), 10, 20) == {"GET": 1}
    for n in range(30):
        remote.put(f"in/sub {n}/file.json", b"-")
    # Azure's library asks first whether the folder is a file.
    head = {"HEAD": 1} if remote.scheme == "abfs" else {}
    assert requests(storage.list_files, remote.uri("in")) == {**head, "LIST": 1}
    assert requests(storage.delete, remote.uri("in/a.json")) == {"DELETE": 1}
    looked = requests(storage.info, remote.uri("in/lease"))
    if remote.scheme == "gs":
        # gcsfs asks for the file and, at the same time, whether it is a folder: where nothing is listed, for the file again.
        assert looked.pop("LIST", 0) <= 1
        assert looked in ({"GET": 1}, {"GET": 2})
    else:
        assert looked == {"HEAD": 1}


def test_a_read_of_what_is_not_there_is_one_request(remote, storage):
    storage.exists(remote.uri("anything"))
    remote.proxy.reset()
    with pytest.raises(FileNotFoundError):
        storage.read_text(remote.uri("none"))
    assert remote.proxy.count() == {"GET": 1}


def test_a_large_file_is_streamed(bucket, storage):
    content = bytes(range(256)) * 40_000
    bucket.put("large.mp3", content)
    with storage.open(bucket.uri("large.mp3")) as file:
        assert file.read(1000) == content[:1000]
        assert file.read() == content[1000:]


def test_a_part_of_a_file_is_read_by_its_positions(bucket, storage):
    content = bytes(range(256)) * 40
    bucket.put("talk.mp3", content)
    uri = bucket.uri("talk.mp3")
    assert storage.read_range(uri, 0, 12) == content[:12]
    assert storage.read_range(uri, 100, 9000) == content[100:9000]
    assert storage.read_range(uri, len(content) - 5, len(content) + 5) == content[-5:]
    with pytest.raises(FileNotFoundError):
        storage.read_range(bucket.uri("none"), 0, 12)


def test_an_empty_file_is_a_file(bucket, storage):
    storage.write_text(bucket.uri("empty"), "")
    assert bucket.get("empty") == b""
    assert storage.read_text(bucket.uri("empty")) == ""
    assert storage.info(bucket.uri("empty")).size == 0
    with storage.open(bucket.uri("empty")) as file:
        assert file.read() == b""
    assert not storage.create(bucket.uri("empty"), "text")


def test_many_threads_write_and_read_at_once(bucket, storage):
    def write(number):
        storage.write_text(bucket.uri(f"in/{number}.json"), str(number))
        assert len(storage.list_files(bucket.uri("in"))) >= 1
        return storage.read_text(bucket.uri(f"in/{number}.json"))

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(write, range(40))) == [str(number) for number in range(40)]
    assert bucket.keys() == {f"in/{number}.json" for number in range(40)}


def test_an_event_loop_can_use_it(bucket, storage):
    async def use(uri):
        await storage.off_loop(uri, storage.write_text, uri, "text")
        return await storage.off_loop(uri, storage.read_text, uri)

    assert asyncio.run(use(bucket.uri("a.json"))) == "text"
    # And the next loop.
    assert asyncio.run(use(bucket.uri("b.json"))) == "text"
    assert bucket.keys() == {"a.json", "b.json"}
