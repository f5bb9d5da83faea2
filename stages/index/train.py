"""Training the quantiser that all segments of one partition in one space share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from schemas.errors import IntegrityError, VectorError
from schemas.ids import digest_buffer
from stages.index.families import family, one_thread

if TYPE_CHECKING:
    from pathlib import Path

NO_QUANTISER = np.zeros(0, dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """Train an index of this family. The sample, float32 [n, dim], travels beside it."""

    partition: str
    space: str
    family: str
    parameters: dict[str, int]
    dim: int


def train(request: TrainRequest, sample: np.ndarray) -> np.ndarray:
    """Train an empty index on `sample`, float32 [n, dim]; its order matters, so it must not depend on arrival.

    Returns:
        uint8 [n_bytes], faiss' own serialisation of the trained, empty index; empty if the family needs no training.

    Raises:
        VectorError: The sample has another dim, is not finite, or has fewer rows than there are lists.
    """
    import faiss

    chosen = family(request.family)
    if not chosen.trains:
        return NO_QUANTISER
    place = f"{request.partition} in {request.space}"
    vectors = checked_vectors(sample, request.dim, place)
    nlist = request.parameters["nlist"]
    if len(vectors) < nlist:
        raise VectorError(
            f"{place}: {len(vectors)} training vectors for {nlist} lists; lower nlist or sample more"
        )
    index = chosen.empty(request.dim, request.parameters)
    with one_thread():
        index.train(vectors)
    return np.asarray(faiss.serialize_index(index))


def trained_digest(trained: np.ndarray) -> str:
    """32 hex characters over a trained index, empty for none."""
    return digest_buffer(np.ascontiguousarray(trained).data) if trained.size else ""


def trained_of(index_path: Path) -> np.ndarray:
    """The trained, empty index inside a published segment's index.faiss: the same bytes that `train` gave.

    A partition that grew but kept its plan takes this instead of training again, and so keeps every segment that did
    not change.

    Raises:
        IntegrityError: faiss cannot read the file.
    """
    import faiss

    try:
        index = faiss.read_index(str(index_path))
    except RuntimeError as error:
        raise IntegrityError(f"{index_path} is not a faiss index: {error}") from error
    if isinstance(index, faiss.IndexFlat):
        return NO_QUANTISER
    index.reset()
    return np.asarray(faiss.serialize_index(index))


def checked_vectors(vectors: np.ndarray, dim: int, place: str) -> np.ndarray:
    """`vectors` as contiguous float32 [n, dim].

    Raises:
        VectorError: Other dtype or dim, or something that is not finite; names `place` and the first bad row.
    """
    if vectors.ndim != 2 or vectors.shape[1] != dim or vectors.dtype != np.float32:
        raise VectorError(
            f"{place}: vectors are {vectors.dtype} {list(vectors.shape)}, expected float32 [n, {dim}]"
        )
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        raise VectorError(f"{place}: vector {int(np.argmin(finite))} has NaN or infinity in it")
    return np.ascontiguousarray(vectors)
