"""What becomes of a published index when files come and go: foreseen by --dry-run, and then so."""

from pathlib import Path

import pytest

from flows.changes import Foreseen
from flows.index_plan import plan_lake
from schemas.manifest import IndexManifest, Manifest
from schemas.partition import TEXT_PARAGRAPH
from tests.chaos.driver import GROWING
from tests.integration.mill import Mill

pytestmark = pytest.mark.slow

CONFIG = GROWING.model_copy(
    update={"indexing": GROWING.indexing.model_copy(update={"recall_queries": 5})}
)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Mill, Manifest]:
    """Ten files of one paragraph each, in one segment."""
    mill = Mill(tmp_path_factory.mktemp("growing"), CONFIG)
    for number in range(10):
        mill.write(f"{number}.md", f"Mill number {number} grinds rye.")
    assert foreseen(mill) is None
    mill.ingest()
    assert foreseen(mill) == Foreseen("new")
    return mill, mill.publish()


def foreseen(mill: Mill, **changes: object) -> Foreseen | None:
    indexing = mill.config.indexing.model_copy(update=changes)
    config = mill.config.model_copy(update={"indexing": indexing})
    planned = plan_lake(mill.lake.url, config)
    return next((i.foreseen for i in planned.indexes if i.partition == "text/paragraph"), None)


def paragraphs(manifest: Manifest) -> IndexManifest:
    return next(e for e in manifest.indexes if e.parsed_partition == TEXT_PARAGRAPH)


def test_an_index_stays_grows_and_loses_rows_as_was_foreseen(published: tuple[Mill, Manifest]):
    mill, first = published
    assert foreseen(mill) == Foreseen("stays", kept_segments=1)
    assert mill.publish().snapshot_id == first.snapshot_id

    for number in range(10, 18):
        mill.write(f"{number}.md", f"Mill number {number} grinds barley.")
    mill.write("0.md", "Mill number 0 stands still.")
    mill.ingest()
    assert foreseen(mill) == Foreseen("grows", "", 9, 1, kept_segments=1)
    second = paragraphs(mill.publish())
    (old,) = paragraphs(first).segments
    kept, new = sorted(second.segments, key=lambda s: s.digest != old.digest)
    assert (kept.digest, kept.files) == (old.digest, old.files)
    assert (kept.live_rows, kept.deleted_rows, new.live_rows) == (9, 1, 9)

    (mill.corpus / "17.md").unlink()
    mill.ingest()
    assert foreseen(mill) == Foreseen("grows", "", 0, 1, kept_segments=2)
    third = paragraphs(mill.publish())
    assert {s.digest for s in third.segments} == {s.digest for s in second.segments}
    assert third.rows == 17


def test_what_is_built_anew_says_why(published: tuple[Mill, Manifest]):
    mill, _ = published

    seen = foreseen(mill, recall_queries=3)
    assert seen == Foreseen(
        "anew", "the published one was built by another configuration or version"
    )


def test_a_lost_file_is_noticed(tmp_path: Path):
    mill = Mill(tmp_path, CONFIG)
    mill.write("a.md", "A mill.")
    mill.ingest()
    (segment,) = paragraphs(mill.publish()).segments
    (tmp_path / "lake" / segment.files[0].key).unlink()

    assert foreseen(mill) == Foreseen("anew", "a file of the published one is missing")
