"""Our side of the comparison: `gristmill index` over a lake that has the vectors, then the built snapshot, searched.

The build is the public command in a process of its own (it starts Ray, reads the lake, plans, trains, builds,
validates, tunes and writes a snapshot), watched from outside. The search is the public one of a serving team:
`OpenSnapshot.neighbours`, files mapped from disk, fan-out over segments, tombstones and rescoring included.

    python -m benchmarks.ours_side SET LAKE --serve-bytes N --build-bytes N --threads N
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.lake_of_vectors import row_of
from benchmarks.vector_set import TARGET, K, Searcher, VectorSet, best_points, measure
from flows.memory import TreeWatch
from infra.lake import Lake
from schemas.manifest import Manifest

if TYPE_CHECKING:
    from benchmarks.vector_set import Point
    from flows.memory import Used
    from schemas.manifest import IndexManifest
    from stages.index.snapshot import OpenSnapshot

_ROOT: Final = Path(__file__).parents[1]
_SAMPLE_S: Final = 0.25
_BUILT: Final = ("segments", "snapshots", "building")
_FILES: Final = ("index.faiss", "full.npy", "rows.arrow")


@dataclass(frozen=True, slots=True)
class Built:
    """What `gristmill index` gave.

    Attributes:
        seconds: Of the whole command, start of Python and of Ray included.
        used: By its processes.
        manifest: Of the snapshot.
    """

    seconds: float
    used: Used
    manifest: Manifest


def index_lake(lake: str, *, serve_bytes: int, build_bytes: int, workers: int) -> Built:
    """Run `gristmill index` in a process of its own. It exits with its own message if the command fails.

    Args:
        lake: Path of the lake. What was built there before is removed: it would be found and not built again.
        serve_bytes: `indexing.serve_memory_bytes`.
        build_bytes: `indexing.build_memory_bytes`.
        workers: `engine.workers`.
    """
    for built in _BUILT:
        shutil.rmtree(Path(lake) / built, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="gristmill-bench-") as folder:
        config = Path(folder) / "config.toml"
        config.write_text(
            f"[engine]\nworkers = {workers}\n[indexing]\nserve_memory_bytes = {serve_bytes}\n"
            f"build_memory_bytes = {build_bytes}\nrecall_at_10 = {TARGET}\n",
            encoding="utf-8",
        )
        command = [sys.executable, "-m", "flows.cli", "index", "--lake", lake]
        start_s = time.perf_counter()
        with (
            (Path(folder) / "out").open("w+", encoding="utf-8") as out,
            subprocess.Popen(
                [*command, "--config", str(config), "--json"],
                stdout=out,
                cwd=_ROOT,
                env=os.environ | {"PYTHONPATH": str(_ROOT)},
            ) as process,
        ):
            with TreeWatch(process.pid, _SAMPLE_S) as watch:
                code = process.wait()
            seconds = time.perf_counter() - start_s
            out.seek(0)
            said = out.read()
        if code:
            sys.exit(
                f"gristmill index on {lake} exited with {code}; its own lines above say why\n{said}"
            )
    return Built(seconds, watch.used, Manifest.from_json(said))


def scan_s(lake: str, space: str) -> float:
    """Seconds to read every vector of a space once and keep none: what a lake costs that .npy files do not."""
    import pyarrow.dataset as ds

    start_s = time.perf_counter()
    files = ds.dataset(f"{lake}/tables/embeddings/{space}", format="parquet", partitioning="hive")
    for _ in files.scanner(columns=["input_hash", "vector"]).to_batches():
        pass
    return time.perf_counter() - start_s


def file_bytes(entry: IndexManifest) -> dict[str, int]:
    """Bytes of an index by kind of file; what is served from memory is ``index.faiss``."""
    sizes = dict.fromkeys(_FILES, 0)
    for segment in entry.segments:
        for ref in segment.files:
            name = ref.key.rpartition("/")[2]
            sizes[name] = sizes.get(name, 0) + ref.size_bytes
    return sizes


def searched(lake: str, manifest: Manifest, vectors: VectorSet, threads: int) -> list[Point]:
    """Points at the search parameters that the builder chose, then at every other one it measured."""
    from stages.index.snapshot import OpenSnapshot

    blobs = Lake.open(lake, create=False).blobs
    (entry,) = manifest.indexes
    choices = [
        entry.search,
        *(point.search for point in entry.curve if point.search != entry.search),
    ]
    points = []
    with ThreadPoolExecutor(threads) as pool:
        for search in choices:
            chosen = replace(manifest, indexes=(replace(entry, search=search),))
            snapshot = OpenSnapshot.open(chosen, blobs.local_path)
            points.append(measure(vectors, search, _searcher(snapshot, pool, threads)))
    return points


def _searcher(snapshot: OpenSnapshot, pool: ThreadPoolExecutor, threads: int) -> Searcher:
    import faiss

    faiss.omp_set_num_threads(1)  # a search uses the thread that calls it
    ((partition, space),) = snapshot.indexes
    names = [s.rows.column("unit_id") for s in snapshot.segments(partition, space)]

    def single(asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = snapshot.neighbours(partition, space, asked, K)
        return found.segment, found.row

    def batch(asked: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        return list(pool.map(single, np.array_split(asked, threads)))

    def rows_of(found: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        segment, row = (np.concatenate(parts) for parts in zip(*found, strict=True))
        pairs = zip(segment.ravel().tolist(), row.ravel().tolist(), strict=True)
        rows = [row_of(names[s][r].as_py()) if r >= 0 else -1 for s, r in pairs]
        return np.array(rows, dtype=np.int64).reshape(segment.shape)

    return Searcher(batch, single, rows_of)


def result(lake: str, built: Built, vectors: VectorSet, threads: int) -> dict[str, Any]:
    """Everything as plain values; keys as of autofaiss' side where they mean the same."""
    (entry,) = built.manifest.indexes
    points = searched(lake, built.manifest, vectors, threads)
    sizes = file_bytes(entry)
    return {
        "build_s": built.seconds,
        "scan_s": scan_s(lake, entry.space),
        "peak_bytes": built.used.largest_bytes,
        "peak_name": built.used.largest_name,
        "tree_bytes": built.used.tree_bytes,
        "cpu_s": built.used.cpu_s,
        "index_bytes": sizes["index.faiss"],
        "mapped_bytes": sizes["full.npy"],
        "chosen": f"{entry.family} {entry.parameters}",
        "segments": len(entry.segments),
        "own_search": entry.search,
        "own": asdict(points[0]),
        "best": best_points(points),
        "curve": [asdict(point) for point in points],
    }


def main() -> None:
    """Index a lake and measure the snapshot."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("set", type=Path, help="set with the same vectors, see vector_set.py")
    parser.add_argument("lake", help="made by benchmarks.lake_of_vectors")
    parser.add_argument("--serve-bytes", type=int, default=600_000_000)
    parser.add_argument("--build-bytes", type=int, default=4 << 30)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    built = index_lake(
        options.lake,
        serve_bytes=options.serve_bytes,
        build_bytes=options.build_bytes,
        workers=options.threads,
    )
    print(json.dumps(result(options.lake, built, VectorSet(options.set), options.threads)))


if __name__ == "__main__":
    main()
