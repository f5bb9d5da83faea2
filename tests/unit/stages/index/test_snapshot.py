import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from schemas.errors import ConfigError, IntegrityError, VectorError
from schemas.filters import Filter
from schemas.ids import digest_chunks
from schemas.manifest import FileRef, Manifest
from schemas.partition import AUDIO_SEGMENT, TEXT_PARAGRAPH
from schemas.space import SpaceContract
from stages.index.manifests import Origin, snapshot_manifest
from stages.index.snapshot import OpenSnapshot, SourcePlace
from stages.index.tombstones import tombstone_bytes
from stages.index.verify import verify
from tests import indexes

ROWS = 600
SPACE = SpaceContract(
    name="toy",
    encoder="toy",
    model="toy",
    revision="1",
    weights_digest="",
    dim=32,
    dtype="float32",
    input="text",
    pooling="mean",
)
ORIGIN = Origin("run-1", "2026-01-01T00:00:00+00:00", {"units": 3})


class Published:
    """A snapshot on disk, with what went into it."""

    def __init__(self, corpus, origin=ORIGIN):
        self.folder = corpus.folder
        self.rows, self.vectors = corpus.rows(ROWS), corpus.vectors(ROWS)
        kind = indexes.kind_of(SPACE, "text/paragraph", "ivf_sq8", nlist=8)
        built = indexes.build(self.folder, kind, self.rows, self.vectors, shards=2)
        entry = indexes.entry_of(self.folder, built)
        self.manifest = indexes.snapshot_of(self.folder, [SPACE], [entry], sources(), origin)

    def path(self, key: str) -> Path:
        return self.folder / key

    def open(self, **kwargs) -> OpenSnapshot:
        return OpenSnapshot.open(self.manifest, self.path, **kwargs)


def sources():
    places = [("source-1", "b.txt"), ("source-1", "a.txt"), ("source-2", "c.txt")]
    return [
        {"source_id": s, "path": p, "uri": f"file:///x/{p}", "title": "T" if s[-1] == "1" else ""}
        for s, p in places
    ]


@pytest.fixture
def published(corpus):
    return Published(corpus)


def test_a_vector_finds_its_unit_with_everything_about_it(published):
    snapshot = published.open(verify=True)

    found = snapshot.search(TEXT_PARAGRAPH, SPACE.key, published.vectors[[17, 3]], 5)

    assert [len(hits) for hits in found] == [5, 5]
    best = found[0][0]
    row = published.rows.slice(17, 1).to_pylist()[0]
    for name in ("unit_id", "source_id", "text", "context"):
        assert getattr(best, name) == row[name]
    assert best.locator == json.loads(row["locator"])
    assert best.attributes == json.loads(row["attributes"])
    assert (best.partition, best.space) == ("text/paragraph", SPACE.key)
    assert best.similarity == pytest.approx(1, abs=0.01)


def test_more_than_there_is_gives_all_there_is(published):
    (found,) = published.open().search(TEXT_PARAGRAPH, SPACE.key, published.vectors[:1], 10_000)

    assert len(found) == len({hit.unit_id for hit in found}) == ROWS


def test_indexes_are_named(published):
    assert published.open().indexes == [(TEXT_PARAGRAPH, SPACE.key)]


def test_nothing_is_opened_before_it_is_needed(published):
    for segment in published.manifest.indexes[0].segments:
        published.path(segment.files[0].key).unlink()
    snapshot = published.open()

    with pytest.raises(IntegrityError, match=r"index\.faiss"):
        snapshot.search(TEXT_PARAGRAPH, SPACE.key, published.vectors[:1], 1)


def test_an_index_that_is_not_there_is_answered_with_those_that_are(published):
    with pytest.raises(
        ConfigError, match=r"no index for audio/segment in x; it has text/paragraph"
    ):
        published.open().search(AUDIO_SEGMENT, "x", published.vectors[:1], 1)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda v: v[0],
        lambda v: v[:, :-1],
        lambda v: v.astype(np.float64),
        lambda v: v * np.float32("nan"),
    ],
)
def test_a_query_that_does_not_fit_is_refused(published, spoil):
    with pytest.raises(VectorError, match=f"text/paragraph in {SPACE.key}"):
        published.open().search(TEXT_PARAGRAPH, SPACE.key, spoil(published.vectors[:2]), 1)


def test_k_is_at_least_one(published):
    with pytest.raises(ConfigError, match="k is 0"):
        published.open().search(TEXT_PARAGRAPH, SPACE.key, published.vectors[:1], 0)


def test_a_source_is_found_at_its_first_path(published):
    snapshot = published.open()

    assert snapshot.paths("source-1") == SourcePlace("a.txt", "file:///x/a.txt", "T")
    with pytest.raises(IntegrityError, match="a unit of source nobody"):
        snapshot.paths("nobody")


def test_the_id_tells_what_is_served_and_not_when_it_was_made(published, corpus):
    later = Published(corpus, Origin("run-2", "2027-01-01T00:00:00+00:00", {"units": 9}))

    assert later.manifest.snapshot_id == published.manifest.snapshot_id
    entry = published.manifest.indexes[0]
    changed = replace(entry, search={"nprobe": entry.search["nprobe"] + 1})
    other = snapshot_manifest(ORIGIN, [SPACE], [changed], published.manifest.sources, {})
    assert other.snapshot_id != published.manifest.snapshot_id


def test_several_threads_open_and_search_one_snapshot(published):
    snapshot = published.open()

    def top(row):
        return snapshot.search(TEXT_PARAGRAPH, SPACE.key, published.vectors[row : row + 1], 3)

    with ThreadPoolExecutor(8) as pool:
        beside = list(pool.map(top, range(40)))

    assert beside == [top(row) for row in range(40)]


def test_the_manifest_survives_json(published):
    assert Manifest.from_json(published.manifest.to_json()) == published.manifest


def test_verify_measures_again_what_was_published(published):
    (index,) = verify(published.manifest, published.path)

    assert index.rows == ROWS
    assert index.recall_at_10 >= 0.95
    assert [check.passed for check in index.checks] == [True]


@pytest.mark.parametrize("which", ["index.faiss", "rows.arrow", "stats.json", "arrow", "npy"])
def test_a_flipped_byte_is_found(published, which):
    target = min(published.folder.rglob(f"*{which}"))
    data = bytearray(target.read_bytes())
    data[len(data) // 2] ^= 1
    target.write_bytes(data)

    with pytest.raises(IntegrityError, match=rf"{which} has SHA-256"):
        verify(published.manifest, published.path)
    with pytest.raises(IntegrityError, match=rf"{which} has SHA-256"):
        published.open(verify=True)


def test_a_missing_and_a_short_file_are_found(published):
    target = published.path(published.manifest.sources.key)
    target.write_bytes(target.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match=r"\.arrow has \d+ bytes, the manifest says"):
        verify(published.manifest, published.path)
    target.unlink()
    with pytest.raises(IntegrityError, match=r"\.arrow cannot be read"):
        verify(published.manifest, published.path)


def test_a_manifest_that_was_edited_is_found(published):
    entry = published.manifest.indexes[0]
    fewer = replace(published.manifest, indexes=(replace(entry, segments=entry.segments[:1]),))

    with pytest.raises(IntegrityError, match=f"says it is {published.manifest.snapshot_id}"):
        verify(fewer, published.path)
    miscounted = replace(published.manifest, indexes=(replace(entry, rows=7),))
    with pytest.raises(IntegrityError, match="the manifest says 7"):
        verify(miscounted, published.path)


def pages_of(hits):
    return sorted(hit.locator["page"] for hit in hits)


def test_a_filter_finds_all_that_it_lets_through_and_nothing_else(published):
    snapshot = published.open()

    def pages(*where, acl=None, k=50):
        chosen = Filter.parse(where, acl)
        found = snapshot.search(TEXT_PARAGRAPH, SPACE.key, published.vectors[:2], k, where=chosen)
        assert pages_of(found[0]) == pages_of(found[1])
        return pages_of(found[0])

    assert pages("locator.page <= 7") == [1, 2, 3, 4, 5, 6, 7]
    assert pages("locator.page in 3, 500", "language = en") == [3, 500]
    assert pages("attributes.title = t41") == [42]
    assert pages("locator.page <= 7", acl=["public"]) == [1, 2, 3, 4, 5, 6, 7]
    assert pages(acl=["staff"]) == []
    assert len(pages("locator.page > 50", k=1000)) == ROWS - 50


def tombstoned(published, pages):
    """The manifest after the rows with these pages were deleted from its first segment."""
    entry = published.manifest.indexes[0]
    first = published.open().segments(TEXT_PARAGRAPH, SPACE.key)[0]
    found = [json.loads(locator)["page"] for locator in first.rows.column("locator").to_pylist()]
    deleted = np.isin(found, pages)
    data = tombstone_bytes(deleted)
    ref = FileRef("segments/deleted", data.nbytes, digest_chunks([data.data]))
    data.tofile(published.path(ref.key))
    segment = replace(entry.segments[0], deleted=ref, deleted_rows=int(deleted.sum()))
    changed = replace(entry, segments=(segment, *entry.segments[1:]))
    return replace(published.manifest, indexes=(changed,)), set(np.array(found)[deleted].tolist())


def test_deleted_rows_are_not_found(published):
    manifest, gone = tombstoned(published, range(1, 100))
    snapshot = OpenSnapshot.open(manifest, published.path, verify=True)

    (found,) = snapshot.search(TEXT_PARAGRAPH, SPACE.key, published.vectors[:1], 1000)
    assert pages_of(found) == [page for page in range(1, ROWS + 1) if page not in gone]
    (few,) = snapshot.search(
        TEXT_PARAGRAPH,
        SPACE.key,
        published.vectors[:1],
        1000,
        where=Filter.parse(["locator.page < 120"]),
    )
    assert pages_of(few) == [page for page in range(1, 120) if page not in gone]


def test_another_number_of_deleted_rows_than_the_manifest_says_is_refused(published):
    manifest, _ = tombstoned(published, range(1, 100))
    (entry,) = manifest.indexes
    miscounted = replace(entry.segments[0], deleted_rows=1)
    other = replace(entry, segments=(miscounted, *entry.segments[1:]))
    snapshot = OpenSnapshot.open(replace(manifest, indexes=(other,)), published.path)

    with pytest.raises(IntegrityError, match=r"of which \d+ count, the manifest says"):
        snapshot.search(TEXT_PARAGRAPH, SPACE.key, published.vectors[:1], 1)


def test_a_segment_without_an_index_is_refused(published):
    (entry,) = published.manifest.indexes
    bare = replace(entry.segments[0], files=entry.segments[0].files[1:])
    other = replace(entry, segments=(bare, *entry.segments[1:]))
    snapshot = OpenSnapshot.open(replace(published.manifest, indexes=(other,)), published.path)

    with pytest.raises(IntegrityError, match=r"has no index\.faiss or no rows\.arrow"):
        snapshot.search(TEXT_PARAGRAPH, SPACE.key, published.vectors[:1], 1)
