"""How long a run with nothing to do takes to find that out, as a multiple of merely looking at every file.

python -m benchmarks.planning [--files 50000]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from flows.listing import hash_files, list_sources
from flows.plan import make_plan
from flows.rows import BatchRows
from infra.lake import Lake, SourceFacts

if TYPE_CHECKING:
    from collections.abc import Callable

FINGERPRINT = "fingerprint"
SPACES = ("minilm-0", "conse-0")
_PER_FOLDER = 500


def make_files(root: Path, count: int) -> None:
    """Small files, old enough for their times to be trusted."""
    for number in range(count):
        folder = root / f"{number // _PER_FOLDER:05}"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{number:07}.txt"
        path.write_text(f"file {number}")
        os.utime(path, (1_700_000_000, 1_700_000_000 + number))


def make_lake(url: Path, root: Path) -> Lake:
    """A lake that has all of them complete, in batches as an ingest makes them."""
    lake = Lake.open(str(url), create=True)
    files = [file for file, _ in hash_files(list_sources([str(root)]).files)]
    with lake.writer("bench"):
        for number, start in enumerate(range(0, len(files), 5_000)):
            rows = BatchRows(f"bench-{number:06}", "bench", FINGERPRINT)
            for file in files[start : start + 5_000]:
                rows.add_path(file, "indexed", SourceFacts("text/plain", "", (), 0))
                rows.add_complete(file.source_id, SPACES)
            lake.commit(rows.seal(), run_id="bench")
    return lake


def bare(root: Path) -> int:
    """Look at every file once."""
    return sum(
        os.stat(os.path.join(folder, name)).st_size >= 0  # noqa: PTH116, PTH118  # the quickest there is
        for folder, _, names in os.walk(root)
        for name in names
    )


def timed(work: Callable[[], object]) -> tuple[float, object]:
    """Seconds, and what came of it."""
    start_s = time.perf_counter()
    result = work()
    return time.perf_counter() - start_s, result


def main() -> None:
    """Measure and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=50_000)
    count = parser.parse_args().files
    with tempfile.TemporaryDirectory(prefix="gristmill-plan-") as folder:
        root = Path(folder) / "files"
        make_files(root, count)
        lake = make_lake(Path(folder) / "lake", root)
        bare(root)
        bare_s, _ = timed(lambda: bare(root))
        listing_s, listing = timed(lambda: list_sources([str(root)]))
        state_s, state = timed(lake.state)
        compare_s, plan = timed(lambda: make_plan(listing, state, FINGERPRINT, SPACES))
        total_s = listing_s + state_s + compare_s
        print(
            json.dumps(
                {
                    "files": count,
                    "unchanged": plan.unchanged,
                    "to_do": len(plan.decode) + len(plan.relink) + len(plan.refresh),
                    "bare_walk_s": round(bare_s, 3),
                    "listing_s": round(listing_s, 3),
                    "state_s": round(state_s, 3),
                    "compare_s": round(compare_s, 3),
                    "total_s": round(total_s, 3),
                    "times_bare_walk": round(total_s / bare_s, 1),
                }
            )
        )


if __name__ == "__main__":
    main()
