"""How like real vectors made ones are, in numbers, and the fit that makes them so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.vectors import KNOBS, Maker, Model, with_knobs

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.paragraphs import Paragraphs

_NEAR: Final = 20  # neighbours that local dimension is estimated from
_K: Final = 10
_QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
_AXES: Final = (32, 64, 128)
_SHARES: Final = (0.03, 0.1, 0.3)  # of the lists, probed
_CLUSTER_ROWS: Final = 40  # rows a list, on average
_LENGTHS: Final = 41  # quantiles of document lengths that are kept
# Where the fit starts, and what it tries of each knob, in this order, twice.
_GRID: Final[dict[str, tuple[float, ...]]] = {
    "topics": (0.65, 0.8, 0.9),
    "themes": (0.0, 0.3, 0.5, 0.7),
    "rank": (8, 12, 16, 24),
    "tail": (0.0, 0.15, 0.3, 0.45),
    "noise": (0.05, 0.1, 0.2, 0.4),
    "zipf": (0.4, 0.6, 0.8, 1.0),
}
_ROUNDS: Final = 2


@dataclass(frozen=True, slots=True)
class Likeness:
    """Numbers of a set.

    Attributes:
        first, tenth: Cosine to the 1st and to the 10th nearest neighbour at _QUANTILES.
        anyone: Standard deviation of the cosine of two rows drawn at random.
        explained: Share of the variance in the first _AXES principal axes.
        dimension: Local intrinsic dimension, the median of the maximum-likelihood estimates from 20 neighbours
            (Levina and Bickel 2004).
        hubness: Skew of how often a row is among the 10 nearest of another (Radovanovic et al. 2010).
        imbalance: Of the lists of a k-means with 40 rows a list: n * sum(size**2) / rows**2, 1 if all are equal.
        ivf: recall@10 of exact vectors in the nearest lists, by share of lists probed.
        questions: The same for questions in words, which lie apart from all rows.
    """

    first: tuple[float, ...]
    tenth: tuple[float, ...]
    anyone: float
    explained: tuple[float, ...]
    dimension: float
    hubness: float
    imbalance: float
    ivf: tuple[float, ...]
    questions: tuple[float, ...] = ()

    def lines(self) -> list[tuple[str, float]]:
        """(name, number) of each."""
        return [
            *(
                (f"cosine of nearest, {q:.0%}", v)
                for q, v in zip(_QUANTILES, self.first, strict=True)
            ),
            *((f"cosine of 10th, {q:.0%}", v) for q, v in zip(_QUANTILES, self.tenth, strict=True)),
            ("cosine of any two, deviation", self.anyone),
            *((f"variance in {n} axes", v) for n, v in zip(_AXES, self.explained, strict=True)),
            ("local dimension", self.dimension),
            ("hubness (skew)", self.hubness),
            ("imbalance of lists", self.imbalance),
            *((f"IVF recall, {s:.0%} probed", v) for s, v in zip(_SHARES, self.ivf, strict=True)),
            *(
                (f"IVF recall of questions, {s:.0%} probed", v)
                for s, v in zip(_SHARES, self.questions, strict=False)
            ),
        ]

    def distance(self, other: Likeness) -> float:
        """What the fit makes small: differences of cosines and recalls, and of the logarithms of the rest."""
        cosines = np.abs(np.subtract(self.first + self.tenth, other.first + other.tenth)).mean()
        recalls = np.abs(np.subtract(self.ivf, other.ivf)).mean()
        scales = [
            abs(np.log(getattr(self, name) / getattr(other, name)))
            for name in ("dimension", "hubness", "imbalance")
        ]
        return float(cosines + 0.5 * recalls + 0.1 * np.mean(scales))


def likeness(vectors: np.ndarray, questions: np.ndarray | None = None) -> Likeness:
    """Numbers of float32 [n, dim], each row against all others, and of questions, if there are any."""
    import faiss

    similarity, near = faiss.knn(vectors, vectors, _NEAR + 1, metric=faiss.METRIC_INNER_PRODUCT)
    similarity, near = _without_self(similarity, near)
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, len(vectors), (2, 20_000))
    anyone = np.einsum("nd,nd->n", vectors[one], vectors[other])
    variance = np.linalg.eigvalsh(np.cov(vectors.T))[::-1]
    imbalance, ivf, asked = _ivf(vectors, near[:, :_K], questions)
    return Likeness(
        first=tuple(np.quantile(similarity[:, 0], _QUANTILES).tolist()),
        tenth=tuple(np.quantile(similarity[:, _K - 1], _QUANTILES).tolist()),
        anyone=float(anyone.std()),
        explained=tuple(float(variance[:n].sum() / variance.sum()) for n in _AXES),
        dimension=_local_dimension(similarity),
        hubness=_skew(np.bincount(near[:, :_K].ravel(), minlength=len(vectors))),
        imbalance=imbalance,
        ivf=ivf,
        questions=asked,
    )


def _without_self(similarity: np.ndarray, near: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Drop each row itself, or the last neighbour where copies pushed it out."""
    mine = near == np.arange(len(near))[:, None]
    mine[~mine.any(axis=1), -1] = True
    shape = (len(near), near.shape[1] - 1)
    return similarity[~mine].reshape(shape), near[~mine].reshape(shape)


def _local_dimension(similarity: np.ndarray) -> float:
    distance = np.sqrt(np.maximum(2 - 2 * similarity, 1e-6))
    logs = np.log(distance[:, -1:] / distance[:, :-1]).mean(axis=1)
    return float(1 / np.median(logs))


def _skew(counts: np.ndarray) -> float:
    centred = counts - counts.mean()
    return float((centred**3).mean() / (centred**2).mean() ** 1.5)


def _ivf(
    vectors: np.ndarray, near: np.ndarray, questions: np.ndarray | None
) -> tuple[float, tuple[float, ...], tuple[float, ...]]:
    """Imbalance of the lists, and recalls by share probed: of neighbours whose list is among those probed."""
    import faiss

    count = len(vectors) // _CLUSTER_ROWS
    means = faiss.Kmeans(vectors.shape[1], count, niter=10, seed=1, spherical=True)
    means.train(vectors)
    centroids = np.asarray(means.centroids)
    ranks = _list_ranks(vectors, centroids)
    home = ranks.argmin(axis=1)
    sizes = np.bincount(home, minlength=count).astype(np.float64)

    def recalls(ranks: np.ndarray, near: np.ndarray) -> tuple[float, ...]:
        rank = np.take_along_axis(ranks, home[near], axis=1)
        return tuple(float((rank < max(1, round(s * count))).mean()) for s in _SHARES)

    imbalance = float(count * (sizes**2).sum() / sizes.sum() ** 2)
    if questions is None:
        return imbalance, recalls(ranks, near), ()
    nearest = faiss.knn(questions, vectors, _K, metric=faiss.METRIC_INNER_PRODUCT)[1]
    asked = recalls(_list_ranks(questions, centroids), nearest)
    return imbalance, recalls(ranks, near), asked


def _list_ranks(asked: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """int64 [n, lists]: in which place each list would be probed."""
    ranks: np.ndarray = np.argsort(np.argsort(-asked @ centroids.T, axis=1, kind="stable"), axis=1)
    return ranks


def fit(real: Paragraphs, *, note: Callable[[str], None]) -> Model:
    """The model of real vectors: moments by formula, the knobs by trying."""
    model = _moments(real)
    target = likeness(real.vectors)
    best = _distance(model, target, len(real.vectors))
    for _ in range(_ROUNDS):
        before = model
        for name, values in _GRID.items():
            for value in values:
                if value == getattr(model, name):
                    continue
                tried = with_knobs(model, **{name: value})
                distance = _distance(tried, target, len(real.vectors))
                if distance < best:
                    best, model = distance, tried
            note(f"{name} = {getattr(model, name)}: distance {best:.4f}")
        if model is before:
            break
    return model


def _distance(model: Model, target: Likeness, rows: int) -> float:
    return likeness(made(model, rows)).distance(target)


def made(model: Model, rows: int) -> np.ndarray:
    """Made vectors, as many as there are real ones."""
    return np.concatenate([block.vectors for block in Maker(model).blocks(rows)])


def _moments(real: Paragraphs) -> Model:
    """Mean, axes, variances and document lengths."""
    vectors, documents = real.vectors, np.unique(real.documents, return_inverse=True)[1]
    mean = vectors.mean(axis=0)
    variance, axes = np.linalg.eigh(np.cov(vectors.T))
    variance, axes = variance[::-1], np.ascontiguousarray(axes.T[::-1], dtype=np.float32)
    along = (vectors - mean) @ axes.T
    sizes = np.bincount(documents)
    centres = np.zeros((len(sizes), len(mean)))
    np.add.at(centres, documents, along)
    centres /= sizes[:, None]
    freedom = len(vectors) - len(sizes)
    within = ((along - centres[documents]) ** 2).sum(axis=0) / freedom
    variance = np.maximum(variance, variance.max() * 1e-6)
    between = np.maximum(variance - within, 0.05 * variance)
    total = (1 - float(mean @ mean)) / (between + within).sum()  # so that E|x|^2 = 1
    return Model(
        mean=mean,
        axes=axes,
        between=(between * total).astype(np.float32),
        within=(within * total).astype(np.float32),
        lengths=np.quantile(sizes, np.linspace(0, 1, _LENGTHS)).astype(np.float32),
        questions=real.questions,
    )


def describe(real: Paragraphs, model: Model) -> str:
    """A table: one half of the real documents, the other half, and as many made vectors."""
    _, documents = np.unique(real.documents, return_inverse=True)
    half = np.random.default_rng(0).permutation(documents.max() + 1) % 2 == 0
    mine = half[documents]
    one, other = real.vectors[mine], real.vectors[~mine]
    parts = (one, other, made(model, len(one)))
    columns = [likeness(part, real.questions) for part in parts]
    knobs = ", ".join(f"{name} {getattr(model, name)}" for name in KNOBS)
    lines = [
        f"{len(real.vectors)} paragraphs of {documents.max() + 1} documents; made with {knobs}",
        "",
        "| | real | real, other half | made |",
        "|---|---:|---:|---:|",
    ]
    for row in zip(*(column.lines() for column in columns), strict=True):
        numbers = " | ".join(f"{value:.3f}" for _, value in row)
        lines.append(f"| {row[0][0]} | {numbers} |")
    return "\n".join(lines)
