"""Made embeddings with the structure of real ones, any number of them, in blocks that depend on their number alone.

How a vector is made. Real ones come first: the paragraphs of a folder, embedded by the starter text encoder. Their
covariance is cut into what differs between documents and what differs within them (a one-way analysis of variance along
the principal axes). Then every vector is

    x = mean + topic + document + passage + noise, scaled to length 1

- topic: one of TOPICS centres, normal with the variance between documents (its share `topics`), of which the share
  `themes` is that of a theme that many topics have. The topic of a document is drawn by Zipf's law (exponent `zipf`),
  so cluster sizes follow a power law, and more rows show more topics.
- document: normal in the few directions of its topic (`rank` of a pool of atoms), with the rest of that variance.
- passage: normal in other few directions of its topic, with the variance within documents; each has a scale of its own
  (log-normal, `tail`), so that near copies and loners exist. Few directions a topic keep the local dimension as low as
  it really is; Gaussian noise in 384 dimensions would have no neighbours worth finding.
- noise: the share `noise` of the variance within documents, in directions that each passage has of its own.

Atoms are normal with the real spectrum along the real axes, so covariance and explained variance come out right by
construction. The six numbers in quotes are fitted (benchmarks/likeness.py) until cosines of near neighbours, local
dimension, hubness and the recall of an IVF are those of the real set at equal size: ``--describe FOLDER`` prints the
comparison, which docs/scale.md has for the fit that is kept. What a real set of millions looks like could not be
compared: here, the more rows, the more documents share a topic.

What is fitted is kept in made_vectors.npz (spectra, axes, mean, the vectors of the router's background questions; no
text), so that making vectors needs no encoder.

    python -m benchmarks.vectors SET --rows 1000000          a set with queries and truth, see vector_set.py
    python -m benchmarks.vectors --describe FOLDER           made against real, at equal size
    python -m benchmarks.vectors --fit FOLDER                fit anew and keep it
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from scipy import sparse  # type: ignore[import-untyped]  # it ships no stubs

from benchmarks.vector_set import write_set
from stages.index.truth import text_queries

if TYPE_CHECKING:
    from collections.abc import Iterator

SEED: Final = 7
BLOCK_ROWS: Final = 1 << 16
QUERIES: Final = 1_000
STORED: Final = Path(__file__).with_name("made_vectors.npz")
TOPICS: Final = 1 << 14
_ATOMS: Final = 2_048
_NOISE_RANK: Final = 6
_THEMES: Final = 64
_CHUNK_ROWS: Final = 2_048
_HELD_OUT: Final = (1 << 31) - 1  # number of a block that no set is long enough to have
_HELD_OUT_STEP: Final = 40  # rows drawn for one that is kept, so that it has a document of its own
_DEFAULT_PARAGRAPHS: Final = 9_000


@dataclass(frozen=True, slots=True)
class Model:
    """What is known of the real vectors.

    Attributes:
        mean: float32 [dim].
        axes: float32 [dim, dim], orthonormal rows: principal axes by falling variance.
        between: float32 [dim], variance between documents along each axis.
        within: float32 [dim], variance within documents.
        lengths: float32 [quantiles], paragraphs of a document, at evenly spaced quantiles.
        questions: float32 [n, dim], vectors of real questions.
        topics: Share of `between` that is between topics.
        rank: Directions of a topic, of its documents and as many of its passages.
        tail: Standard deviation of the logarithm of a passage's scale.
        noise: Share of `within` that goes in all directions.
        zipf: Exponent of the topics' law.
        themes: Share of what is between topics that is between themes, each of many topics.
    """

    mean: np.ndarray
    axes: np.ndarray
    between: np.ndarray
    within: np.ndarray
    lengths: np.ndarray
    questions: np.ndarray
    topics: float = 0.8
    rank: int = 16
    tail: float = 0.15
    noise: float = 0.2
    zipf: float = 0.8
    themes: float = 0.5

    def save(self, path: Path, axes: int = 128) -> None:
        """Keep it in at most 200 kB: float16, questions and the first `axes` of the axes as int8."""
        kept = {name: getattr(self, name).astype(np.float16) for name in _SPECTRA}
        kept |= {name: np.array(getattr(self, name)) for name in KNOBS}
        kept |= {"axes": _quantised(self.axes[:axes]), "questions": _quantised(self.questions)}
        np.savez_compressed(path, allow_pickle=False, **kept)

    @classmethod
    def load(cls, path: Path = STORED) -> Self:
        """Read what :meth:`save` wrote; the axes that were left out become arbitrary ones."""
        with np.load(path, allow_pickle=False) as saved:
            spectra = {name: saved[name].astype(np.float32) for name in _SPECTRA}
            knobs = {name: saved[name].item() for name in KNOBS}
            questions = saved["questions"].astype(np.float32)
            axes = _completed(saved["axes"].astype(np.float32))
        questions /= np.linalg.norm(questions, axis=1, keepdims=True)
        return cls(**spectra, **knobs, axes=axes, questions=questions)


_SPECTRA: Final = ("mean", "between", "within", "lengths")
KNOBS: Final = tuple(f.name for f in fields(Model) if f.type in ("int", "float"))


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of whole documents (the last one may be cut).

    Attributes:
        number: Of the block.
        first_row: Row number of its first vector.
        vectors: float32 [rows, dim], unit length.
        documents: int64 [rows], number of the document in the block, ascending from 0.
    """

    number: int
    first_row: int
    vectors: np.ndarray
    documents: np.ndarray


class Maker:
    """Makes vectors of a model.

    Args:
        model: Fitted.
        seed: Another one gives another set of the same kind.
    """

    def __init__(self, model: Model, seed: int = SEED) -> None:
        self.model = model
        self._seed = seed
        rng = np.random.default_rng([seed, _HELD_OUT, 0])
        spread, share = model.between, model.topics
        deviation = np.sqrt(share * spread)
        themes = self._drawn(rng, _THEMES, np.sqrt(model.themes) * deviation)
        self._centres = self._drawn(rng, TOPICS, np.sqrt(1 - model.themes) * deviation)
        self._centres += model.mean + themes[rng.integers(0, _THEMES, TOPICS)]
        self._document_atoms = self._drawn(rng, _ATOMS, np.sqrt((1 - share) * spread))
        self._passage_atoms = self._drawn(rng, _ATOMS, np.sqrt(model.within))
        self._directions = rng.integers(0, _ATOMS, (2, TOPICS, model.rank), dtype=np.int32)
        law = np.arange(1, TOPICS + 1, dtype=np.float64) ** -model.zipf
        self._law = np.cumsum(law / law.sum())

    @classmethod
    def stored(cls, seed: int = SEED) -> Self:
        """Of the model that was fitted and kept."""
        return cls(Model.load(), seed)

    def blocks(self, rows: int) -> Iterator[Block]:
        """`rows` vectors; block i is the same in every set that is long enough."""
        for number in range(-(-rows // BLOCK_ROWS)):
            first = number * BLOCK_ROWS
            yield self.block(number, min(BLOCK_ROWS, rows - first))

    def block(self, number: int, rows: int = BLOCK_ROWS) -> Block:
        """One block, or its first `rows`."""
        vectors, documents = self._made(number, rows)
        return Block(number, number * BLOCK_ROWS, vectors, documents)

    def held_out(self, count: int) -> np.ndarray:
        """Vectors of the same kind, of documents that are in no block, float32 [count, dim]."""
        vectors, _ = self._made(_HELD_OUT, min(BLOCK_ROWS, _HELD_OUT_STEP * count))
        return np.ascontiguousarray(vectors[:: len(vectors) // count][:count])

    def queries(self, count: int = QUERIES) -> dict[str, np.ndarray]:
        """By kind, see vector_set.py."""
        return queries_of(self.held_out(count), self.model.questions)

    def _made(self, number: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
        """The first rows of a block: every array has random numbers of its own, so the first are the first."""
        model, rank = self.model, self.model.rank
        sequence = np.random.SeedSequence([self._seed, number])
        kinds = [np.random.default_rng(child) for child in sequence.spawn(6)]
        documents = self._documents(kinds[0], rows)
        count = int(documents[-1]) + 1
        topic = np.searchsorted(self._law, kinds[1].random(count)).clip(max=TOPICS - 1)
        centre = self._centres[topic]
        weights = _normal(kinds[2], count, rank) / np.float32(np.sqrt(rank))
        centre += _combined(weights, self._directions[0, topic], self._document_atoms)
        # exp(tail * z - tail**2) has mean square 1, so the variance stays what it was.
        scale = np.exp(model.tail * _normal(kinds[3], rows, 1) - model.tail**2)
        weights = _normal(kinds[4], rows, rank + _NOISE_RANK) * scale
        weights[:, :rank] *= np.sqrt((1 - model.noise) / rank)
        weights[:, rank:] *= np.sqrt(model.noise / _NOISE_RANK)
        picked = kinds[5].integers(0, _ATOMS, (rows, rank + _NOISE_RANK), dtype=np.int32)
        picked[:, :rank] = self._directions[1, topic[documents]]
        vectors = np.empty((rows, len(model.mean)), dtype=np.float32)
        for start in range(0, rows, _CHUNK_ROWS):  # small, so that they stay in the cache
            part = slice(start, start + _CHUNK_ROWS)
            drawn = _combined(weights[part], picked[part], self._passage_atoms)
            drawn += centre[documents[part]]
            length = np.sqrt(np.einsum("nd,nd->n", drawn, drawn))
            np.divide(drawn, length[:, None], out=vectors[part])
        return vectors, documents

    def _documents(self, rng: np.random.Generator, rows: int) -> np.ndarray:
        """Number of the document of each row, int64 [rows]."""
        lengths = self.model.lengths
        at = rng.random(rows) * (len(lengths) - 1)
        drawn = np.maximum(1, np.interp(at, np.arange(len(lengths)), lengths).round())
        return np.repeat(np.arange(rows), drawn.astype(np.int64))[:rows]

    def _drawn(self, rng: np.random.Generator, count: int, scale: np.ndarray) -> np.ndarray:
        """Normal vectors with these standard deviations along the axes, float32 [count, dim]."""
        drawn: np.ndarray = (_normal(rng, count, len(scale)) * scale) @ self.model.axes
        return drawn


def _normal(rng: np.random.Generator, count: int, each: int) -> np.ndarray:
    """float32 [count, each], standard normal."""
    return rng.standard_normal((count, each), dtype=np.float32)


def _combined(weights: np.ndarray, directions: np.ndarray, atoms: np.ndarray) -> np.ndarray:
    """``sum_k weights[i, k] * atoms[directions[i, k]]``, float32 [n, dim]."""
    count, rank = weights.shape
    ends = np.arange(0, count * rank + 1, rank, dtype=np.int32)
    shape = (count, len(atoms))
    picked = sparse.csr_array((weights.ravel(), directions.ravel(), ends), shape=shape)
    combined: np.ndarray = picked @ atoms
    return combined


def _quantised(rows: np.ndarray) -> np.ndarray:
    """int8 of the same directions: each row scaled to its largest number."""
    whole: np.ndarray = np.round(rows / np.abs(rows).max(axis=1, keepdims=True) * 127)
    return whole.astype(np.int8)


def _completed(axes: np.ndarray) -> np.ndarray:
    """Orthonormal rows [dim, dim] that begin with about these [n, dim], the rest drawn by a fixed seed."""
    dim = axes.shape[1]
    rest = np.random.default_rng(SEED).standard_normal((dim - len(axes), dim))
    q, r = np.linalg.qr(np.concatenate([axes, rest]).T)
    return np.ascontiguousarray((q * np.sign(np.diag(r))).T, dtype=np.float32)


def queries_of(rows: np.ndarray, questions: np.ndarray) -> dict[str, np.ndarray]:
    """Both kinds, see vector_set.py: rows that are in no set, and questions in words about them."""
    return {"rows": rows, "questions": text_queries(rows, questions, normalised=True).vectors}


def make_set(folder: Path, rows: int, seed: int = SEED) -> None:
    """Write a made set with queries and truth, see vector_set.py."""
    maker = Maker.stored(seed)
    write_set(folder, (block.vectors for block in maker.blocks(rows)), maker.queries())


def main() -> None:
    """Make a set, or compare with real vectors, or fit to them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("set", type=Path, nargs="?", help="folder to write a set to")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--describe", type=Path, help="folder of texts, or an npz of its vectors")
    parser.add_argument("--fit", type=Path, help="the same; the fit replaces the one that is kept")
    parser.add_argument("--paragraphs", type=int, default=_DEFAULT_PARAGRAPHS)
    parser.add_argument("--keep", type=Path, help="npz to keep the vectors of the folder in")
    options = parser.parse_args()
    if options.describe or options.fit:
        _compare(options)
    elif options.set:
        start_s = time.perf_counter()
        make_set(options.set, options.rows, options.seed)
        print(json.dumps({"rows": options.rows, "seconds": time.perf_counter() - start_s}))
    else:
        parser.error("name a folder to write a set to, or --describe or --fit")


def _compare(options: argparse.Namespace) -> None:
    from benchmarks.likeness import describe, fit
    from benchmarks.paragraphs import paragraphs_of

    folder = options.fit or options.describe
    real = paragraphs_of(folder, options.paragraphs, threads=len(os.sched_getaffinity(0)))
    if options.keep:
        real.save(options.keep)
    if options.fit:
        fit(real, note=print).save(STORED)
    print(describe(real, Model.load()))


def with_knobs(model: Model, **knobs: float) -> Model:
    """The model with other knobs."""
    return replace(model, **knobs)  # type: ignore[arg-type]  # the names are those of KNOBS


if __name__ == "__main__":
    main()
