"""A tiny corpus for the tests of the lake: a few contents, each cut into a few units.

Some share text, content 2 loses a page, content 3 a unit. `Rows` gathers a batch as an ingest does: by what the
lake says it has.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pyarrow as pa

from infra.lake import CommitBatch, Lake, make_batch_id
from infra.lake.inspect import inspect_tables
from infra.lake.invariants import check_invariants
from schemas.ids import digest
from schemas.partition import IMAGE_IMAGE, TEXT_PARAGRAPH, Partition
from schemas.space import SpaceContract
from schemas.tables import COMPLETIONS, EMBEDDINGS, REJECTS, SOURCES, UNITS
from tests.live_vectors import live_vectors

SPACE = "tiny-0123456789ab"
TINY = SpaceContract("tiny", "tiny", "tiny", "1", "0" * 64, 2, "float32", "text", "mean")
DIM = 4
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def source_id(content: int) -> str:
    return digest("source", str(content))


def cut(content: int, fingerprint: str) -> list[dict]:
    texts = [f"shared {content % 2}", f"own {content} {fingerprint}"]
    rows = [unit_row(content, TEXT_PARAGRAPH, text=text) for text in texts]
    if content % 2:
        rows.append(unit_row(content, IMAGE_IMAGE, pixels=f"picture {content}"))
    return rows


def unit_row(content: int, partition: Partition, *, text: str = "", pixels: str = "") -> dict:
    return {
        "modality": partition.modality,
        "granularity": partition.granularity,
        "unit_id": digest("unit", str(content), text, pixels),
        "source_id": source_id(content),
        "parent_id": "",
        "locator": "{}",
        "text": text,
        "context": "",
        "text_hash": digest("text", text) if text else "",
        "pixels_hash": digest("pixels", pixels) if pixels else "",
        "language": "en",
        "attributes": "{}",
        "acl": ["staff"],
    }


def vector_of(input_hash: str) -> list[float]:
    return [int(input_hash[i : i + 2], 16) / 256 for i in range(0, 2 * DIM, 2)]


def lost_unit(content: int, fingerprint: str) -> str:
    """Content 3 has a unit that cannot be embedded."""
    return cut(content, fingerprint)[1]["unit_id"] if content == 3 else ""


def loses_a_page(content: int) -> bool:
    return content == 2


@dataclass
class Rows:
    """A batch in the making, the way an ingest makes it: by what the lake says it has."""

    lake: Lake
    batch_id: str
    fingerprint: str
    sources: list[dict] = field(default_factory=list)
    units: list[dict] = field(default_factory=list)
    embeddings: list[dict] = field(default_factory=list)
    rejects: list[dict] = field(default_factory=list)
    completions: list[dict] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.done = {
            s for s, (f, _) in self.lake.state().units_done.items() if f == self.fingerprint
        }
        self.embedded = self.lake.embedded(SPACE)

    def put(self, uri: str, content: int) -> None:
        known = source_id(content) in self.done
        self.add_source(uri, content, "duplicate" if known else "indexed")
        self.complete("path", uri=uri, source_id=source_id(content))
        if known:
            return
        self.done.add(source_id(content))
        self.units += cut(content, self.fingerprint)
        for unit in cut(content, self.fingerprint):
            self.embed(unit, uri)
        if loses_a_page(content):
            self.add_reject(uri, source_id(content), "limit")
        self.complete("units", source_id=source_id(content), fingerprint=self.fingerprint)
        self.complete("space", source_id=source_id(content), fingerprint=SPACE)

    def embed(self, unit: dict, uri: str) -> None:
        content_hash = unit["text_hash"] or unit["pixels_hash"]
        key = (unit["modality"], unit["granularity"], content_hash)
        if unit["unit_id"] == lost_unit(3, self.fingerprint):
            self.add_reject(uri, unit["source_id"], "bad_vector", unit["unit_id"])
        elif key not in self.embedded:
            self.embedded.add(key)
            names = ("modality", "granularity", "input_hash")
            vector = vector_of(content_hash)
            self.embeddings.append(dict(zip(names, key, strict=True), vector=vector))

    def reject(self, uri: str) -> None:
        self.add_source(uri, -1, "rejected")
        self.add_reject(uri, "", "corrupt")
        self.complete("path", uri=uri)

    def gone(self, uri: str) -> None:
        self.complete("path", uri=uri)

    def add_source(self, uri: str, content: int, outcome: str) -> None:
        self.sources.append(
            {
                "source_id": "" if outcome == "rejected" else source_id(content),
                "uri": uri,
                "root": "file:///corpus",
                "path": uri.rpartition("/")[2],
                "size_bytes": 7,
                "mtime_ns": content,
                "etag": "",
                "content_hash": str(content),
                "media_type": "text/plain",
                "title": "",
                "notes": [],
                "outcome": outcome,
                "units": len(cut(content, self.fingerprint)) if content >= 0 else 0,
            }
        )

    def add_reject(self, uri: str, source: str, code: str, unit_id: str = "") -> None:
        self.rejects.append(
            {
                "uri": uri,
                "path": uri,
                "source_id": source,
                "unit_id": unit_id,
                "stage": "decode",
                "code": code,
                "reason": "because",
                "retryable": False,
                "page": 1 if code == "limit" else None,
                "second": None,
                "attempts": 1,
                "run_id": "run",
                "rejected_at": NOON,
            }
        )

    def complete(
        self, kind: str, *, uri: str = "", source_id: str = "", fingerprint: str = ""
    ) -> None:
        row = {
            "kind": kind,
            "uri": uri,
            "source_id": source_id,
            "fingerprint": fingerprint,
            "seq": 0,
        }
        self.completions.append(row)

    def seal(self) -> CommitBatch:
        return CommitBatch(
            batch_id=self.batch_id,
            sources=self.table(self.sources, SOURCES),
            units=self.table(self.units, UNITS),
            embeddings={SPACE: self.table(self.embeddings, EMBEDDINGS)},
            rejects=self.table(self.rejects, REJECTS),
            completions=self.table(self.completions, COMPLETIONS),
        )

    def table(self, rows: list[dict], schema: pa.Schema) -> pa.Table:
        return pa.Table.from_pylist([row | {"batch": self.batch_id} for row in rows], schema)


def make_batch(lake: Lake, run_id: str, number: int, *, uri: str = "u:/a", content: int = 1):
    rows = Rows(lake, make_batch_id(run_id, number), "f1")
    rows.put(uri, content)
    return rows.seal()


def commit(lake: Lake, batch: CommitBatch, *, steps: int | None = None) -> None:
    """All of a batch, or only its first steps, as a crash leaves it."""
    run_id = batch.batch_id.rpartition("-")[0]
    with lake.writer(run_id):
        for step in lake.commit_steps(batch, run_id=run_id)[:steps]:
            step.run()


@dataclass
class Model:
    """What must be live: the latest word on each uri, and how each content was cut last."""

    paths: dict[str, int | None] = field(default_factory=dict)  # None: rejected
    cuts: dict[int, str] = field(default_factory=dict)

    def apply(self, events: dict[str, int | str], fingerprint: str) -> None:
        for uri, event in events.items():
            if event == "gone":
                self.paths.pop(uri, None)
            elif event == "reject":
                self.paths[uri] = None
            else:
                self.paths[uri] = event
                self.cuts[event] = fingerprint

    @property
    def contents(self) -> set[int]:
        return {content for content in self.paths.values() if content is not None}

    def units(self, partition: Partition) -> dict[str, str]:
        """unit_id -> input hash."""
        rows = [unit for content in self.contents for unit in cut(content, self.cuts[content])]
        return {
            unit["unit_id"]: unit["text_hash"] or unit["pixels_hash"]
            for unit in rows
            if (unit["modality"], unit["granularity"])
            == (partition.modality, partition.granularity)
        }

    def rejects(self) -> set[tuple[str, str, str]]:
        files = {(uri, "corrupt", "") for uri, content in self.paths.items() if content is None}
        pages = {("", "limit", "") for content in self.contents if loses_a_page(content)}
        lost = {lost_unit(content, self.cuts[content]) for content in self.contents} - {""}
        return files | pages | {("", "bad_vector", unit) for unit in lost}


def check_equal(lake: Lake, model: Model) -> None:
    check_whole(lake)
    state = lake.state()
    assert {uri: path.outcome == "rejected" for uri, path in state.paths.items()} == {
        uri: content is None for uri, content in model.paths.items()
    }
    assert all(
        p.reject_code == ("corrupt" if p.outcome == "rejected" else "")
        for p in state.paths.values()
    )
    assert state.live_sources == {source_id(content) for content in model.contents}
    assert {(source_id(c), SPACE) for c in model.contents} <= state.spaces_done
    for partition, column in ((TEXT_PARAGRAPH, "text_hash"), (IMAGE_IMAGE, "pixels_hash")):
        expected = model.units(partition)
        assert lake.live_units(partition)["unit_id"].to_pylist() == sorted(expected)
        lost = {unit for _, code, unit in model.rejects() if code == "bad_vector"}
        units, vectors = live_vectors(lake, SPACE, partition, column)
        assert units["unit_id"].to_pylist() == sorted(expected.keys() - lost)
        hashes = units[column].to_pylist()
        assert hashes == [expected[unit] for unit in units["unit_id"].to_pylist()]
        assert vectors.tolist() == [vector_of(h) for h in hashes]
    found = lake.rejects().to_pylist()
    assert {
        (r["uri"] if r["code"] == "corrupt" else "", r["code"], r["unit_id"]) for r in found
    } == (model.rejects())


def check_whole(lake: Lake) -> None:
    """Nothing of it is damaged, as far as `gristmill verify` can tell."""
    assert all(table.is_whole for table in inspect_tables(lake.blobs, lambda *_: None))
    broken = check_invariants(lake.view(), {SPACE: TINY})
    assert broken.holds, broken
    assert broken.waiting == [], "contents are waiting to be read again"
