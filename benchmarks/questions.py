"""How far an index must be searched for queries of each kind: made ones against those that people wrote.

    python -m benchmarks.questions FOLDER QUERIES.jsonl

FOLDER (or an npz of its vectors) is cut and embedded as benchmarks/paragraphs.py says; QUERIES has a ``query``
and its ``kind`` a line. An IVF over all paragraphs but those of some documents is asked for more and more
lists: by paragraphs of the documents left out, by the queries an index is validated with (stages/index/truth.py: rows,
text), by questions about anything, and by those of QUERIES.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any, Final

import faiss
import numpy as np

from benchmarks.paragraphs import Paragraphs, paragraphs_of
from stages.embed.registry import contract, make_encoder
from stages.index.truth import row_queries, text_queries

_K: Final = 10
_PARAGRAPHS: Final = 9_000
_QUERIES: Final = 500
_PROBES: Final = (1, 4, 8, 16, 32, 64, 128)


def kinds_of(real: Paragraphs, rows: np.ndarray, questions: Path) -> dict[str, np.ndarray]:
    """Queries by kind, float32 [n, dim]; those of `questions` by theirs."""
    picked = rows[:: max(1, len(rows) // _QUERIES)][:_QUERIES]
    texts: dict[str, list[str]] = {}
    for line in questions.read_text(encoding="utf-8").splitlines():
        told = json.loads(line)
        texts.setdefault(told["kind"], []).append(told["query"])
    encoder: Any = make_encoder(contract("minilm", threads=len(os.sched_getaffinity(0))))
    return {
        "left out": real.vectors[real.held_out(_QUERIES)],
        "rows": row_queries(picked, [""] * len(picked), normalised=True).vectors,
        "text": text_queries(picked, real.questions, normalised=True).vectors,
        "about anything": real.questions,
    } | {f"people's: {kind}": encoder.encode_queries(some) for kind, some in texts.items()}


def lists_of(rows: np.ndarray) -> Any:
    """An IVF with about four lists for each root of rows."""
    count, dim = rows.shape
    index = faiss.index_factory(dim, f"IVF{round(4 * count**0.5)},Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(rows)
    index.add(rows)
    return index


def line(index: Any, rows: np.ndarray, kind: str, queries: np.ndarray) -> str:
    """Of the table: similarity of the best and the tenth, recall at each number of lists."""
    scores, right = faiss.knn(queries, rows, _K, metric=faiss.METRIC_INNER_PRODUCT)
    cells = [kind, str(len(queries)), *(f"{scores[:, i].mean():.2f}" for i in (0, _K - 1))]
    for index.nprobe in _PROBES:
        found = index.search(queries, _K)[1]
        shares = [len(np.intersect1d(a, b)) / _K for a, b in zip(found, right, strict=True)]
        cells.append(f"{np.mean(shares):.3f}")
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("questions", type=Path)
    options = parser.parse_args()
    real = paragraphs_of(options.folder, _PARAGRAPHS, threads=len(os.sched_getaffinity(0)))
    rows = np.ascontiguousarray(real.vectors[~real.held_out(_QUERIES)])
    index = lists_of(rows)
    print(f"{len(rows)} paragraphs in {index.nlist} lists")
    print(f"| queries | n | best | tenth | {' | '.join(map(str, _PROBES))} |")
    print("|---" * (4 + len(_PROBES)) + "|")
    for kind, queries in kinds_of(real, rows, options.questions).items():
        print(line(index, rows, kind, queries))


if __name__ == "__main__":
    main()
