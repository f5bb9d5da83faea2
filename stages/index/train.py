"""Training the quantiser that all segments of one index share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas.ids import canonical_json, digest
from stages.index.build import SEGMENT_FORMAT, checked_vectors, described
from stages.index.dims import indexed
from stages.index.families.registry import family

if TYPE_CHECKING:
    import numpy as np

    from stages.index.build import IndexKind


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """Train an index of this kind. The sample, float32 [n, dim], travels beside it."""

    kind: IndexKind


def train(request: TrainRequest, sample: np.ndarray) -> np.ndarray:
    """Train an empty index on `sample`, float32 [n, dim]; its order matters, so it must not depend on arrival.

    Returns:
        uint8 [n_bytes], faiss' own serialisation of the trained, empty index; empty if the family needs no training.

    Raises:
        VectorError: The sample has another dim, is not finite, or has too few rows for the parameters.
    """
    kind = request.kind
    vectors = checked_vectors(sample, kind.dim, kind.place)
    cut = indexed(vectors, kind.dims)
    return family(kind.family).train(cut, kind.metric, kind.parameters)


def training_digest(kind: IndexKind, sample_digest: str) -> str:
    """Digest (32 hex characters) of all that training depends on; equal input is not trained again."""
    return digest("training", SEGMENT_FORMAT, canonical_json(described(kind)), sample_digest)
