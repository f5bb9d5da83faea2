"""What the contract suites of index families share: vectors, indexes on disk, recall."""

from pathlib import Path

import numpy as np

from stages.index.families import FAMILIES, IndexFamily, family

DIM = 48
NAMES = tuple(FAMILIES)
TRAINED = tuple(name for name in NAMES if FAMILIES[name].trains)
LISTS = tuple(name for name in NAMES if name.startswith("ivf"))
EUCLIDEAN = tuple(name for name in NAMES if name != "binary")
METRICS = tuple((name, "inner_product") for name in NAMES) + tuple((n, "l2") for n in EUCLIDEAN)
PARAMETERS = {"nlist": 16, "m": 16}
# Candidates taken for each hit when the test ranks again by the vectors themselves; 48 signs say little.
RESCORE = {name: 12 if FAMILIES[name].rescores else 1 for name in NAMES} | {"binary": 40}


def clustered(rows: int, *, seed: int = 0, topics: int = 40, dim: int = DIM) -> np.ndarray:
    """Topics of uneven size, spread with a falling spectrum, as encoders give them; unit length."""
    rng = np.random.default_rng(99)
    scale = np.arange(1, dim + 1) ** -0.5
    turn = np.linalg.qr(rng.standard_normal((dim, dim)))[0]
    centres = rng.standard_normal((topics, dim)) * scale
    rng = np.random.default_rng(seed)
    topic = rng.zipf(1.5, rows) % topics
    vectors = (centres[topic] + 0.6 * rng.standard_normal((rows, dim)) * scale) @ turn
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def bitmap(mask: np.ndarray) -> np.ndarray:
    return np.packbits(mask, bitorder="little")


def everything(chosen: IndexFamily, rows: int, parameters=PARAMETERS) -> dict[str, int]:
    return {knob.name: knob.largest for knob in chosen.knobs(rows, parameters)}


def opened(name, vectors, folder, *, metric="inner_product", trained=None, parameters=PARAMETERS):
    chosen = family(name)
    if trained is None:
        trained = chosen.train(vectors, metric, parameters)
    path = Path(folder) / f"{name}-{metric}-{len(vectors)}.faiss"
    chosen.build(vectors, trained, metric, parameters).tofile(path)
    return chosen, chosen.open(path), path


def similarities(queries: np.ndarray, vectors: np.ndarray, metric: str) -> np.ndarray:
    if metric == "inner_product":
        return queries @ vectors.T
    return -((queries[:, None].astype(np.float64) - vectors[None]) ** 2).sum(axis=2)


def recall(chosen, index, queries, vectors, search, metric="inner_product") -> float:
    truth = similarities(queries, vectors, metric)
    nearest = np.argsort(-truth, axis=1)[:, :10]
    candidates = 10 * RESCORE[chosen.name]
    _, ids = chosen.search(index, queries, candidates, search)
    right = 0
    for query, row in enumerate(ids):
        row = row[row >= 0]
        best = row[np.argsort(-truth[query, row])][:10] if chosen.rescores else row
        right += len(set(best.tolist()) & set(nearest[query].tolist()))
    return right / nearest.size
