"""What a map between two encoders keeps of a full re-embedding, for pairs of real ones.

    python -m benchmarks.upgrade FOLDER --questions QUERIES.jsonl --cache DIR [--pairs minilm:mpnet ...]

The paragraphs of FOLDER are cut as an ingest does it (benchmarks/paragraphs.py) and embedded by each encoder of
benchmarks/upgrade_spaces.py; DIR keeps the vectors. What is nearest is said by exact search in the new space over all
of them, and every line gives recall@10 of that: for paragraphs that are no part of the sample, and for the questions.

- `old encoder`: the old index, asked by its own encoder: what stays without an upgrade.
- `rotation`: queries of the new encoder carried into the old space by orthogonal Procrustes alone.
- `affine`: by what is published: rotation and ridge, chosen on pairs left out.
- `mlp`: by a residual network of two layers (256 hidden, GELU) on top of `affine`, for comparison.
- `old mapped`: the other way round: old vectors carried into the new space, asked by the new encoder.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.paragraphs import document_texts
from benchmarks.upgrade_spaces import ENCODERS
from stages.upgrade.fit import RIDGES, fit_map, least_pairs
from stages.upgrade.measure import recall_at_10

_PARAGRAPHS: Final = 6_000
_A_DOCUMENT: Final = 64
_QUERIES: Final = 500
_SAMPLES: Final = (1_000, 2_000, 4_000)
_PAIRS: Final = (
    "minilm:minilm-int8",
    "minilm:paraphrase-l3",
    "paraphrase-l3:minilm",
    "minilm:mpnet",
    "mpnet:minilm",
    "minilm:minilm-cls",
    "splade-tiny:minilm",
)
_SEED: Final = 7


@dataclass(frozen=True, slots=True)
class Texts:
    """Distinct paragraphs, and questions."""

    paragraphs: list[str]
    questions: list[str]

    @classmethod
    def read(cls, folder: Path, queries: Path, cache: Path, limit: int) -> Texts:
        """Cut once, kept in the cache."""
        kept = cache / f"texts-{limit}.json"
        if not kept.exists():
            found: dict[str, None] = {}
            for paragraphs in document_texts(folder):
                found |= dict.fromkeys(paragraphs[:_A_DOCUMENT])
                if len(found) >= limit:
                    break
            lines = [json.loads(line) for line in queries.read_text("utf-8").splitlines()]
            asked = [line["query"] for line in lines if line.get("modality") in ("text", "page")]
            data = {"paragraphs": list(found)[:limit], "questions": list(dict.fromkeys(asked))}
            kept.write_text(json.dumps(data), "utf-8")
        return cls(**json.loads(kept.read_text("utf-8")))


@dataclass(frozen=True, slots=True)
class Space:
    """float32 [n, dim] of the paragraphs, and [q, dim] of the questions."""

    rows: np.ndarray
    questions: np.ndarray

    @classmethod
    def of(cls, name: str, texts: Texts, cache: Path) -> Space:
        """Embedded once, kept in the cache."""
        kept = cache / f"{name}-{len(texts.paragraphs)}.npz"
        if not kept.exists():
            started_s = time.monotonic()
            encode = ENCODERS[name](cache)
            rows, questions = encode(texts.paragraphs), encode(texts.questions)
            np.savez(kept, rows=rows, questions=questions)
            print(f"{name}: {time.monotonic() - started_s:.0f} s", file=sys.stderr)
        with np.load(kept, allow_pickle=False) as saved:
            return cls(saved["rows"], saved["questions"])


def compare(old: Space, new: Space, sample: int) -> list[tuple[str, float, float, float, int]]:
    """(what, recall@10 of paragraphs, of questions, seconds to fit, bytes) of each way."""
    order = np.random.default_rng(_SEED).permutation(len(new.rows))
    fit, asking = order[:sample], order[sample:][:_QUERIES]
    none = np.full(len(new.questions), -1)

    def told(what: str, asked: Any, rows: np.ndarray, fit_s: float, size: int) -> Any:
        own = recall_at_10((new.rows[asking], new.rows), (asked[0], rows), asking)
        questions = recall_at_10((new.questions, new.rows), (asked[1], rows), none)
        return (what, own, questions, fit_s, size)

    lines = [told("old encoder", (old.rows[asking], old.questions), old.rows, 0.0, 0)]
    for what, ridges in (("rotation", (np.inf,)), ("affine", RIDGES)):
        started_s = time.monotonic()
        fitted = fit_map(new.rows[fit], old.rows[fit], ridges=ridges)
        fit_s = time.monotonic() - started_s
        asked = [fitted.map.apply(v) for v in (new.rows[asking], new.questions)]
        label = what if what == "rotation" else f"affine (ridge {fitted.ridge:g})"
        lines.append(told(label, asked, old.rows, fit_s, len(fitted.map.to_bytes())))
    started_s = time.monotonic()
    network = residual_network(fitted.map.apply(new.rows[fit]), new.rows[fit], old.rows[fit])
    fit_s = time.monotonic() - started_s
    asked = [network(fitted.map.apply(v), v) for v in (new.rows[asking], new.questions)]
    size = 4 * 256 * (new.rows.shape[1] + old.rows.shape[1])
    lines.append(told("mlp", asked, old.rows, fit_s, size))
    started_s = time.monotonic()
    back = fit_map(old.rows[fit], new.rows[fit])
    fit_s = time.monotonic() - started_s
    asked = (new.rows[asking], new.questions)
    lines.append(
        told("old mapped", asked, back.map.apply(old.rows), fit_s, len(back.map.to_bytes()))
    )
    return lines


def residual_network(mapped: np.ndarray, vectors: np.ndarray, others: np.ndarray) -> Any:
    """``normalised(mapped + MLP(vectors))``, trained by AdamW on the cosine, early stopped on a fifth."""
    import torch

    torch.manual_seed(_SEED)
    given, start, wanted = (torch.from_numpy(a) for a in (vectors, mapped, others))
    network = torch.nn.Sequential(
        torch.nn.Linear(given.shape[1], 256), torch.nn.GELU(), torch.nn.Linear(256, wanted.shape[1])
    )
    torch.nn.init.zeros_(network[2].weight)
    torch.nn.init.zeros_(network[2].bias)
    order = torch.randperm(len(given))
    left_out, rest = order[: len(order) // 5], order[len(order) // 5 :]
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.01)
    best, kept, worse = -1.0, {k: v.clone() for k, v in network.state_dict().items()}, 0
    while worse < 5:
        for some in rest[torch.randperm(len(rest))].split(128):
            loss = -torch.cosine_similarity(start[some] + network(given[some]), wanted[some]).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        with torch.no_grad():
            found = start[left_out] + network(given[left_out])
            score = float(torch.cosine_similarity(found, wanted[left_out]).mean())
        worse = 0 if score > best + 1e-5 else worse + 1
        if not worse:
            best, kept = score, {k: v.clone() for k, v in network.state_dict().items()}
    network.load_state_dict(kept)

    def apply(start: np.ndarray, given: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            found = start + network(torch.from_numpy(given)).numpy()
        return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), dtype=np.float32)

    return apply


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--questions", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--paragraphs", type=int, default=_PARAGRAPHS)
    parser.add_argument("--pairs", nargs="+", default=_PAIRS, metavar="OLD:NEW")
    parser.add_argument("--samples", nargs="+", type=int, default=_SAMPLES)
    args = parser.parse_args()
    args.cache.mkdir(parents=True, exist_ok=True)
    texts = Texts.read(args.folder, args.questions, args.cache, args.paragraphs)
    print(f"{len(texts.paragraphs)} paragraphs, {len(texts.questions)} questions\n")
    print("| old | new | sample | way | paragraphs | questions | fit, s | bytes |")
    print("|---|---|---|---|---|---|---|---|")
    for pair in args.pairs:
        names = pair.split(":")
        old, new = (Space.of(name, texts, args.cache) for name in names)
        for sample in args.samples:
            if sample < least_pairs(new.rows.shape[1], old.rows.shape[1]):
                continue
            for what, own, questions, fit_s, size in compare(old, new, sample):
                cells = (
                    *names,
                    sample,
                    what,
                    f"{own:.3f}",
                    f"{questions:.3f}",
                    f"{fit_s:.1f}",
                    size,
                )
                print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
