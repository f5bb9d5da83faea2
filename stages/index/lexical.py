"""From the rows of a segment to its lexical postings."""

from __future__ import annotations

import io
from array import array
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from schemas.engine import Answer
from schemas.ids import digest
from stages.index.postings import MOST_OFTEN, lexical_schema, postings_bytes
from stages.index.segments import open_rows
from stages.lexical.terms import TERMS_FORMAT, document_terms

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

# A change of the files, or of what a text gives, makes every one of them new.
LEXICAL_FORMAT: Final = f"lexical-1 {TERMS_FORMAT}"
# Postings and vocabulary; of 20,371 texts (docs/hybrid.md) 542: 379 of a passage, 1,083 of a part of a document.
LEXICAL_ROW_BYTES: Final = 550
_READ: Final = ("context", "text", "language")


@dataclass(frozen=True, slots=True)
class LexicalRequest:
    """Make the lexical postings of one segment.

    Attributes:
        rows: Its rows.arrow.
    """

    rows: Path


@dataclass(frozen=True, slots=True)
class LexicalBuilt:
    """What was made.

    Attributes:
        rows: All there are.
        terms: Different ones.
        postings: Pairs of a term and a row.
        languages: Rows by language, deleted ones included.
    """

    rows: int
    terms: int
    postings: int
    languages: dict[str, int] = field(default_factory=dict)


def lexical_digest(rows: pa.Table) -> str:
    """Digest (32 hex characters) of all that the postings of these rows depend on, whatever space they are in."""
    texts = [
        part.encode("utf-8", "surrogatepass")
        for name in _READ
        for part in (str(len(rows)), *rows.column(name).to_pylist())
    ]
    return digest(LEXICAL_FORMAT, *texts)


def build_lexical(request: LexicalRequest) -> Answer:
    """Context and text of every row to terms.

    Returns:
        Answer(LexicalBuilt, (postings, lengths)), both uint8: a file of postings, and an npy file with the number of
        terms of each row, int32.

    Raises:
        IntegrityError: The rows cannot be read.
    """
    rows = open_rows(request.rows)
    ids, lengths, numbers = _term_ids(rows)
    terms = sorted(numbers)
    rank = np.empty(len(terms), dtype=np.int64)
    rank[[numbers[term] for term in terms]] = np.arange(len(terms))
    count = max(1, len(rows))
    places = rank[ids] * count + np.repeat(np.arange(len(rows)), lengths)
    found, often = np.unique(places, return_counts=True)
    often = np.minimum(often, MOST_OFTEN)
    starts = np.searchsorted(found, np.arange(len(terms) + 1) * count)
    lists = ((found % count).astype(np.int32), often.astype(np.uint16))
    counted = np.bincount(lists[0], weights=often, minlength=len(rows)).astype(np.int32)
    languages = Counter(rows.column("language").to_pylist())
    built = LexicalBuilt(len(rows), len(terms), len(found), dict(sorted(languages.items())))
    return Answer(built, (postings_bytes(lexical_schema(), terms, starts, lists), _npy(counted)))


def _term_ids(rows: pa.Table) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """Numbers of the terms of all rows, one row after the other; how many each row has; the number of each term."""
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    ids, lengths = array("q"), array("q")
    for context, text, language in zip(
        *(rows.column(name).to_pylist() for name in _READ), strict=True
    ):
        terms = document_terms(f"{context}\n{text}", language)
        ids.extend(map(numbers.__getitem__, terms))
        lengths.append(len(terms))
    return np.array(ids, dtype=np.int64), np.array(lengths, dtype=np.int64), numbers


def _npy(values: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    np.save(file, values, allow_pickle=False)
    return np.frombuffer(file.getvalue(), dtype=np.uint8)
