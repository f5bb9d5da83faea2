"""The lake against a small model, over random histories with crashes between any two tables."""

import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st

from infra.lake import Lake, make_batch_id
from tests.contracts.lake_corpus import Model, Rows, check_equal, commit

URIS = st.sampled_from(["u:/a", "u:/b", "u:/c", "u:/d"])
EVENTS = st.one_of(st.integers(0, 4), st.sampled_from(["gone", "reject"]))
BATCHES = st.tuples(
    st.dictionaries(URIS, EVENTS, min_size=1, max_size=4),
    st.sampled_from(["f1", "f1", "f2"]),
    st.one_of(st.none(), st.none(), st.integers(0, 4)),  # killed after so many tables
)


@settings(max_examples=12, deadline=None)
@given(st.lists(BATCHES, min_size=1, max_size=5))
def test_any_history_with_crashes_shows_what_the_model_shows(history):
    with tempfile.TemporaryDirectory() as folder:
        lake, model, run = Lake.open(folder, create=True), Model(), 0
        for number, (events, fingerprint, killed_after) in enumerate(history):
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
