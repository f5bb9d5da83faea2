import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from flows.cli import app
from flows.diff import diff_snapshots
from flows.manifests import find_snapshot
from infra import pointer
from infra.blobs import open_blobs
from schemas.errors import ConfigError, IntegrityError, LakeError
from schemas.manifest import Manifest
from tests.tiny_snapshots import (
    SPACE,
    id_of,
    index_of,
    put_segment,
    put_snapshot,
    table_of,
    with_deleted,
)

TEXT = "text/paragraph"


@pytest.fixture
def blobs(tmp_path):
    return open_blobs(str(tmp_path))


def rows(*names: str, **texts: str):
    return {id_of(name): texts.get(name, f"text of {name}") for name in (*names, *texts)}


def one(blobs, *segments, **changes) -> Manifest:
    return put_snapshot(blobs, [index_of(TEXT, segments, **changes)])


def numbers(found) -> tuple[int, int, int]:
    (index,) = found.indexes
    return index.added, index.removed, index.changed


def diff(blobs, old: Manifest, new: Manifest):
    return diff_snapshots(blobs.url, old.snapshot_id, new.snapshot_id)


def test_rows_are_added_removed_and_changed_across_segments(blobs):
    first = put_segment(blobs, table_of(rows("a", "b", "c")))
    second = put_segment(blobs, table_of(rows("d", "e")))
    ids = sorted(rows("a", "b", "c"))
    third = put_segment(blobs, table_of(rows("e", "f", "g", b="another text")))
    old = one(blobs, first, second)
    new = one(blobs, with_deleted(blobs, first, [ids.index(id_of("b"))]), third)
    found = diff(blobs, old, new)
    (index,) = found.indexes
    assert numbers(found) == (2, 1, 1)  # f and g; d; b
    assert index.rows == (5, 6)
    counts = index.segments_reused, index.segments_new, index.segments_dropped
    assert (counts, index.tombstones_added) == ((1, 1, 1), 1)
    back = diff(blobs, new, old)
    assert numbers(back) == (1, 2, 1)
    assert back.indexes[0].tombstones_added == -1


@pytest.mark.parametrize(
    "column",
    [
        {"acl": [[], ["staff"], []]},
        {"acl": [["a", "b"], [], []]},
        {"context": ["", "", "a heading"]},
        {"vector_digest": [1, 0, 0]},
    ],
)
def test_any_column_counts(blobs, column):
    plain = {"acl": [["a"], [], []], "vector_digest": [0, 0, 0]}
    texts = rows("a", "b", "c")
    old = put_segment(blobs, table_of(texts, **plain))
    new = put_segment(blobs, table_of(texts, **(plain | column)))
    wanted = sum(
        one != other
        for name in column
        for one, other in zip(plain.get(name, [""] * 3), column[name], strict=True)
    )
    assert numbers(diff(blobs, one(blobs, old), one(blobs, new))) == (0, 0, wanted)


def test_a_segment_that_both_have_is_not_read(blobs):
    same = put_segment(blobs, table_of(rows("a", "b")))
    other = put_segment(blobs, table_of(rows("c")))
    old, new = one(blobs, same), one(blobs, same, other)
    for file in same.files:
        blobs.delete(file.key)
    assert numbers(diff(blobs, old, new)) == (1, 0, 0)
    blobs.delete(other.files[1].key)
    with pytest.raises(IntegrityError, match=r"rows\.arrow"):
        diff(blobs, old, new)


@given(
    before=st.dictionaries(st.integers(0, 30), st.integers(0, 2)),
    after=st.dictionaries(st.integers(0, 30), st.integers(0, 2)),
    old_cuts=st.lists(st.integers(0, 3), min_size=31, max_size=31),
    new_cuts=st.lists(st.integers(0, 3), min_size=31, max_size=31),
    dead=st.sets(st.integers(0, 30)),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_segments_the_rows_are_those_of_two_dicts(
    blobs, before, after, old_cuts, new_cuts, dead
):
    """Every row of `dead` that is not live is in some segment all the same, deleted."""

    def segments(live, cuts):
        made = []
        for part in range(4):
            texts = {id_of(str(i)): f"{i} {live[i]}" for i in live if cuts[i] == part}
            ghosts = {id_of(str(i)): "dead" for i in dead - live.keys() if cuts[i] == part}
            if texts or ghosts:
                segment = put_segment(blobs, table_of({**texts, **ghosts}))
                ids = sorted({**texts, **ghosts})
                gone = [n for n, unit_id in enumerate(ids) if unit_id in ghosts]
                made.append(with_deleted(blobs, segment, gone) if gone else segment)
        return made

    found = diff(
        blobs, one(blobs, *segments(before, old_cuts)), one(blobs, *segments(after, new_cuts))
    )
    changed = sum(before[i] != after[i] for i in before.keys() & after.keys())
    assert numbers(found) == (
        len(after.keys() - before.keys()),
        len(before.keys() - after.keys()),
        changed,
    )


def test_settings_recall_spaces_and_sources_that_differ(blobs):
    segment = put_segment(blobs, table_of(rows("a")))
    other = replace(SPACE, revision="2")
    third = replace(SPACE, name="third")
    old = put_snapshot(
        blobs,
        [index_of(TEXT, [segment], recalls={"rows": 0.97, "text": 0.9})],
        places={"file:///a": "1", "file:///b": "2", "file:///c": "3"},
    )
    tuned = index_of(
        TEXT,
        [segment],
        family="ivf_flat",
        parameters={"nlist": 4},
        search={"nprobe": 2},
        recall_at_10=0.95,
        recalls={"rows": 0.97, "text": 0.95},
    )
    new = put_snapshot(
        blobs,
        [tuned, index_of(TEXT, [segment], space=third.key)],
        places={"file:///b": "2", "file:///c": "4", "file:///d": "5"},
        spaces=(SPACE, third),
    )
    found = diff(blobs, old, new)
    changed, added = sorted(found.indexes, key=lambda index: index.rows[0] is None)
    assert changed.changes == {
        "family": ("flat", "ivf_flat"),
        "parameters.nlist": (None, 4),
        "search.nprobe": (None, 2),
    }
    assert (changed.recall_at_10, changed.recalls) == ((1.0, 0.95), {"text": (0.9, 0.95)})
    assert (added.rows, added.added, added.segments_new) == ((None, 1), 1, 1)
    assert (found.sources.added, found.sources.removed) == (["file:///d"], ["file:///a"])
    assert found.sources.changed == ["file:///c"]
    assert found.spaces.added == [third.key]
    last = put_snapshot(blobs, [index_of(TEXT, [segment], space=other.key)], spaces=(other,))
    assert diff(blobs, old, last).spaces.changed == {"tiny": ["revision: '1' != '2'"]}


def test_snapshots_are_found_by_id_start_and_place_in_the_log(blobs):
    ids = [one(blobs, put_segment(blobs, table_of(rows(str(i))))).snapshot_id for i in range(40)]
    with pytest.raises(ConfigError, match="no published snapshot"):
        find_snapshot(blobs, "current")
    for snapshot_id in ids[:3]:
        pointer.publish(blobs, snapshot_id, run_id="", reason="")
    assert find_snapshot(blobs, "current") == ids[2]
    assert find_snapshot(blobs, "previous") == ids[1]
    pointer.rollback(blobs)
    assert (find_snapshot(blobs, "current"), find_snapshot(blobs, "previous")) == (ids[1], ids[0])
    assert find_snapshot(blobs, ids[7]) == find_snapshot(blobs, ids[7][:12]) == ids[7]
    with pytest.raises(LakeError, match="has no snapshot zzz: gristmill snapshots"):
        find_snapshot(blobs, "zzz")
    shared = next(i[0] for i in ids if sum(o[0] == i[0] for o in ids) > 1)
    with pytest.raises(ConfigError, match=f"{shared} is the start of several"):
        find_snapshot(blobs, shared)
    with pytest.raises(LakeError, match="has no snapshot"):
        find_snapshot(blobs, "")


def test_the_command_compares_what_was_published_last_with_what_was_before(blobs):
    first, second = (put_segment(blobs, table_of(rows(name))) for name in ("a", "b"))
    odd = "file:///new\x1b[31m name"
    old = put_snapshot(blobs, [index_of(TEXT, [first])])
    new = put_snapshot(blobs, [index_of(TEXT, [first, second])], places={odd: "source"})
    for manifest in (old, new):
        pointer.publish(blobs, manifest.snapshot_id, run_id="", reason="")
    shown = CliRunner().invoke(app, ["diff", "--lake", blobs.url], env={"COLUMNS": "120"}).output
    assert f"From {old.snapshot_id} to {new.snapshot_id}" in shown
    assert "1 → 2" in shown
    assert "1 reused, 1 new" in shown
    assert "sources: 1 added, 1 removed, 0 changed\n  + file:///new\\x1b[31m name" in shown
    told = CliRunner().invoke(
        app, ["diff", "previous", new.snapshot_id[:10], "--lake", blobs.url, "--json"]
    )
    document = json.loads(told.output)
    assert document == json.loads(json.dumps(diff(blobs, old, new).as_dict()))
    assert document["indexes"][0]["added"] == 1
    same = CliRunner().invoke(app, ["diff", "current", "current", "--lake", blobs.url]).output
    assert same.strip() == f"{new.snapshot_id} is the same snapshot"
