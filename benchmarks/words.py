"""What words cost: making the postings of 100,000 paragraphs, a small change, questions; and bm25s beside it.

    python -m benchmarks.words [ROWS]

Paragraphs are 100 words drawn from 200,000 made-up ones by Zipf's law, the same every time. Seconds are of the
process' CPU.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import bm25s
import numpy as np
import pyarrow as pa

from schemas.ids import digest
from schemas.tables import SEGMENT_ROWS
from stages.index.bm25 import K1, B, LexicalIndex, LexicalPart
from stages.index.build import BuildRequest, IndexKind, build_segment
from stages.index.families.protocol import NO_QUANTISER
from stages.index.lexical import LexicalRequest, build_lexical
from stages.index.postings import OpenPostings, lexical_schema
from stages.index.segments import OpenSegment, SegmentPaths
from stages.lexical.terms import document_terms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_WORDS: Final = 200_000
_PARAGRAPH: Final = 100
_EXPONENT: Final = 1.2
_SEED: Final = 20261122
_QUESTIONS: Final = 200
_ASKED: Final = 5  # words of a question
_K: Final = 50
_CHANGED: Final = 1_000
_BM25: Final = {"k1": K1, "b": B}

_T = TypeVar("_T")


def main() -> None:
    """Print a line for each thing measured."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    texts = texts_of(rows)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        index = _timed(
            f"gristmill: {rows} paragraphs",
            lambda: LexicalIndex([part_of(folder / "all", texts)], _BM25),
        )
        size_bytes = (folder / "all" / "postings.arrow").stat().st_size
        print(f"  {size_bytes / 1e6:.0f} MB of postings, {size_bytes / rows:.0f} bytes a paragraph")
        changed = part_of(folder / "new", texts[:_CHANGED], quiet=False)
        _timed(
            f"gristmill: {_CHANGED} of them changed",
            lambda: LexicalIndex([*index.parts, changed], _BM25),
        )
        _ask("gristmill", texts, lambda words: index.search([[(word,) for word in words]], _K))
    _theirs(texts)


def texts_of(rows: int) -> list[str]:
    """Paragraphs of words that follow Zipf's law."""
    random = np.random.default_rng(_SEED)
    shares = 1 / np.arange(1, _WORDS + 1) ** _EXPONENT
    drawn = random.choice(_WORDS, size=(rows, _PARAGRAPH), p=shares / shares.sum())
    vocabulary = np.array([_word(number) for number in range(_WORDS)])
    return [" ".join(vocabulary[row]) for row in drawn]


def _word(number: int) -> str:
    """Letters for the digits of a number in base 20: no two alike."""
    return "".join(
        "bcdfghjklmnpqrtvwxyz"["0123456789ABCDEFGHIJ".index(d)]
        for d in np.base_repr(number + 400, 20)
    )


def part_of(folder: Path, texts: Sequence[str], *, quiet: bool = True) -> LexicalPart:
    """A segment of these paragraphs with its words, written and opened again."""
    segment = _segment(folder, texts)
    started = time.process_time()
    answer = build_lexical(LexicalRequest(folder / "rows.arrow"))
    if not quiet:
        print(
            f"gristmill: postings of {len(texts)} paragraphs: {time.process_time() - started:.2f} s"
        )
    for name, data in zip(("postings.arrow", "lengths.npy"), answer.arrays, strict=True):
        (folder / name).write_bytes(data.tobytes())
    postings = OpenPostings.open(folder / "postings.arrow", lexical_schema())
    return LexicalPart(segment, postings, np.load(folder / "lengths.npy", mmap_mode="r"))


def _segment(folder: Path, texts: Sequence[str]) -> OpenSegment:
    ids = sorted(digest("unit", str(number)) for number in range(len(texts)))
    values = {name: [""] * len(ids) for name in SEGMENT_ROWS.names}
    values |= {"unit_id": ids, "text": list(texts), "language": ["en"] * len(ids)}
    values |= {"acl": [[]] * len(ids), "vector_digest": [0] * len(ids)}
    kind = IndexKind("text/paragraph", "none", "flat", {}, 2)
    vectors = np.tile(np.array([1, 0], dtype=np.float32), (len(ids), 1))
    request = BuildRequest(kind, pa.table(values, schema=SEGMENT_ROWS))
    built = build_segment(request, vectors, NO_QUANTISER)
    folder.mkdir()
    for file, data in zip(built.value.ref.files, built.arrays, strict=True):
        (folder / file.key.rpartition("/")[2]).write_bytes(data.tobytes())
    return OpenSegment.open(SegmentPaths(folder / "index.faiss", folder / "rows.arrow"), "flat", {})


def _theirs(texts: Sequence[str]) -> None:
    terms = _timed("bm25s: terms (ours)", lambda: [document_terms(text, "en") for text in texts])
    theirs = bm25s.BM25(method="lucene", k1=K1, b=B)
    _timed("bm25s: index of all terms", lambda: theirs.index(terms, show_progress=False))
    _ask("bm25s", texts, lambda words: theirs.retrieve([words], k=_K, show_progress=False))


def _ask(name: str, texts: Sequence[str], answer: Callable[[list[str]], object]) -> None:
    random = np.random.default_rng(_SEED)
    questions = [
        list(random.choice(document_terms(texts[row], "en"), _ASKED, replace=False))
        for row in random.integers(len(texts), size=_QUESTIONS)
    ]
    started = time.process_time()
    for words in questions:
        answer([str(word) for word in words])
    print(
        f"{name}: {(time.process_time() - started) / _QUESTIONS * 1e3:.1f} ms a question of {_ASKED} words"
    )


def _timed(what: str, work: Callable[[], _T]) -> _T:
    started = time.process_time()
    done = work()
    print(f"{what}: {time.process_time() - started:.2f} s")
    return done


if __name__ == "__main__":
    main()
