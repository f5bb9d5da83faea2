"""One suite over every place that sources can lie in: a folder, and a prefix of a bucket on a real server."""

import hashlib
import os
import pickle
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from infra.sources import local, open_file, store_of
from infra.sources.scratch import sweep_abandoned
from schemas.errors import ConfigError, CorruptError, LimitError, UnreadableError
from schemas.source import Found, SourceFile
from tests.s3 import Bucket

LIMIT = 1 << 20


class Folder:
    """A SRC on the disk."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.src = str(folder)
        self._folder = folder
        self._monkeypatch = monkeypatch

    def write(self, name: str, data: bytes) -> None:
        (self._folder / name).parent.mkdir(exist_ok=True, parents=True)
        (self._folder / name).write_bytes(data)

    def delete(self, name: str) -> None:
        (self._folder / name).unlink()

    def while_read(self, name: str, action: Callable[[], None]) -> None:
        """Do this each time that the file has been read."""
        digest = local.digest_stream

        def meddle(file) -> str:
            found = digest(file)
            action()
            return found

        self._monkeypatch.setattr(local, "digest_stream", meddle)


class Prefix:
    """A SRC in a bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self.src = f"{bucket.url}/my corpus"
        self._bucket = bucket

    def write(self, name: str, data: bytes) -> None:
        self._bucket.put(f"my corpus/{name}", data)

    def delete(self, name: str) -> None:
        self._bucket.delete(f"my corpus/{name}")

    def while_read(self, name: str, action: Callable[[], None]) -> None:
        """Do this each time that the object is about to be given."""
        wanted = f"GET /{self._bucket.name}/my corpus/{name}"
        self._bucket.server.before = lambda request: action() if request == wanted else None


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch) -> Folder | Prefix:
    if request.param == "s3":
        return Prefix(request.getfixturevalue("bucket"))
    return Folder(tmp_path, monkeypatch)


def walk(src: str, exclude: str = "") -> list[Found]:
    store = store_of(src)
    found = list(store.walk(store.uri(src), store.uri(exclude) if exclude else ""))
    return sorted(found, key=lambda f: f.file.uri)


def hashed(place: Folder | Prefix, name: str = "a.txt") -> SourceFile:
    (file,) = (f.file for f in walk(place.src) if f.file.path == name)
    found = store_of(file.uri).hash(file)
    assert found.reason == ""
    return found.file


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_names_are_found_with_their_sizes(place):
    place.write("b/two.txt", b"22")
    place.write("a.txt", b"1")
    place.write("empty", b"")
    found = walk(place.src)
    assert [(f.file.path, f.file.size_bytes, f.reason) for f in found] == [
        ("a.txt", 1, ""),
        ("b/two.txt", 2, ""),
        ("empty", 0, ""),
    ]
    root = store_of(place.src).uri(place.src)
    assert {f.file.root for f in found} == {root}
    assert [f.file.uri for f in found] == [f"{root}/{f.file.path}" for f in found]


def test_a_source_may_be_one_file(place):
    place.write("b/two.txt", b"22")
    place.write("b/two.txt.bak", b"22")
    (found,) = walk(f"{place.src}/b/two.txt")
    assert (found.file.path, found.file.root) == ("two.txt", found.file.uri)


ODD = ["sp ace", "per%20cent", "hash#mark", "ques?tion=1", "é", "plus+", "br{ace}", "back\\slash"]


def test_odd_names_have_distinct_uris_that_lead_back_to_them(place):
    for name in ODD:
        place.write(name, name.encode())
    files = [f.file for f in walk(place.src)]
    assert sorted(file.path for file in files) == sorted(ODD)
    assert all(file.uri.isascii() and " " not in file.uri for file in files)
    for file in files:
        content = store_of(file.uri).hash(file).file
        assert content.content_hash == sha256(file.path.encode())
        with open_file(content, limit_bytes=LIMIT) as path:
            assert path.read_bytes() == file.path.encode()
        (again,) = walk(file.uri)
        assert again.file.uri == file.uri


def test_what_is_below_the_excluded_place_is_left_out(place):
    for name in ("lake/part.parquet", "lake.txt", "a.txt"):
        place.write(name, b"x")
    found = walk(place.src, exclude=f"{place.src}/lake")
    assert [f.file.path for f in found] == ["a.txt", "lake.txt"]


def test_a_file_is_looked_at_again(place):
    place.write("a.txt", b"1")
    (found,) = walk(place.src)
    place.write("a.txt", b"22")
    store = store_of(place.src)
    again = store.look(found.file.uri, found.file.root)
    assert again is not None
    assert (again.file.path, again.file.size_bytes) == ("a.txt", 2)
    place.delete("a.txt")
    assert store.look(found.file.uri, found.file.root) is None


def test_what_vanishes_before_it_is_hashed_has_a_reason(place):
    place.write("a.txt", b"1")
    (found,) = walk(place.src)
    place.delete("a.txt")
    gone = store_of(place.src).hash(found.file)
    assert "cannot be read" in gone.reason
    assert gone.file.content_hash == ""


def test_what_changes_before_it_is_hashed_is_looked_at_again(place):
    place.write("a.txt", b"1")
    (found,) = walk(place.src)
    place.write("a.txt", b"22")
    now = store_of(place.src).hash(found.file).file
    assert (now.size_bytes, now.content_hash) == (2, sha256(b"22"))


def test_what_changes_once_while_it_is_hashed_gets_the_hash_of_the_new(place):
    place.write("a.txt", b"1")
    (found,) = walk(place.src)
    changes = iter([b"22"])
    place.while_read("a.txt", lambda: [place.write("a.txt", data) for data in changes] and None)
    now = store_of(place.src).hash(found.file).file
    assert (now.size_bytes, now.content_hash) == (2, sha256(b"22"))


def test_what_keeps_changing_is_being_written(place):
    place.write("a.txt", b"1")
    (found,) = walk(place.src)
    sizes = iter(range(2, 10))
    place.while_read("a.txt", lambda: place.write("a.txt", b"x" * next(sizes)))
    now = store_of(place.src).hash(found.file)
    assert "is being written" in now.reason
    assert now.file.content_hash == ""


def test_the_opener_travels_to_workers(place):
    place.write("a.txt", b"one")
    opener = pickle.loads(pickle.dumps(partial(open_file, limit_bytes=LIMIT)))  # noqa: S301 - ours
    with opener(pickle.loads(pickle.dumps(hashed(place)))) as path:  # noqa: S301 - ours
        assert path.read_bytes() == b"one"


@pytest.mark.parametrize("data", [b"two", b"longer", None], ids=["as long", "longer", "gone"])
def test_what_changed_after_it_was_hashed_is_not_opened(place, data):
    place.write("a.txt", b"one")
    file = hashed(place)
    if data is None:
        place.delete("a.txt")
    else:
        place.write("a.txt", data)
    with (
        pytest.raises(UnreadableError, match=r"a\.txt .*the next run"),
        open_file(file, limit_bytes=LIMIT),
    ):
        pytest.fail("other bytes were given")


def test_what_was_written_again_with_equal_bytes_opens(place):
    place.write("a.txt", b"one")
    file = hashed(place)
    place.write("a.txt", b"one")
    with open_file(file, limit_bytes=LIMIT) as path:
        assert path.read_bytes() == b"one"


def test_a_source_that_cannot_be_is_refused_without_repeating_its_secrets():
    for source in (
        "https://example.org/a?X-Amz-Signature=5ec2e7",
        "s3://AKIA:5ec2e7@bucket/a",
        "az://box/a?sv=1&sig=5ec2e7",
    ):
        with pytest.raises(ConfigError) as caught:
            store_of(source).uri(source)
        assert "5ec2e7" not in str(caught.value)


# Local files only.


def test_a_file_that_changes_while_it_is_open_is_an_error_whatever_came_of_it(tmp_path: Path):
    (tmp_path / "a.txt").write_bytes(b"one")
    place = Folder(tmp_path, pytest.MonkeyPatch())
    for data, trouble in ((b"one more", None), (b"two more", CorruptError("half a file"))):
        file = hashed(place)
        with (  # noqa: PT012 - what happens inside is what the context must see
            pytest.raises(UnreadableError, match="changed while it was read"),
            open_file(file, limit_bytes=LIMIT) as path,
        ):
            path.write_bytes(data)
            if trouble:
                raise trouble


def test_a_second_write_within_a_tick_of_the_clock_is_seen(tmp_path: Path):
    (tmp_path / "a.txt").write_bytes(b"one")
    place = Folder(tmp_path, pytest.MonkeyPatch())
    file = hashed(place)
    (tmp_path / "a.txt").write_bytes(b"two")
    stamp = local.FileStamp.of((tmp_path / "a.txt").stat())  # as if it had left the same
    with pytest.raises(UnreadableError), open_file(replace(file, stamp=stamp), limit_bytes=LIMIT):
        pass


def test_a_touched_file_opens(tmp_path: Path):
    (tmp_path / "a.txt").write_bytes(b"one")
    file = hashed(Folder(tmp_path, pytest.MonkeyPatch()))
    with open_file(file, limit_bytes=LIMIT) as path:
        os.utime(path, ns=(1, 1))


def test_a_pipe_in_the_place_of_a_file_does_not_block(tmp_path: Path):
    (tmp_path / "a.txt").write_bytes(b"one")
    (found,) = walk(str(tmp_path))
    (tmp_path / "a.txt").unlink()
    os.mkfifo(tmp_path / "a.txt")
    assert "not a regular file" in store_of(str(tmp_path)).hash(found.file).reason


# Objects only.


def scratch_files(tmp_path: Path) -> list[Path]:
    return list(tmp_path.glob("gristmill-object-*"))


@pytest.fixture
def prefix(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prefix:
    """A SRC in a bucket, with copies in `tmp_path`."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return Prefix(bucket)


@pytest.mark.slow
def test_markers_of_folders_are_no_files(prefix: Prefix):
    for name in ("", "a/", "a/b.txt", "c/"):
        prefix.write(name, b"b" if name.endswith("t") else b"")
    prefix.write("c", b"both")
    prefix.write("d", b"")
    assert [f.file.path for f in walk(prefix.src)] == ["a/b.txt", "c", "d"]


@pytest.mark.slow
def test_a_key_that_is_no_path_costs_its_folder(prefix: Prefix):
    for name in ("good/a.txt", "bad//b.txt", "z.txt"):
        prefix.write(name, b"x")
    found = walk(prefix.src)
    assert [(f.file.path, bool(f.reason), f.blocked) for f in found] == [
        ("bad", True, True),
        ("good/a.txt", False, False),
        ("z.txt", False, False),
    ]
    assert "bad//" in found[0].reason


@pytest.mark.slow
def test_a_listing_that_breaks_off_is_an_error(prefix: Prefix, bucket: Bucket, monkeypatch):
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
    for number in range(5):
        prefix.write(f"{number}.txt", b"x")
    assert len(walk(prefix.src)) == 5
    bucket.server.before = lambda request: "continuation-token" in request
    with pytest.raises(
        UnreadableError, match=r"cannot be listed, nothing was changed.*AccessDenied"
    ):
        walk(prefix.src)


@pytest.mark.slow
def test_a_bucket_that_is_not_there_is_named(bucket: Bucket):
    store = store_of("s3://no-such-bucket/a")
    with pytest.raises(UnreadableError, match=r"s3://no-such-bucket/a .*NoSuchBucket"):
        store.check("s3://no-such-bucket/a")


@pytest.mark.slow
def test_errors_name_the_object_and_nothing_of_the_request(prefix: Prefix, bucket: Bucket):
    prefix.write("a.txt", b"one")
    prefix.write("b.txt", b"two")
    file = hashed(prefix)
    bucket.server.before = lambda request: "a.txt" in request
    reason = store_of(file.uri).hash(file).reason
    with pytest.raises(UnreadableError) as caught, open_file(file, limit_bytes=LIMIT):
        pass
    assert file.uri in caught.value.message
    for said in (reason, caught.value.message):
        assert "access is denied" in said
        assert "http" not in said
        assert "signed" not in said
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    bucket.server.before = lambda _: True  # now it is not the object: nothing may be concluded
    with pytest.raises(UnreadableError, match="cannot be listed"):
        store_of(file.uri).hash(file)


@pytest.mark.slow
def test_an_object_over_the_limit_is_not_fetched(prefix: Prefix, bucket: Bucket):
    prefix.write("a.txt", b"x" * 100)
    file = hashed(prefix)
    before = bucket.downloads()
    with pytest.raises(LimitError, match=r"100 bytes, more than limits\.file_bytes = 99"):
        store_of(file.uri).open(file, 99).__enter__()
    assert bucket.downloads() == before


@pytest.mark.slow
def test_copies_are_deleted_whatever_happens_and_errors_name_the_object(
    prefix: Prefix, tmp_path: Path
):
    prefix.write("a.txt", b"one")
    file = hashed(prefix)
    with open_file(file, limit_bytes=LIMIT) as path:
        assert scratch_files(tmp_path) == [path]
        assert path.stat().st_mode & 0o077 == 0
    with (
        pytest.raises(CorruptError, match=r"^s3://.*a\.txt is no text$"),
        open_file(file, limit_bytes=LIMIT) as path,
    ):
        raise CorruptError(f"{path} is no text", page=3)
    prefix.write("a.txt", b"two")
    with pytest.raises(UnreadableError), open_file(file, limit_bytes=LIMIT):
        pass
    assert scratch_files(tmp_path) == []


@pytest.mark.slow
def test_copies_of_killed_processes_are_swept_and_those_in_use_are_not(
    prefix: Prefix, tmp_path: Path
):
    prefix.write("a.txt", b"one")
    left = tmp_path / "gristmill-object-left"
    left.write_bytes(b"of a killed worker")
    with open_file(hashed(prefix), limit_bytes=LIMIT) as path:
        for file in (left, path):
            os.utime(file, (time.time() - 3600,) * 2)
        sweep_abandoned()
        assert scratch_files(tmp_path) == [path]
