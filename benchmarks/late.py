"""Late interaction on real paragraphs: recall, bytes and speed of codes, pooling and ways to find candidates.

    python -m benchmarks.late FOLDER --tokens tokens.npz [--questions queries.jsonl] [--limit 8500]

Each line is one index, built and tuned as a partition is: candidates by encodings, ranked by MaxSim over quantised
vectors. `recall@10` is against exact MaxSim over the vectors that the index keeps, which is what it is tuned to; `of
all` is against exact MaxSim over all vectors of a unit. Both are the lowest over the kinds of questions.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.paragraphs import SEED, document_texts
from schemas.config import Indexing
from schemas.ids import digest
from schemas.tables import SEGMENT_ROWS
from stages.embed.registry import contract, make_encoder
from stages.index.build import IndexKind
from stages.index.late.asked import LateMeter, span_queries, widened, word_queries
from stages.index.late.build import (
    LateBuildRequest,
    LateTrainRequest,
    build_late,
    late_input_digest,
    train_late,
    with_unit_digests,
)
from stages.index.late.codecs import Codebook
from stages.index.late.plan import encoded_dims, late_plan
from stages.index.late.search import LateIndex, packed
from stages.index.late.store import Tokens
from stages.index.late.validate import tune_late
from stages.index.segments import OpenSegment, SegmentPaths
from stages.index.truth import ASKED, Queries, Truth, join_queries
from stages.route.background import BACKGROUND

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from schemas.space import TokenVectors
    from stages.index.late.build import BuiltLate
    from stages.index.tune import Tuned

_VECTORS: Final = frozenset({"index.faiss", "tokens.npy", "offsets.npy", "kinds.npy", "full.npy"})
VARIANTS: Final[dict[str, dict[str, Any]]] = {
    "int8": {},
    "int8, pool 2": {"late_pool": 2},
    "int8, pool 3": {"late_pool": 3},
    "pq": {"late_codec": "pq"},
    "pq, pool 2": {"late_codec": "pq", "late_pool": 2},
    "pq, pool 3": {"late_codec": "pq", "late_pool": 3},
    "int8, 4 x 4 partitions": {"late_bits": 2, "late_repetitions": 4},
    "int8, 20 x 32 partitions": {"late_bits": 5, "late_repetitions": 20},
}


@dataclass(frozen=True, slots=True)
class Corpus:
    """Units with their vectors, and questions: those about anything, and those that people asked."""

    tokens: Tokens
    general: list[np.ndarray]
    asked: list[np.ndarray]

    def save(self, path: Path) -> None:
        """As an npz, float16, so that embedding is done once."""
        arrays = {"vectors": self.tokens.vectors.astype(np.float16), "offsets": self.tokens.offsets}
        for name, queries in (("general", self.general), ("asked", self.asked)):
            arrays[name] = np.concatenate([np.zeros((0, self.dim), np.float32), *queries])
            arrays[f"{name}_counts"] = np.array([len(query) for query in queries], np.int64)
        np.savez(path, **arrays)

    @classmethod
    def load(cls, path: Path) -> Corpus:
        """What `save` wrote; vectors have length 1 again."""
        with np.load(path, allow_pickle=False) as saved:
            vectors = saved["vectors"].astype(np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            kinds = np.zeros(len(vectors), np.int32)
            tokens = Tokens(vectors, kinds, saved["offsets"])
            lists = [_split(saved[name], saved[f"{name}_counts"]) for name in ("general", "asked")]
        return cls(tokens, *lists)

    @property
    def dim(self) -> int:
        """Of a vector."""
        return int(self.tokens.vectors.shape[1])


def embed(folder: Path, questions: Sequence[str], limit: int, threads: int) -> Corpus:
    """Token vectors of `limit` of the distinct paragraphs of a folder, drawn by a fixed seed."""
    texts = list({text: None for paragraphs in document_texts(folder) for text in paragraphs})
    drawn = random.Random(SEED).sample(texts, min(limit, len(texts)))  # noqa: S311  # a sample
    encoder: Any = make_encoder(contract("minilm-tokens", threads=threads))
    units: list[TokenVectors] = encoder.encode(drawn)
    general, asked = (
        [found.vectors for found in encoder.encode_queries(list(some))]
        for some in (BACKGROUND, questions)
    )
    return Corpus(Tokens.of(units, encoder.contract.dim), general, asked)


@dataclass(frozen=True, slots=True)
class Measured:
    """One way to index.

    Attributes:
        name: Of the variant.
        tuned: Its search parameters.
        of_all: recall@10 by kind against exact MaxSim over all vectors.
        bytes: Of a unit: encodings, and vectors with their offsets and kinds.
        vectors: Of a unit.
        build_s: To learn, build and answer exactly.
    """

    name: str
    tuned: Tuned
    of_all: dict[str, float]
    bytes: tuple[float, float]
    vectors: float
    build_s: float

    def line(self) -> str:
        """For the table."""
        point = self.tuned.point
        return (
            f"| {self.name} | {self.vectors:.1f} | {sum(self.bytes):,.0f} | {self.bytes[0]:,.0f} |"
            f" {10 * point.search['rescore']} | {point.recall_at_10:.3f} | {min(self.of_all.values()):.3f} |"
            f" {point.latency_ms_p50:.1f} | {1000 / point.latency_ms_p50:.0f} | {self.build_s:.0f} |"
        )


def measure(name: str, corpus: Corpus, queries: int, folder: Path) -> Measured:
    """Build one variant in a folder and tune it with so many queries of each kind."""
    config = Indexing(**VARIANTS[name])
    space = contract("minilm-tokens")
    started = time.perf_counter()
    plan = late_plan(space, corpus.tokens.units, config)
    dims = encoded_dims(plan.parameters)
    kind = IndexKind(
        "text/paragraph", space.key, plan.family, plan.parameters, dims, normalised=False
    )
    rows = with_unit_digests(_rows(corpus.tokens.units), corpus.tokens)
    sample = corpus.tokens.take(np.arange(min(plan.train_rows, corpus.tokens.units)))
    codebook, trained = train_late(LateTrainRequest(kind), sample).arrays
    key = late_input_digest(kind, rows, codebook, trained)
    request = LateBuildRequest(kind, rows, _queries(corpus, queries), (0, 1), key)
    answer = build_late(request, [*corpus.tokens, codebook, trained])
    built: BuiltLate = answer.value
    took_s = time.perf_counter() - started
    paths: dict[str, Path] = {}
    for file, data in zip(built.ref.files, answer.arrays, strict=True):
        paths[Path(file.key).name] = folder / Path(file.key).name
        paths[Path(file.key).name].write_bytes(data.tobytes())
    places = SegmentPaths.of(paths, None)
    opened = [OpenSegment.open(places, kind.family, kind.parameters)]
    learned = Codebook.from_bytes(codebook.tobytes())
    index = LateIndex.of(opened, [places], kind.parameters, learned)
    tuned = tune_late(kind, index, Truth(request.queries, built.nearest), config, 1)
    depth = tuned.point.search["rescore"]
    whole = LateMeter(Truth(request.queries, built.nearest_whole), index, depth)
    units = corpus.tokens.units
    sizes = {file.key.rpartition("/")[2]: file.size_bytes / units for file in built.ref.files}
    encodings = sizes["index.faiss"]
    vectors = sum(size for name, size in sizes.items() if name in _VECTORS) - encodings
    return Measured(
        name,
        tuned,
        whole.recalls(tuned.point.search),
        (encodings, vectors),
        len(index.stores[0].codes) / units,
        took_s,
    )


def _queries(corpus: Corpus, count: int) -> Queries:
    picked = np.linspace(0, corpus.tokens.units - 1, count).astype(int)
    units = [corpus.tokens.unit(i).vectors for i in picked.tolist()]
    ids = [_rows(corpus.tokens.units)["unit_id"][i].as_py() for i in picked.tolist()]
    asked = corpus.asked[:: max(1, len(corpus.asked) // count)][:count]
    nothing = ("",) * len(asked)
    parts = [span_queries(units, ids), word_queries(units, corpus.general)]
    if asked:
        parts.append(Queries(packed(asked), (ASKED,) * len(asked), nothing))
    width = max(part.vectors.shape[1] for part in parts)
    return join_queries([widened(part, width) for part in parts])


def _rows(count: int) -> pa.Table:
    import pyarrow as pa

    columns: dict[str, list[Any]] = {name: [""] * count for name in SEGMENT_ROWS.names}
    columns |= {"unit_id": sorted(digest("unit", str(i)) for i in range(count))}
    columns |= {"acl": [[]] * count, "vector_digest": [0] * count}
    rows = pa.table(columns, schema=SEGMENT_ROWS)
    return rows.drop_columns(["vector_digest"])


def _split(vectors: np.ndarray, counts: np.ndarray) -> list[np.ndarray]:
    return np.split(vectors, np.cumsum(counts)[:-1]) if len(counts) else []


def _asked(path: Path | None) -> list[str]:
    """Questions for texts and pages of a file of questions, a JSON object a line."""
    if path is None:
        return []
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    chosen = [q["query"] for q in lines if q.get("modality", "text") in ("text", "page")]
    return [words for words in chosen if len(words.split()) <= 40]


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tokens", type=Path, required=True)
    parser.add_argument("--questions", type=Path)
    parser.add_argument("--limit", type=int, default=8500)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--queries", type=int, default=100, help="of each kind")
    parser.add_argument("--only", nargs="*", choices=list(VARIANTS), default=list(VARIANTS))
    options = parser.parse_args(arguments)
    if not options.tokens.exists():
        embed(options.folder, _asked(options.questions), options.limit, options.threads).save(
            options.tokens
        )
    corpus = Corpus.load(options.tokens)
    units, vectors = corpus.tokens.units, len(corpus.tokens.vectors)
    print(f"{units} units, {vectors / units:.1f} vectors of {corpus.dim} dims each")
    for name in options.only:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(name, corpus, options.queries, Path(folder))
        curve = [(10 * p.search["rescore"], round(p.recall_at_10, 3)) for p in found.tuned.curve]
        print(found.line(), found.tuned.recalls, found.of_all, curve, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
