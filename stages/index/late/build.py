"""Training and building segments of late interaction in one worker: values in, the bytes of files out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from schemas.engine import Answer
from schemas.tables import SEGMENT_ROWS
from stages.index.build import (
    DIGEST_COLUMN,
    BuildRequest,
    canonical_rows,
    input_digest,
    sealed,
    searched_files,
)
from stages.index.families.registry import family
from stages.index.health import health
from stages.index.late.asked import nearest_units
from stages.index.late.codecs import Codebook
from stages.index.late.fde import Fde
from stages.index.late.store import Tokens, checked, store_files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.manifest import SegmentRef
    from stages.index.build import IndexKind
    from stages.index.truth import Nearest, Queries

VECTORS: Final = (
    "token_vectors"  # in the health of a segment: how many there are of all of its units
)


@dataclass(frozen=True, slots=True)
class LateTrainRequest:
    """Learn what all segments of an index share. The `Tokens` of a sample of its units travel beside it."""

    kind: IndexKind


@dataclass(frozen=True, slots=True)
class LateBuildRequest:
    """Build one segment, or only answer queries out of its units where it is there already.

    Beside it travel the `Tokens` of its units as encoded, and what `train_late` gave: the codebook and the
    trained index, both uint8.

    Attributes:
        kind: What it has in common with the others of its index.
        rows: In the SEGMENT_ROWS schema, from `with_unit_digests`, unit_id strictly ascending.
        queries: To be answered exactly.
        shard: (i, n): the i-th of n ranges of unit ids.
        known: The segment, if it was built before.
    """

    kind: IndexKind
    rows: pa.Table
    queries: Queries
    shard: tuple[int, int]
    input_digest: str
    known: SegmentRef | None = None


@dataclass(frozen=True, slots=True)
class BuiltLate:
    """A segment as built.

    Attributes:
        ref: For the manifest; its files are in the order of the answer's arrays, none of a segment that was known.
        nearest: Exact answers to the queries by the vectors that the index keeps, before they are quantised.
        nearest_whole: The same by all vectors of the units; the very same if it keeps all.
    """

    ref: SegmentRef
    nearest: Nearest
    nearest_whole: Nearest


def train_late(request: LateTrainRequest, arrays: Sequence[np.ndarray]) -> Answer:
    """Answer(vectors learned from, (codebook as an npz, trained index of encodings)), both uint8.

    Raises:
        VectorError: The vectors are not those of the space, or too few.
    """
    kind = request.kind
    kept = Tokens(*arrays).reduced(kind.parameters)
    codebook = Codebook.trained(kept.vectors, kind.parameters)
    encoded = Fde.of(kind.parameters, codebook.centre).documents(list(kept.each()))
    trained = family(kind.family).train(encoded, kind.metric, kind.parameters)
    return Answer(len(kept.vectors), (np.frombuffer(codebook.to_bytes(), np.uint8), trained))


def build_late(request: LateBuildRequest, arrays: Sequence[np.ndarray]) -> Answer:
    """Build the files of one segment; equal input gives equal bytes.

    Returns:
        Answer(BuiltLate, (index.faiss, rows.arrow, tokens.npy, offsets.npy, kinds.npy, stats.json)), arrays uint8.

    Raises:
        VectorError: The vectors do not belong to the rows, are not finite, or have not length 1.
        IntegrityError: Rows are not sorted, repeated, or not of the schema.
    """
    kind, (codes, trained) = request.kind, arrays[3:]
    codebook = Codebook.from_bytes(codes.tobytes())
    whole = checked(Tokens(*arrays[:3]), codebook.dim, kind.place)
    kept = whole.reduced(kind.parameters)
    if request.known is None:
        ref, files = _built(request, kept, codebook, trained)
    else:
        ref, files = request.known, ()
    nearest = nearest_units(request.queries, request.rows, kept)
    same = kept is whole
    nearest_whole = nearest if same else nearest_units(request.queries, request.rows, whole)
    return Answer(BuiltLate(ref, nearest, nearest_whole), files)


def _built(
    request: LateBuildRequest, kept: Tokens, codebook: Codebook, trained: np.ndarray
) -> tuple[SegmentRef, tuple[np.ndarray, ...]]:
    kind = request.kind
    rows = canonical_rows(request.rows, kind.place)
    encoded = Fde.of(kind.parameters, codebook.centre).documents(list(kept.each()))
    data = searched_files(kind, rows, encoded, trained) | store_files(kept, codebook)
    plain = BuildRequest(kind, rows, None, request.shard, request.input_digest)
    ref = sealed(plain, data)
    return replace(ref, health=_health(kept)), tuple(data.values())


def _health(tokens: Tokens) -> dict[str, float]:
    """Of all vectors; hubs are looked for among whole units, since common words are near to many."""
    found = health(tokens.vectors, normalised=True)
    hubs = health(tokens.means(), normalised=True)["hubness"]
    return found | {"hubness": hubs, VECTORS: float(len(tokens.vectors))}


def with_unit_digests(rows: pa.Table, tokens: Tokens) -> pa.Table:
    """Rows in the SEGMENT_ROWS schema: those of the units table with a digest of each one's vectors."""
    digests = pa.array(tokens.digests(), pa.uint64())
    return rows.append_column(DIGEST_COLUMN, digests).select(SEGMENT_ROWS.names)


def late_input_digest(
    kind: IndexKind, rows: pa.Table, codebook: np.ndarray, trained: np.ndarray
) -> str:
    """Digest (32 hex characters) of all that a segment is built from, see `stages.index.build.input_digest`."""
    return input_digest(BuildRequest(kind, rows), np.concatenate([codebook, trained]))
