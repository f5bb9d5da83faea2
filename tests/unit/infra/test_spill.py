import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra import spill as module
from infra.lake.hexkeys import HexKeys
from infra.lake.live_keys import LiveKeys
from infra.lake.vectors import FoundVectors
from infra.match import match
from infra.scratch_folder import scratch_folder, sweep_abandoned
from infra.spill import ROWS, Spill
from schemas.errors import IntegrityError, LakeError
from schemas.ids import digest

DIM = 3
LETTERS = "abcdefgh"
UNITS = {letter: digest("unit", letter) for letter in LETTERS}
# Ids that agree in the first half, which is what they are sorted by first.
UNITS |= {letter: f"{15:016x}{n:016x}" for n, letter in enumerate("xyz")}
TEXTS = st.sampled_from(["", "one", "two", "drei"])


def row(unit: str, text: str = "", acl: tuple[str, ...] = ()) -> dict:
    return {
        "unit_id": UNITS[unit],
        "source_id": digest("source", unit),
        "parent_id": "",
        "locator": "{}",
        "text": text,
        "context": "",
        "language": "en",
        "attributes": "{}",
        "acl": list(acl),
        "input_hash": digest("text", text),
    }


def batches(rows: list[dict], size: int = 3) -> list[pa.RecordBatch]:
    return pa.Table.from_pylist(rows, ROWS).to_batches(max_chunksize=size)


def vector_of(input_hash: str) -> list[float]:
    return [float(int(input_hash[i : i + 2], 16)) for i in range(0, 2 * DIM, 2)]


def blocks(keys: LiveKeys, found: np.ndarray, size: int = 2):
    """As `FoundVectors` gives them, in an order of its own."""
    rows = np.flatnonzero(found)[::-1]
    hashes = keys.inputs.strings().to_pylist()
    for start in range(0, len(rows), size):
        part = np.sort(rows[start : start + size])
        yield part, np.array([vector_of(hashes[i]) for i in part], np.float32)


def poured(folder: Path, rows: list[dict], found: np.ndarray, shards: int) -> Spill:
    keys = LiveKeys.read(batches(rows))
    spill = Spill(folder, keys, found, shards, DIM)
    spill.pour_vectors(blocks(keys, found))
    spill.pour_rows(batches(rows))
    return spill


ROW = st.builds(
    row,
    st.sampled_from(sorted(UNITS)),
    TEXTS,
    st.lists(st.sampled_from(["a", "b", "ab"]), max_size=3).map(tuple),
)


@settings(max_examples=60)
@given(st.lists(ROW, max_size=25), st.integers(1, 7), st.randoms(use_true_random=False))
def test_every_row_comes_back_with_its_vector(rows, shards, random):
    first = {}
    for item in rows:
        first.setdefault(item["unit_id"], item)
    units = sorted(first)
    found = np.array([random.random() < 0.8 for _ in units], dtype=bool)
    kept = [unit for unit, has in zip(units, found, strict=True) if has]
    with tempfile.TemporaryDirectory() as folder:
        spill = poured(Path(folder), rows, found, shards)
        assert spill.keys.strings().to_pylist() == kept
        assert sum(spill.shard_rows) == spill.rows == len(kept)
        for shard in range(shards):
            table, vectors = spill.shard(shard)
            expected = [first[unit] for unit in kept if int(unit[:8], 16) * shards >> 32 == shard]
            assert table.to_pylist() == expected
            assert vectors.tolist() == [vector_of(item["input_hash"]) for item in expected]
        places = np.array([random.randrange(len(kept)) for _ in range(5 if kept else 0)], np.int64)
        assert spill.vectors_at(places).tolist() == [
            vector_of(first[kept[place]]["input_hash"]) for place in places
        ]
        for count in (0, 2, 100):
            by_tail = sorted(range(len(kept)), key=lambda i: (kept[i][16:], kept[i]))
            assert spill.keys.first_by_tail(count).tolist() == by_tail[:count]
            assert spill.keys.last_by_tail(count).tolist() == by_tail[::-1][:count]


def test_only_a_part_of_the_units_is_spilled(tmp_path):
    rows = [row(letter, letter) for letter in LETTERS]
    wanted = sorted(UNITS[letter] for letter in "bdg")
    keys = LiveKeys.read(batches(rows)).only(HexKeys.of(pa.array(wanted)))
    found = np.ones(3, dtype=bool)
    spill = Spill(tmp_path, keys, found, 1, DIM)
    spill.pour_vectors(blocks(keys, found))
    spill.pour_rows(batches(rows))
    assert spill.shard(0)[0]["unit_id"].to_pylist() == wanted


def test_other_rows_than_planned_are_an_error(tmp_path):
    rows = [row(letter) for letter in LETTERS]
    keys = LiveKeys.read(batches(rows))
    found = np.ones(len(rows), dtype=bool)
    spill = Spill(tmp_path, keys, found, 1, DIM)
    with pytest.raises(IntegrityError, match="7 vectors came for 8"):
        spill.pour_vectors(list(blocks(keys, found, 1))[:-1])
    spill.pour_rows(batches([*rows[::-1][:-1], row("x")]))
    with pytest.raises(IntegrityError, match="shard 0"):
        spill.shard(0)


def test_a_file_that_was_cut_off_is_an_error(tmp_path):
    spill = poured(tmp_path, [row("a"), row("b")], np.ones(2, dtype=bool), 1)
    (path,) = tmp_path.glob("*.vectors")
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(IntegrityError, match="cut off"):
        spill.shard(0)


def test_a_disk_that_is_too_small_is_said_beforehand(tmp_path, monkeypatch):
    keys = LiveKeys.read(batches([row("a")]))
    with pytest.raises(LakeError, match=r"needs 4000\.0 GB.*TMPDIR"):
        Spill(tmp_path, keys, np.ones(1, dtype=bool), 1, 1_000_000_000_000)
    spill = Spill(tmp_path, keys, np.ones(1, dtype=bool), 1, DIM)
    monkeypatch.setattr(
        module.shutil, "disk_usage", lambda _: module.shutil._ntuple_diskusage(1, 1, 0)
    )
    with pytest.raises(LakeError, match="TMPDIR"):
        spill.pour_rows(batches([row("a")]))
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_full_is_said(monkeypatch):
    keys = LiveKeys.read(batches([row("a")]))
    found = np.ones(1, dtype=bool)
    spill = Spill(Path("/dev"), keys, found, 1, DIM)
    monkeypatch.setattr(Spill, "_vectors_path", lambda *_: Path("/dev/full"))
    with pytest.raises(LakeError, match="TMPDIR"):
        spill.pour_vectors(blocks(keys, found))


def test_no_vectors_without_a_table():
    found = FoundVectors(None, HexKeys.of(pa.array(["0" * 32])))
    assert (found.found.tolist(), found.dim, list(found.blocks())) == ([False], 0, [])


def test_scratch_folders_go_and_those_of_killed_processes_too(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left = tmp_path / "gristmill-spill-killed"
    left.mkdir()
    (left / "big").write_bytes(b"x")
    monkeypatch.setattr("infra.scratch_folder._ABANDONED_S", -1)
    with scratch_folder() as folder:
        assert not left.exists()
        (folder / "file").write_bytes(b"x")
        sweep_abandoned()
        assert folder.exists()
    assert not list(tmp_path.iterdir())


@settings(max_examples=100)
@given(st.lists(st.lists(ROW, max_size=8), max_size=4), st.lists(ROW, max_size=20))
def test_match_keeps_exactly_what_is_still_so(segments, live):
    first = {}
    for item in live:
        first.setdefault(item["unit_id"], item)
    expected, taken = [], set()
    for segment in segments:
        mask = []
        for item in segment:
            holds = first.get(item["unit_id"]) == item and item["unit_id"] not in taken
            mask.append(holds)
            taken |= {item["unit_id"]} if holds else set()
        expected.append(mask)
    base = [pa.Table.from_batches(batches(segment), ROWS) for segment in segments]
    found = match(base, batches(live))
    assert [mask.tolist() for mask in found.kept] == expected
    assert found.live.units.strings().to_pylist() == sorted(first)
    assert found.fresh.units.strings().to_pylist() == sorted(first.keys() - taken)
    assert [live[i] for i in found.fresh.rows] == [first[u] for u in sorted(first.keys() - taken)]


@pytest.mark.parametrize("column", ROWS.names[1:])
def test_a_change_of_any_column_is_seen(column):
    one = row("a", "one", ("staff",))
    other = one | {column: ["staff", "board"] if column == "acl" else "f" * 32}
    base = pa.Table.from_pylist([one, row("b")], ROWS)
    found = match([base], batches([other, row("b")]))
    assert found.kept[0].tolist() == [False, True]
    assert found.fresh.units.strings().to_pylist() == [UNITS["a"]]


def test_segments_of_another_layout_match():
    """rows.arrow has a column that units have not, and is mapped in several batches."""
    rows = sorted((row(letter, letter) for letter in LETTERS), key=lambda r: r["unit_id"])
    table = pa.Table.from_batches(batches(rows, 2)).append_column(
        "vector_digest", pa.array(range(len(rows)), pa.uint64())
    )
    assert match([table], batches(rows[::-1])).kept[0].all()
