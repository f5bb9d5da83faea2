"""One suite over every blob store: local, memory, S3 against a real server; and local read-only for reading."""

import threading
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.blobs import open_blobs
from infra.local_blobs import ReadOnlyLocalBlobs, local_root
from schemas.blobs import BlobStore, check_key
from schemas.errors import ConfigError, IntegrityError, LakeError

KINDS = ["local", "memory", pytest.param("s3", marks=pytest.mark.slow)]


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "s3":
        return f"{request.getfixturevalue('s3_bucket')}/lake-{uuid4().hex}"
    return "memory://" if request.param == "memory" else str(tmp_path / "lake é #1")


@pytest.fixture
def blobs(url: str, tmp_path: Path) -> BlobStore:
    return open_blobs(url, cache_dir=tmp_path / "cache")


def test_get_gives_what_put_wrote_last(blobs):
    blobs.put("a/b.json", b"one")
    blobs.put("a/b.json", b"")
    assert blobs.get("a/b.json") == b""


def test_a_missing_key_is_named(blobs):
    for read in (blobs.get, blobs.local_path):
        with pytest.raises(IntegrityError, match="nowhere/x"):
            read("nowhere/x")
    assert not blobs.exists("nowhere/x")


def test_a_folder_is_no_blob(blobs):
    blobs.put("a/b.json", b"1")
    assert blobs.exists("a/b.json")
    assert not blobs.exists("a")


def test_list_is_sorted_and_stays_below_the_folder(blobs):
    for key in ("b/2", "ab/1", "b/1/x", "c", "b/10"):
        blobs.put(key, b"1")
    assert blobs.list("b") == blobs.list("b/") == ["b/1/x", "b/10", "b/2"]
    assert blobs.list() == ["ab/1", "b/1/x", "b/10", "b/2", "c"]
    blobs.put("b/1/x", b"four")
    assert list(blobs.sizes("b").items()) == [("b/1/x", 4), ("b/10", 1), ("b/2", 1)]
    assert blobs.list("nowhere") == []


def test_put_if_absent_keeps_the_first(blobs):
    assert blobs.put_if_absent("a", b"first") is True
    assert blobs.put_if_absent("a", b"second") is False
    assert blobs.get("a") == b"first"


def test_of_racing_writers_one_wins(blobs):
    won = []
    start = threading.Barrier(8)

    def write(name: int) -> None:
        start.wait()
        if blobs.put_if_absent("race", str(name).encode()):
            won.append(name)

    threads = [threading.Thread(target=write, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [str(name).encode() for name in won] == [blobs.get("race")]


def test_delete_may_be_repeated(blobs):
    blobs.put("a", b"1")
    blobs.delete("a")
    blobs.delete("a")
    assert not blobs.exists("a")


def test_local_path_has_the_bytes(blobs):
    data = bytes(range(256)) * 40_000  # over one download chunk
    blobs.put("segments/0f/index.faiss", data)
    path = blobs.local_path("segments/0f/index.faiss")
    assert path.read_bytes() == data
    assert blobs.local_path("segments/0f/index.faiss") == path
    assert [p.name for p in path.parent.iterdir()] == ["index.faiss"]  # no partial copy is left


def test_a_broken_copy_in_the_cache_is_fetched_again(blobs):
    blobs.put("a", b"whole")
    if blobs.local_path("a") == Path(blobs.url) / "a":
        return  # a local store has no copies
    blobs.local_path("a").write_bytes(b"who")
    assert blobs.local_path("a").read_bytes() == b"whole"


@pytest.mark.parametrize(
    "key", ["", "/a", "a/", "a//b", "../a", "a/../b", ".hidden", "a b", "ä", "a%20b"]
)
def test_what_is_no_key_is_refused(blobs, key):
    for act in (blobs.get, blobs.exists, blobs.local_path, lambda k: blobs.put(k, b"")):
        with pytest.raises(LakeError, match="no blob key"):
            act(key)


@pytest.mark.parametrize("kind", KINDS[::2])
def test_read_only_reads_and_refuses_to_write(kind, request, tmp_path):
    url = f"{request.getfixturevalue('s3_bucket')}/{uuid4().hex}" if kind == "s3" else str(tmp_path)
    writable = open_blobs(url)
    writable.put("a/b", b"1")
    reader = open_blobs(url, read_only=True, cache_dir=tmp_path / "cache")
    assert (reader.get("a/b"), reader.list(), reader.exists("a/b")) == (b"1", ["a/b"], True)
    assert reader.sizes("a") == {"a/b": 1}
    assert reader.url == writable.url
    assert reader.local_path("a/b").read_bytes() == b"1"
    with pytest.raises(IntegrityError, match="a/c"):
        reader.get("a/c")
    for write in (reader.put, reader.put_if_absent):
        with pytest.raises(LakeError, match="read-only"):
            write("a/b", b"2")
    with pytest.raises(LakeError, match="read-only"):
        reader.delete("a/b")
    assert writable.get("a/b") == b"1"


def test_local_read_only_passes_over_half_written_files(tmp_path):
    (tmp_path / "pointer").mkdir()
    (tmp_path / "pointer" / "1.json").write_bytes(b"{}")
    (tmp_path / "pointer" / "1.json#1").write_bytes(b"{")
    assert ReadOnlyLocalBlobs(tmp_path).list("pointer") == ["pointer/1.json"]


def test_urls_name_folders(tmp_path):
    assert open_blobs(f"file://{tmp_path}/x%20y").url == f"{tmp_path}/x y"
    assert local_root("s3://bucket/lake") is None
    with pytest.raises(ConfigError, match="ftp"):
        open_blobs("ftp://host/lake")
    with pytest.raises(LakeError, match="percent escape"):
        open_blobs(str(tmp_path / "a%20b"))
    with pytest.raises(LakeError, match="three slashes"):
        open_blobs("file://host/lake")


@pytest.mark.slow
def test_an_unknown_bucket_is_an_error_of_the_lake_without_addresses(s3_server):
    with pytest.raises(
        LakeError, match=r"not-a-bucket/lake: .*404 Not Found \(NoSuchBucket\)"
    ) as caught:
        open_blobs("s3://not-a-bucket/lake").list()
    assert s3_server.url not in str(caught.value)
    assert caught.value.__suppress_context__


@given(st.lists(st.from_regex(r"[A-Za-z0-9_=+-][A-Za-z0-9._=+-]{0,8}", fullmatch=True), min_size=1))
def test_keys_stay_below_the_root(segments):
    key = check_key("/".join(segments))
    assert Path("/root", key).resolve().is_relative_to("/root")
