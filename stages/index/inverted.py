"""Opening the inverted indices of a snapshot. Needs numpy and pyarrow alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from schemas.errors import IntegrityError
from stages.index.bm25 import LexicalIndex, LexicalPart
from stages.index.postings import OpenPostings, lexical_schema, sparse_schema
from stages.index.sparse import SparseIndex, SparsePart

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from schemas.inverted import InvertedIndex, PostingsRef
    from stages.index.segments import OpenSegment

POSTINGS_SUFFIX: Final = ".arrow"
LENGTHS_SUFFIX: Final = ".npy"


def open_inverted(
    entry: InvertedIndex, segments: Sequence[OpenSegment], local_path: Callable[[str], Path]
) -> LexicalIndex | SparseIndex:
    """Map the files of an inverted index: a SparseIndex where an encoder gave its terms, else a LexicalIndex.

    Args:
        entry: Of the manifest.
        segments: Those of the index beside it, in the manifest's order.
        local_path: Where the file of a key lies.

    Raises:
        IntegrityError: A file is missing, does not open, or is not of these segments.
    """
    if len(segments) != len(entry.segments):
        raise IntegrityError(
            f"the postings of {entry.partition} are of {len(entry.segments)} segments, its index in {entry.space} has"
            f" {len(segments)}"
        )
    pairs = list(zip(segments, entry.segments, strict=True))
    if entry.encoder:
        return SparseIndex([_sparse_part(segment, ref, local_path) for segment, ref in pairs])
    parts = [_lexical_part(segment, ref, local_path) for segment, ref in pairs]
    return LexicalIndex(parts, entry.parameters)


def _sparse_part(
    segment: OpenSegment, ref: PostingsRef, local_path: Callable[[str], Path]
) -> SparsePart:
    path = _file(ref, POSTINGS_SUFFIX, local_path)
    postings = OpenPostings.open(path, sparse_schema())
    if len(postings.terms) != ref.terms:
        raise IntegrityError(
            f"{path} has {len(postings.terms)} terms, the manifest says {ref.terms}"
        )
    return SparsePart(segment, postings)


def _lexical_part(
    segment: OpenSegment, ref: PostingsRef, local_path: Callable[[str], Path]
) -> LexicalPart:
    named = {suffix: _file(ref, suffix, local_path) for suffix in (POSTINGS_SUFFIX, LENGTHS_SUFFIX)}
    postings = OpenPostings.open(named[POSTINGS_SUFFIX], lexical_schema())
    lengths = _lengths(named[LENGTHS_SUFFIX])
    if len(lengths) != len(segment.rows) or len(postings.terms) != ref.terms:
        raise IntegrityError(
            f"{named[POSTINGS_SUFFIX]} has {len(postings.terms)} terms of {len(lengths)} rows, the manifest says"
            f" {ref.terms} of {len(segment.rows)}"
        )
    return LexicalPart(segment, postings, lengths)


def _file(ref: PostingsRef, suffix: str, local_path: Callable[[str], Path]) -> Path:
    for file in ref.files:
        if file.key.endswith(suffix):
            return local_path(file.key)
    raise IntegrityError(f"the postings of segment {ref.segment} have no {suffix} file")


def _lengths(path: Path) -> np.ndarray:
    try:
        found: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise IntegrityError(f"cannot open {path}: {error}") from error
    if found.dtype != np.int32 or found.ndim != 1:
        raise IntegrityError(f"{path} has {found.dtype} {list(found.shape)}, expected int32 [rows]")
    return found
