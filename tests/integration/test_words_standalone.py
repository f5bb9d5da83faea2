"""Words open with numpy and pyarrow alone: our reader, and the example in docs/snapshot-format.md."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from infra.blobs import open_blobs
from schemas.inverted import InvertedIndex, PostingsRef
from schemas.manifest import SegmentRef
from stages.index.bm25 import K1, B
from stages.index.lexical import LEXICAL_FORMAT, LexicalRequest, build_lexical
from stages.index.manifests import Origin, snapshot_manifest
from tests.integration.test_snapshot_standalone import _GUARD
from tests.tiny_snapshots import (
    SPACE,
    id_of,
    index_of,
    put_file,
    put_segment,
    put_snapshot,
    table_of,
    with_deleted,
)

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[2]
TEXTS = [
    "the mill wheel turns in the stream",
    "the old wheel of the old mill",
    "owls hunt mice at night",
    "rye bread rises slowly in the mill",
    "水車が回る",
] * 4
QUESTIONS = [["mill"], ["mill", "wheel"], ["owls", "bread"], ["水車"], ["nothing", "the"], ["zzz"]]

_FACADE = """
from pathlib import Path
import json
from schemas.manifest import Manifest
from stages.index.snapshot import OpenSnapshot

lake = Path(sys.argv[1])
text = (lake / "snapshots" / sys.argv[2] / "manifest.json").read_text("utf-8")
snapshot = OpenSnapshot.open(Manifest.from_json(text), lambda key: lake / key, verify=True)
(entry,) = snapshot.manifest.inverted
segments = snapshot.segments(entry.parsed_partition, entry.space)
answers = []
for words in json.loads(sys.argv[3]):
    found = snapshot.inverted(entry).search([[(word,) for word in words]], 5)
    columns = (found.similarity[0], found.segment[0], found.row[0])
    answers.append([
        (score, segments[segment].row(row)["unit_id"])
        for score, segment, row in zip(*(c.tolist() for c in columns)) if row >= 0
    ])
print(json.dumps(answers))
"""
_BY_HAND = """
import sys
lake, asked = Path(sys.argv[1]), json.loads(sys.argv[3])
print(json.dumps([find_words(lake, sys.argv[2], "text/paragraph", words, 5) for words in asked]))
"""


def postings(blobs, segment: SegmentRef) -> PostingsRef:
    rows = next(file.key for file in segment.files if file.key.endswith("rows.arrow"))
    answer = build_lexical(LexicalRequest(blobs.local_path(rows)))
    made = answer.value
    files = [
        put_file(blobs, data.tobytes(), suffix)
        for data, suffix in zip(answer.arrays, ("arrow", "npy"), strict=True)
    ]
    return PostingsRef(
        segment.digest, "", made.rows, made.terms, made.postings, tuple(files), made.languages
    )


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> tuple[Path, str]:
    lake = tmp_path_factory.mktemp("lake")
    blobs = open_blobs(str(lake))
    texts = {id_of(f"{number}"): text for number, text in enumerate(TEXTS)}
    names = sorted(texts)
    parts = [names[:7], names[7:]]
    segments = [put_segment(blobs, table_of({n: texts[n] for n in part})) for part in parts]
    index = index_of("text/paragraph", [with_deleted(blobs, segments[0], [0, 3]), segments[1]])
    entry = InvertedIndex(
        "text/paragraph",
        SPACE.key,
        "",
        {"k1": K1, "b": B},
        index.rows,
        tuple(postings(blobs, segment) for segment in index.segments),
        built_with=LEXICAL_FORMAT,
    )
    plain = put_snapshot(blobs, [index])
    origin = Origin("run", "2026-01-01T00:00:00+00:00", {})
    manifest = snapshot_manifest(origin, (SPACE,), [index], plain.sources, {}, inverted=[entry])
    blobs.put(f"snapshots/{manifest.snapshot_id}/manifest.json", manifest.to_json().encode())
    assert manifest.snapshot_id != plain.snapshot_id
    return lake, manifest.snapshot_id


def run_alone(code: str, published: tuple[Path, str]) -> list:
    lake, snapshot_id = published
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", code, str(lake), snapshot_id, json.dumps(QUESTIONS)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, cwd=lake)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def documented() -> str:
    text = (REPOSITORY / "docs" / "snapshot-format.md").read_text(encoding="utf-8")
    blocks = re.findall(r"<!-- tested: .*? -->\n```python\n(.*?)```", text, re.DOTALL)
    return "\n".join(blocks)


def test_words_are_found_without_gristmill_as_with_it(published):
    ours = run_alone(_GUARD + _FACADE, published)
    by_hand = run_alone(documented() + _BY_HAND, published)
    assert [[name for _, name in hits] for hits in by_hand] == [
        [name for _, name in hits] for hits in ours
    ]
    for mine, theirs in zip(ours, by_hand, strict=True):
        assert [s for s, _ in theirs] == pytest.approx([s for s, _ in mine], rel=1e-6)
    assert all(ours[:5])
    assert ours[5] == []
