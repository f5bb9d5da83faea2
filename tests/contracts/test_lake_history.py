"""The lake against a small model, over random histories with crashes between any two tables."""

import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st

from infra.lake import Lake, make_batch_id
from schemas.partition import IMAGE_IMAGE, TEXT_PARAGRAPH
from tests.contracts.lake_corpus import Model, Rows, check_equal, commit

URIS = st.sampled_from(["u:/a", "u:/b", "u:/c", "u:/d"])
EVENTS = st.one_of(st.integers(0, 4), st.sampled_from(["gone", "reject"]))
BATCHES = st.tuples(
    st.dictionaries(URIS, EVENTS, min_size=1, max_size=4),
    st.sampled_from(["f1", "f1", "f2"]),
    st.one_of(st.none(), st.none(), st.integers(0, 4)),  # killed after so many tables
    st.one_of(st.none(), st.integers(1, 8)),  # swept, and killed after so many tables
)


@settings(max_examples=8)
@given(st.lists(BATCHES, min_size=1, max_size=5))
def test_any_history_with_crashes_shows_what_the_model_shows(history):
    with tempfile.TemporaryDirectory() as folder:
        lake, model, run = Lake.open(folder, create=True), Model(), 0
        for number, (events, fingerprint, killed_after, tables_swept) in enumerate(history):
            rows = Rows(lake, make_batch_id(f"run{run}", number), fingerprint)
            for uri, event in events.items():
                if isinstance(event, int):
                    rows.put(uri, event)
                else:
                    getattr(rows, event)(uri)
            batch = rows.seal()
            killed = killed_after is not None and killed_after < len(
                lake.commit_steps(batch, run_id=f"run{run}")
            )
            commit(lake, batch, steps=killed_after if killed else None)
            if killed:
                run += 1  # whoever goes on is another run
            else:
                model.apply(events, fingerprint)
            check_equal(lake, model)
            if tables_swept is not None:
                sweep(lake, f"sweep{number}", tables_swept)
                check_equal(lake, model)
        check_sweep_leaves_only_what_is_live(lake, model)


def sweep(lake: Lake, run_id: str, tables: int) -> None:
    """Maintenance, killed after so many tables; with all of them, vacuum too."""
    with lake.writer(run_id):
        sweeper = lake.sweeper()
        specs = sweeper.specs()
        for spec in specs[:tables]:
            sweeper.sweep(spec, dry_run=False)
        if tables >= len(specs):
            sweeper.vacuum(dry_run=False)


def check_sweep_leaves_only_what_is_live(lake: Lake, model: Model) -> None:
    with lake.writer("last"):
        sweeper = lake.sweeper()
        planned = [sweeper.sweep(spec, dry_run=True) for spec in sweeper.specs()]
        done = [sweeper.sweep(spec, dry_run=False) for spec in sweeper.specs()]
        assert planned == done
        would = sweeper.vacuum(dry_run=True)
        assert sweeper.vacuum(dry_run=False) == would
    check_equal(lake, model)
    with lake.writer("idle"):
        sweeper = lake.sweeper()
        again = [sweeper.sweep(spec, dry_run=False) for spec in sweeper.specs()]
        assert [s for s in again if s.dropped_rows or s.rewritten_files] == []
        assert sweeper.vacuum(dry_run=False) == 0
    rows = {sweep.table: sweep.rows for sweep in again}
    n_units = len(model.units(TEXT_PARAGRAPH)) + len(model.units(IMAGE_IMAGE))
    assert rows.get("units", 0) == n_units
    assert rows.get("sources", 0) == len(model.paths)
    parquet = [key for key in lake.blobs.list("tables") if key.endswith("-0000.parquet")]
    assert len(parquet) == sum(sweep.files for sweep in again)
