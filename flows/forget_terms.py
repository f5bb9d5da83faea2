"""Words of what was forgotten, looked for in the vocabularies of inverted indices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from flows.manifests import read_manifests
from infra.lake import paths
from stages.index.postings import lexical_schema
from stages.index.segments import ROWS_FILE, open_rows
from stages.lexical.terms import document_terms

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from infra.lake import LakeView
    from schemas.blobs import BlobStore

_MOST: Final = 200  # words looked for, evenly over what there is: more say no more
_FOLDER: Final = "snapshots/files"


def terms_of(view: LakeView, source_ids: Collection[str]) -> list[str]:
    """Terms of the units of some sources, evenly over all they have, sorted."""
    chosen = pc.field("source_id").isin(pa.array(source_ids, pa.string()))
    units = view.all_rows(paths.UNITS, ["context", "text", "language"], chosen)
    found = sorted(
        {
            term
            for row in units.to_pylist()
            for term in document_terms(f"{row['context']}\n{row['text']}", row["language"])
        }
    )
    return found[:: max(1, len(found) // _MOST)][:_MOST]


def terms_left(blobs: BlobStore, terms: Collection[str]) -> Iterator[str]:
    """``key: term`` of every vocabulary that has one of these terms, though no row beside it has that word."""
    owners = {
        ref.files[0].key: f"segments/{ref.segment}/{ROWS_FILE}"
        for manifest in read_manifests(blobs)
        for entry in manifest.inverted
        if not entry.encoder
        for ref in entry.segments
    }
    for key in blobs.list(_FOLDER):
        vocabulary = _vocabulary(blobs, key) if key.endswith(".arrow") else None
        if vocabulary is None:
            continue
        known = vocabulary.filter(pc.is_in(vocabulary["term"], pa.array(terms, pa.string())))
        for row in known.to_pylist():
            if not _has_word(blobs, owners.get(key), row["rows"][0], row["term"]):
                yield f"{key}: term"


def _vocabulary(blobs: BlobStore, key: str) -> pa.Table | None:
    with pa.memory_map(str(blobs.local_path(key))) as file:
        table = pa.ipc.open_file(file).read_all()
    return table.select(["term", "rows"]) if table.schema.equals(lexical_schema()) else None


def _has_word(blobs: BlobStore, rows_key: str | None, row: int, term: str) -> bool:
    """Whether a live unit brought the term there."""
    if rows_key is None:
        return False
    unit = open_rows(blobs.local_path(rows_key)).slice(row, 1).to_pylist()[0]
    return term in document_terms(f"{unit['context']}\n{unit['text']}", unit["language"])
