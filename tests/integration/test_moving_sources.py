"""Files and objects that change, vanish and come back while a run reads them: what was indexed is what was there."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.plan import Plan, check_gone
from infra.lake import LakeState
from schemas.config import Limits
from schemas.errors import ConfigError, GoneError, UnreadableError
from tests.integration.mill import Mill
from tests.s3 import Bucket

pytestmark = pytest.mark.slow

OLD = "Alpha is about mills."
NEW = "Alpha is about mills, and now about bread as well."


@pytest.fixture
def mill(tmp_path: Path) -> Mill:
    return Mill(tmp_path)


@pytest.fixture
def fresh(tmp_path: Path) -> Mill:
    """A second lake, over the same corpus."""
    (tmp_path / "fresh").mkdir()
    made = Mill(tmp_path / "fresh")
    made.corpus = tmp_path / "corpus"
    made.sources = [str(made.corpus)]
    return made


def ingest_after(mill: Mill, meddle: Callable[[], None]):
    """Ingest, with something happening between the plan and the first file that is decoded."""

    def planner(state: LakeState) -> Plan:
        plan = mill.listed(state)
        meddle()
        return plan

    return mill.work(planner)


def check_like_fresh(mill: Mill, fresh: Mill) -> None:
    fresh.ingest()
    assert mill.live() == fresh.live()
    columns = ["unit_id", "text", "source_id"]
    assert mill.lake.live_units(columns=columns) == fresh.lake.live_units(columns=columns)
    outcome = [
        {k.uri: (k.source_id, k.content_hash, k.size_bytes) for k in m.lake.state().paths.values()}
        for m in (mill, fresh)
    ]
    assert outcome[0] == outcome[1]
    assert mill.lake.rejects().num_rows == 0


def replace_file(path: Path) -> None:
    path.with_name("new").write_text(NEW)
    path.with_name("new").rename(path)


def append_to_file(path: Path) -> None:
    with path.open("a") as file:
        file.write(" And about more.")


def rewrite_as_long(path: Path) -> None:
    path.write_text(OLD.swapcase())


@pytest.mark.parametrize("meddle", [replace_file, append_to_file, rewrite_as_long])
def test_a_file_that_changes_after_it_was_hashed_is_read_by_the_next_run(
    mill: Mill, fresh: Mill, meddle
):
    mill.write("a.txt", OLD)
    mill.write("b.txt", "Beta stays.")
    path = mill.corpus / "a.txt"
    balance = ingest_after(mill, lambda: meddle(path))
    assert (balance.found, balance.indexed, balance.rejected) == (2, 1, {"unreadable": 1})
    assert set(mill.live()) == {"b.txt"}
    (reject,) = mill.lake.rejects().to_pylist()
    assert "changed while it was read" in reject["reason"]
    assert (reject["path"], reject["retryable"], reject["source_id"]) == ("a.txt", True, "")
    assert mill.ingest().indexed == 1
    check_like_fresh(mill, fresh)


def test_a_file_that_vanishes_and_comes_back_as_it_was_is_read_by_the_next_run(
    mill: Mill, fresh: Mill
):
    mill.write("a.txt", OLD)
    path, aside = mill.corpus / "a.txt", mill.corpus.parent / "aside"
    os.utime(path, (1, 1))
    assert ingest_after(mill, lambda: path.rename(aside) and None).rejected == {"unreadable": 1}
    aside.rename(path)  # same size, time, bytes
    assert mill.ingest().indexed == 1
    check_like_fresh(mill, fresh)


def test_a_retry_reads_what_changed_before(mill: Mill, fresh: Mill):
    mill.write("a.txt", OLD)
    ingest_after(mill, lambda: mill.write("a.txt", NEW))
    assert mill.retry().indexed == 1
    check_like_fresh(mill, fresh)


def test_a_copy_that_is_still_there_is_read_instead(mill: Mill):
    mill.write("a.txt", OLD)
    mill.write("b.txt", OLD)
    mill.write("c.txt", OLD)
    balance = ingest_after(mill, lambda: (mill.corpus / "a.txt").unlink())
    assert (balance.indexed, balance.duplicate, balance.rejected) == (1, 1, {"unreadable": 1})
    assert list(mill.live().values()) == [[OLD]]
    assert mill.ingest().gone == 1
    assert mill.lake.rejects().num_rows == 0


def test_a_known_name_keeps_its_content_until_the_new_one_can_be_read(mill: Mill, fresh: Mill):
    mill.write("a.txt", OLD)
    mill.ingest()
    mill.write("a.txt", "Something that nobody ever reads.")
    balance = ingest_after(mill, lambda: mill.write("a.txt", NEW))
    assert (balance.found, balance.kept, balance.rejected) == (1, 1, {"unreadable": 1})
    assert mill.live() == {"a.txt": [OLD]}
    assert mill.ingest().indexed == 1
    assert mill.live() == {"a.txt": [NEW]}
    check_like_fresh(mill, fresh)


def test_a_rejected_name_stays_rejected_until_the_new_content_can_be_read(mill: Mill, fresh: Mill):
    mill.write("a.txt", "")
    mill.write("b.txt", "Beta stays.")
    assert mill.ingest().rejected == {"empty": 1}
    mill.write("a.txt", "Something that nobody ever reads.")
    assert ingest_after(mill, lambda: mill.write("a.txt", NEW)).rejected == {"unreadable": 1}
    assert set(mill.live()) == {"b.txt"}
    assert mill.ingest().indexed == 1
    check_like_fresh(mill, fresh)


# Object stores.


def write_object(bucket: Bucket, name: str, text: str) -> None:
    bucket.put(f"corpus/{name}", text.encode())


@pytest.fixture
def remote(mill: Mill, bucket: Bucket) -> Mill:
    """A mill over a prefix and a folder at once."""
    mill.sources = [f"{bucket.url}/corpus", str(mill.corpus)]
    return mill


def test_objects_are_added_changed_moved_copied_and_deleted(remote: Mill, bucket: Bucket):
    write_object(bucket, "a.txt", OLD)
    write_object(bucket, "sub/b é.txt", "Beta is about bread.")
    bucket.put("corpus/sub/", b"")
    remote.write("local.txt", "Gamma lies on a disk.")
    first = remote.ingest()
    assert (first.found, first.indexed) == (3, 3)
    assert remote.live()["sub/b é.txt"] == ["Beta is about bread."]

    remote.write("new here.txt", OLD)  # moved from the bucket to the disk
    bucket.delete("corpus/a.txt")
    write_object(bucket, "sub/b é.txt", "Beta is about stars.")
    write_object(bucket, "copy.txt", "Beta is about stars.")
    second = remote.ingest()
    assert (second.found, second.indexed, second.duplicate, second.gone) == (4, 1, 1, 1)
    assert second.unchanged == 2
    assert second.units == {"text/document": 1, "text/paragraph": 1}
    rows = {k.path: k for k in remote.lake.state().paths.values()}
    assert rows["copy.txt"].uri == f"{bucket.url}/corpus/copy.txt"
    assert rows["copy.txt"].etag
    assert rows["local.txt"].etag == ""


def test_unchanged_objects_are_not_downloaded_and_rewritten_ones_not_decoded(
    remote: Mill, bucket: Bucket
):
    write_object(bucket, "a.txt", OLD)
    write_object(bucket, "bad.txt", "")
    assert remote.ingest().rejected == {"empty": 1}
    before = len(bucket.downloads())
    again = remote.ingest()
    assert (again.unchanged, again.rejected) == (1, {"empty": 1})
    assert bucket.downloads()[before:] == []

    etag = {k.path: k.etag for k in remote.lake.state().paths.values()}["a.txt"]
    upload = bucket.client.create_multipart_upload(Bucket=bucket.name, Key="corpus/a.txt")
    part = {"Bucket": bucket.name, "Key": "corpus/a.txt", "UploadId": upload["UploadId"]}
    sent = bucket.client.upload_part(**part, PartNumber=1, Body=OLD.encode())
    parts = {"Parts": [{"PartNumber": 1, "ETag": sent["ETag"]}]}
    bucket.client.complete_multipart_upload(**part, MultipartUpload=parts)
    again = remote.ingest()
    assert (again.unchanged, again.units) == (1, {})
    assert bucket.downloads()[before:] == ["corpus/a.txt"]
    assert {k.path: k.etag for k in remote.lake.state().paths.values()}["a.txt"] != etag
    remote.ingest()
    assert len(bucket.downloads()) == before + 1


def test_an_object_that_changes_after_it_was_hashed_is_read_by_the_next_run(
    remote: Mill, bucket: Bucket
):
    write_object(bucket, "a.txt", OLD)
    write_object(bucket, "gone.txt", "Soon gone.")

    def meddle() -> None:
        write_object(bucket, "a.txt", NEW)
        bucket.delete("corpus/gone.txt")

    assert ingest_after(remote, meddle).rejected == {"unreadable": 2}
    reasons = {row["path"]: row["reason"] for row in remote.lake.rejects().to_pylist()}
    assert "it changed since it was listed" in reasons["a.txt"]
    assert "not there any more" in reasons["gone.txt"]
    assert all(f"{bucket.url}/corpus/" in reason for reason in reasons.values())
    again = remote.ingest()
    assert (again.indexed, again.gone) == (1, 1)
    assert remote.live() == {"a.txt": [NEW]}
    assert remote.lake.rejects().num_rows == 0


def test_an_object_that_may_not_be_read_is_kept_or_rejected_and_retried(
    remote: Mill, bucket: Bucket
):
    write_object(bucket, "a.txt", OLD)
    remote.ingest()
    write_object(bucket, "a.txt", NEW)
    write_object(bucket, "b.txt", "Beta.")
    bucket.server.before = lambda request: request.startswith(f"GET /{bucket.name}/")
    balance = remote.ingest()
    assert (balance.rejected, balance.kept) == ({"unreadable": 2}, 1)
    assert remote.live() == {"a.txt": [OLD]}
    bucket.server.before = lambda _: False
    assert remote.retry("b.txt").indexed == 1
    assert remote.ingest().indexed == 1
    assert remote.live() == {"a.txt": [NEW], "b.txt": ["Beta."]}
    bucket.delete("corpus/b.txt")
    assert remote.lake.rejects().num_rows == 0


def test_an_object_over_the_limit_is_rejected(remote: Mill, bucket: Bucket):
    write_object(bucket, "a.txt", OLD)
    remote.config = remote.config.model_copy(update={"limits": Limits(file_bytes=10)})
    assert remote.ingest().rejected == {"limit": 1}
    (reject,) = remote.lake.rejects().to_pylist()
    assert reject["reason"].startswith(f"{bucket.url}/corpus/a.txt has 21 bytes")


def test_a_listing_that_breaks_off_deletes_nothing(
    remote: Mill, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
    for number in range(5):
        write_object(bucket, f"{number}.txt", f"Number {number}.")
    assert remote.ingest().indexed == 5
    live = remote.live()
    bucket.server.before = lambda request: "continuation-token" in request
    with pytest.raises(UnreadableError, match="cannot be listed, nothing was changed"):
        remote.ingest()
    assert remote.live() == live
    bucket.server.before = lambda _: False
    assert remote.ingest().unchanged == 5


def test_a_prefix_that_lacks_most_objects_is_not_believed(remote: Mill, bucket: Bucket):
    for number in range(3):
        write_object(bucket, f"{number}.txt", f"Number {number}.")

    def guarded(state: LakeState) -> Plan:
        from flows.listing import list_sources

        plan, listing = remote.listed(state), list_sources(remote.sources)
        check_gone(plan, listing, state, 0.5)
        return plan

    remote.work(guarded)
    for number in range(3):
        bucket.delete(f"corpus/{number}.txt")
    with pytest.raises(GoneError, match="3 of the 3 files"):
        remote.work(guarded)
    assert len(remote.live()) == 3
    assert remote.ingest().gone == 3  # as with --accept-gone
    remote.sources = [f"{bucket.url}/corpse"]
    with pytest.raises(ConfigError, match="corpse does not exist"):
        remote.work(guarded)


def test_a_lake_within_its_source_is_left_out(bucket: Bucket, tmp_path: Path):
    from flows.listing import list_sources
    from infra.lake import Lake

    lake = Lake.open(f"{bucket.url}/corpus/my lake", create=True)
    write_object(bucket, "my lake.txt", OLD)
    listing = list_sources([f"{bucket.url}/corpus"], exclude=lake.url)
    assert [file.path for file in listing.files] == ["my lake.txt"]
