"""An index of late interaction is opened with faiss, numpy and pyarrow alone, by ours and by the documented example."""

import re

import numpy as np
import pytest

from schemas.config import Indexing
from tests.indexes import rows_table, snapshot_of
from tests.integration.test_snapshot_standalone import (
    _GUARD,
    REPOSITORY,
    documented_example,
    run_alone,
)
from tests.late_corpus import SPACE, build, made_units, naive_maxsim

CONFIGS = {
    "int8": Indexing(recall_at_10=0.5),
    "product codes": Indexing(recall_at_10=0.5, late_codec="pq"),
    "pooled": Indexing(recall_at_10=0.5, late_pool=2),
    "partitions": Indexing(recall_at_10=0.5, late_bits=3, late_repetitions=4),
    "projected": Indexing(recall_at_10=0.5, late_bits=5, late_repetitions=20),
}
UNITS = made_units(300)
GONE = (1, 5, 7)
ASKED = max(range(300), key=lambda i: len(UNITS[i].kinds))
_ALONE = """
lake = Path(sys.argv[1])
answers = {
    name: search_late(lake, snapshot_id, "text/paragraph", np.load(lake / "query.npy"), 5)
    for name, snapshot_id in json.loads(sys.argv[2]).items()
}
print(json.dumps({"answers": answers, "modules": sorted({m.partition(".")[0] for m in sys.modules})}))
"""
_OURS = """
import json
from pathlib import Path
import numpy as np
from schemas.manifest import Manifest
from stages.index.snapshot import OpenSnapshot

lake = Path(sys.argv[1])
answers = {}
for name, snapshot_id in json.loads(sys.argv[2]).items():
    text = (lake / "snapshots" / snapshot_id / "manifest.json").read_text("utf-8")
    snapshot = OpenSnapshot.open(Manifest.from_json(text), lambda key: lake / key, verify=True)
    ((partition, space),) = snapshot.indexes
    (found,) = snapshot.search(partition, space, [np.load(lake / "query.npy")], 5)
    answers[name] = [(hit.similarity, hit.unit_id, hit.text) for hit in found]
print(json.dumps({"answers": answers}))
"""


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A lake, and the id of a snapshot for each case."""
    lake = tmp_path_factory.mktemp("lake")
    ids = {}
    for name, config in CONFIGS.items():
        index = build(lake, config, UNITS, shards=2, deleted=GONE)
        ids[name] = snapshot_of(lake, [SPACE], [index.entry(lake, config)], []).snapshot_id
    np.save(lake / "query.npy", UNITS[ASKED].vectors[:6])
    return lake, ids


@pytest.fixture(scope="module")
def ours(published) -> dict:
    return run_alone(_GUARD + _OURS, published)


@pytest.fixture(scope="module")
def by_hand(published) -> dict:
    text = (REPOSITORY / "docs" / "snapshot-format.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- tested too: .*? -->\n```python\n(.*?)```", text, re.DOTALL)
    assert found, "the example of late interaction is gone from docs/snapshot-format.md"
    return run_alone("import sys\n" + documented_example() + found[1] + _ALONE, published)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_documented_example_needs_no_gristmill_and_finds_the_same(ours, by_hand, name):
    mine, theirs = ours["answers"][name], by_hand["answers"][name]
    assert [hit[1:] for hit in theirs] == [hit[1:] for hit in mine]
    assert [hit[0] for hit in theirs] == pytest.approx([hit[0] for hit in mine], abs=1e-5)
    assert not {"schemas", "stages", "ray", "torch", "pydantic"} & set(by_hand["modules"])


@pytest.mark.parametrize("name", CONFIGS)
def test_the_unit_that_the_query_is_of_is_found(ours, name):
    rows, _ = rows_table(range(300))
    best = ours["answers"][name][0]
    assert best[2] == f"passage {ASKED}"
    query = UNITS[ASKED].vectors[:6]
    assert best[0] == pytest.approx(naive_maxsim(query, UNITS[ASKED].vectors), abs=0.2)
    gone = {rows["unit_id"][i].as_py() for i in GONE}
    assert not gone & {hit[1] for hit in ours["answers"][name]}
