"""Whether crops help to find pictures by words: recall with and without image/region.

    python -m benchmarks.regions FOLDER QUERIES.jsonl [--json]

QUERIES has a ``query``, its ``modality`` and its ``relevant`` paths a line; those of modality image are asked. A
picture's similarity is that of its centre crop at model size (image/image), or the best of that and its crops
(image/region), all by the starter image encoder with exact search.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any, Final

import numpy as np

from schemas.config import Recognition, Segmentation
from schemas.errors import SourceError
from stages.decode.options import DecodeOptions
from stages.decode.registry import decode
from stages.decode.sniff import sniff
from stages.embed.registry import contract, make_encoder
from stages.route.evaluate import read_queries
from stages.route.metrics import measure

_BATCH: Final = 64
_DEPTH: Final = 50


def looks_of(folder: Path, encoder: Any) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Paths, and of each vector its picture (int64 [n]) and itself (float32 [n, dim]); whole pictures come first."""
    options = DecodeOptions(
        recognition=Recognition(ocr=False), segmentation=Segmentation(image_regions=True)
    )
    paths: list[str] = []
    owners: list[int] = []
    waiting: list[np.ndarray] = []
    vectors: list[np.ndarray] = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        try:
            if not sniff(path, "").startswith("image/"):
                continue
            content, arrays = decode(path, "", options)
        except SourceError:
            continue
        if content.image is None:
            continue
        places = [content.image.pixels_array, *(c.pixels_array for c in content.image.crops)]
        owners += [len(paths)] * len(places)
        paths.append(path.relative_to(folder).as_posix())
        waiting += [arrays[place] for place in places]
        if len(waiting) >= _BATCH:
            vectors.append(encoder.encode(waiting))
            waiting = []
    if waiting:
        vectors.append(encoder.encode(waiting))
    return paths, np.array(owners), np.concatenate(vectors)


def measured(scores: np.ndarray, paths: list[str], queries: list[Any]) -> dict[str, float]:
    """Mean measures of scores float32 [queries, pictures]."""
    rows = []
    for row, query in zip(scores, queries, strict=True):
        order = [paths[i] for i in np.argsort(-row, kind="stable")[: _DEPTH + len(query.ignored)]]
        rows.append(measure([path for path in order if path not in query.ignored], query.relevant))
    return {name: round(float(np.mean([row[name] for row in rows])), 4) for name in rows[0]}


def main() -> None:
    """Measure a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("queries", type=Path)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    encoder: Any = make_encoder(contract("conse", threads=len(os.sched_getaffinity(0))))
    queries = [q for q in read_queries(asked.queries) if q.modality == "image"]
    paths, owners, vectors = looks_of(asked.folder, encoder)
    similar = encoder.encode_queries([query.text for query in queries]) @ vectors.T
    first = np.unique(owners, return_index=True)[1]
    best = np.maximum.reduceat(similar, first, axis=1)
    told = {
        "pictures": len(paths),
        "cropped": int((np.bincount(owners) > 1).sum()),
        "queries": len(queries),
        "image/image": measured(similar[:, first], paths, queries),
        "with image/region": measured(best, paths, queries),
    }
    print(json.dumps(told) if asked.json else "\n".join(f"{k}: {v}" for k, v in told.items()))


if __name__ == "__main__":
    main()
