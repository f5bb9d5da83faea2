"""Our throughput as a share of the bare limit, for text and for video, in one run.

The bare limit is a plain loop in one process: the same decoder, the same recognisers, the same weights, as many
threads as the pipeline has workers, batches sorted by length, vectors written to one Parquet file. It keeps nothing
safe, knows no second file format and loses everything when it is killed. One process does not use two cores as well
as two do, so a second, harder limit is shown: the loop on one thread, divided by the number of cores.

Models are loaded and warm on both sides before the clock starts; the first run's extra seconds are shown apart.
Rounds alternate (bare, ours, bare, ours...), and medians are compared, because machines drift.

    python -m benchmarks.throughput [text] [video] [--rounds N] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.bare import BareText, BareVideo
from benchmarks.corpus import make_text_corpus, make_video_corpus
from benchmarks.ours import Ours

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS: dict[str, tuple[Callable[[Path, int], None], type[BareText | BareVideo]]] = {
    "text": (make_text_corpus, BareText),
    "video": (make_video_corpus, BareVideo),
}


def measure(kind: str, rounds: int, folder: Path) -> dict[str, Any]:
    """Alternate bare and ours over fresh corpora of equal make."""
    make, bare_class = KINDS[kind]
    for i in range(rounds + 1):
        make(folder / f"{kind}-{i}", i)
    ideal_s = _ideal(bare_class, folder / f"{kind}-0", folder / f"{kind}-1")
    bare = bare_class()
    bare.run(folder / f"{kind}-0", folder / "bare-warm.parquet")
    rows = []
    with Ours(folder / f"{kind}-lake") as ours:
        first_s, _ = _timed(lambda: ours.run(folder / f"{kind}-0"))
        for i in range(1, rounds + 1):
            corpus = folder / f"{kind}-{i}"
            bare_s, vectors = _timed(lambda c=corpus: bare.run(c, folder / "bare.parquet"))
            ours_s, balance = _timed(lambda c=corpus: ours.run(c))
            rows.append(
                {
                    "bare_s": bare_s,
                    "ours_s": ours_s,
                    "share": bare_s / ours_s,
                    "bare_vectors": vectors,
                    "our_vectors": sum(balance.vectors.values()) + sum(balance.reused.values()),
                    "stages": {
                        name: {"items": s.items, "busy_s": s.seconds, "idle_s": s.wait_seconds}
                        for name, s in balance.stages.items()
                    },
                    "driver": ours.driver_seconds,
                }
            )
    ours_s = statistics.median(row["ours_s"] for row in rows)
    return {
        "kind": kind,
        "share": statistics.median(row["share"] for row in rows),
        "bare_s": statistics.median(row["bare_s"] for row in rows),
        "ours_s": ours_s,
        "ideal_s": ideal_s,
        "share_of_ideal": ideal_s / ours_s,
        "startup_s": first_s - ours_s,
        "rounds": rows,
    }


def _ideal(bare_class: type[BareText | BareVideo], warm: Path, corpus: Path) -> float:
    """Seconds of the bare loop on one thread, divided by the number of cores."""
    bare = bare_class(threads=1)
    bare.run(warm, warm.parent / "ideal.parquet")
    seconds, _ = _timed(lambda: bare.run(corpus, warm.parent / "ideal.parquet"))
    return seconds / len(os.sched_getaffinity(0))


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def show(result: dict[str, Any]) -> None:
    """The share, and where the rest goes."""
    print(f"\n{result['kind']}: {result['share']:.2f} of the bare limit")
    print(f"  bare loop {result['bare_s']:.1f} s, gristmill {result['ours_s']:.1f} s (medians)")
    print(
        f"  one-thread loop divided by cores {result['ideal_s']:.1f} s:"
        f" {result['share_of_ideal']:.2f} of that"
    )
    print(f"  start of engine and models, once: {result['startup_s']:.1f} s (in no share)")
    for i, row in enumerate(result["rounds"], 1):
        print(
            f"  round {i}: bare {row['bare_s']:.2f} s, {row['bare_vectors']} vectors;"
            f" ours {row['ours_s']:.2f} s, {row['our_vectors']} vectors; share {row['share']:.2f}"
        )
        for name, stage in row["stages"].items():
            if stage["items"]:
                print(
                    f"    {name:<10} {stage['items']:>6} items  busy {stage['busy_s']:6.2f} s"
                    f"  idle {stage['idle_s']:6.2f} s"
                )
        spent = "  ".join(f"{name} {seconds:.2f} s" for name, seconds in row["driver"].items())
        print(f"    driver     {spent}")


def main() -> None:
    """Run what was named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, []], help="default: all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gristmill-bench-") as folder:
        results = [
            measure(kind, options.rounds, Path(folder)) for kind in (options.kinds or list(KINDS))
        ]
    if options.json:
        print(json.dumps(results))
        return
    for result in results:
        show(result)


if __name__ == "__main__":
    main()
