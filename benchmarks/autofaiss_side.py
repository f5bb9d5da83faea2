"""autofaiss on a set of vectors, as its README says: one call of `build_index` with the two memory limits.

It needs faiss-cpu 1.8, numpy 1.26 and pyarrow below 20, so it has an environment of its own, which
:func:`environment` makes; there this file runs as a program and prints one JSON document.

    python -m benchmarks.autofaiss_side SET --environment DIR --serve-bytes N --build-bytes N --threads N

- build: the whole call: reading .npy files, choosing, training, adding, its own tuning, writing the index.
- peak: VmHWM of this process right after the call.
- queries: at the parameters it chose itself, and over a sweep of its own knobs in its own way of setting them
  (external/optimize.py: ``nprobe=N,efSearch=2N,ht=2048``, efSearch where lists are found by an HNSW; ht=2048: no
  candidate is cut off by its Hamming distance).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.vector_set import K, Searcher, VectorSet, best_points, measure

if TYPE_CHECKING:
    import numpy as np

    from benchmarks.vector_set import Point

# The newest that install and run together; autofaiss 2.18.0 itself asks for numpy below 2 and does not name packaging.
REQUIREMENTS: Final = (
    "autofaiss==2.18.0",
    "faiss-cpu==1.8.0",
    "numpy==1.26.4",
    "pyarrow==19.0.1",
    "packaging",
)
_PYTHON: Final = "python3.11"  # faiss-cpu 1.8.0 has wheels up to it
_ENOUGH_RECALL: Final = 0.995
_STALE: Final = 4  # steps, which are two doublings
_LEAST_GAIN: Final = 0.001  # in as many steps: what remains is lost in the codes
_MOST_PROBES: Final = 2048


def environment(folder: Path) -> Path:
    """The interpreter of a virtual environment with REQUIREMENTS, made if it is not there."""
    python = folder / "bin" / "python"
    stamp = folder / "requirements.txt"
    wanted = "\n".join(REQUIREMENTS)
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        subprocess.run([_PYTHON, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *REQUIREMENTS], check=True)
        stamp.write_text(wanted, encoding="utf-8")
    return python


def command(python: Path, folder: Path, budgets: tuple[int, int], threads: int) -> list[str]:
    """The command line that runs this side on a set: (serve, build) bytes at most."""
    return [
        *(str(python), "-m", "benchmarks.autofaiss_side", str(folder)),
        *("--serve-bytes", str(budgets[0]), "--build-bytes", str(budgets[1])),
        *("--threads", str(threads)),
    ]


def build(folder: Path, out: Path, options: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """The index, and what building it took."""
    import faiss
    from autofaiss import build_index  # type: ignore[import-not-found]  # only in its own environment

    start_s, cpu_s = time.perf_counter(), time.process_time()
    index, infos = build_index(
        embeddings=str(folder / "parts"),
        index_path=str(out),
        index_infos_path=str(out.with_suffix(".json")),
        max_index_memory_usage=f"{options.serve_bytes}B",
        current_memory_available=f"{options.build_bytes}B",
        metric_type="ip",
        nb_cores=options.threads,
    )
    seconds, cpu_s = time.perf_counter() - start_s, time.process_time() - cpu_s
    if index is None or infos is None:
        sys.exit("autofaiss built nothing; its own lines above say why")
    return index, {
        "build_s": seconds,
        "cpu_s": cpu_s,
        "peak_bytes": _peak_bytes(),
        "index_bytes": out.stat().st_size,
        "chosen": infos["index_key"],
        "own_search": infos["index_param"],
        "faiss": faiss.__version__,
    }


def sweep(index: Any, vectors: VectorSet, own: str, threads: int) -> list[Point]:
    """Points at its own choice first, then along its own knob until nothing more is gained."""
    points = [_point(index, vectors, own, threads)]
    recalls: list[float] = []
    for text in _choices(index):
        points.append(_point(index, vectors, text, threads))
        found = points[-1].recall_at_10.values()
        recalls.append(sum(found))
        stale = len(recalls) > _STALE and recalls[-1] - recalls[-1 - _STALE] < _LEAST_GAIN
        if min(found) > _ENOUGH_RECALL or stale:
            break
    return points


def _choices(index: Any) -> list[str]:
    import faiss

    steps = sorted({2**i for i in range(12)} | {3 * 2**i for i in range(10)})
    if isinstance(faiss.downcast_index(index), faiss.IndexHNSW):
        return [f"efSearch={value}" for value in steps if value >= K]
    ivf = faiss.extract_index_ivf(index)
    probes = [value for value in steps if value <= min(_MOST_PROBES, ivf.nlist)]
    if isinstance(faiss.downcast_index(index), faiss.IndexIVFFlat):
        return [f"nprobe={value}" for value in probes]
    if isinstance(faiss.downcast_index(ivf.quantizer), faiss.IndexHNSW):
        return [f"nprobe={value},efSearch={2 * value},ht=2048" for value in probes]
    return [f"nprobe={value},ht=2048" for value in probes]


def _point(index: Any, vectors: VectorSet, text: str, threads: int) -> Point:
    import faiss

    faiss.ParameterSpace().set_index_parameters(index, text)  # type: ignore[arg-type]  # overloaded in C++

    def on(threads: int, asked: np.ndarray) -> np.ndarray:
        faiss.omp_set_num_threads(threads)
        rows: np.ndarray = index.search(asked, K)[1]
        return rows

    searcher = Searcher(lambda q: on(threads, q), lambda q: on(1, q), lambda rows: rows)
    return measure(vectors, text, searcher)


def _peak_bytes() -> int:
    """VmHWM: the most memory that was ever resident in this process."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) << 10


def main() -> None:
    """In the environment: build and measure. Outside of it: make it, and go on there."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument(
        "folder", type=Path, help="made by benchmarks.vectors or benchmarks.indexing"
    )
    parser.add_argument("--environment", type=Path, help="where the environment is or goes")
    parser.add_argument("--serve-bytes", type=int, default=600_000_000)
    parser.add_argument("--build-bytes", type=int, default=4 << 30)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    if options.environment:
        python = environment(options.environment)
        budgets = (options.serve_bytes, options.build_bytes)
        sys.exit(
            subprocess.run(command(python, options.folder, budgets, options.threads)).returncode
        )
    index, result = build(options.folder, options.folder / "autofaiss.index", options)
    points = sweep(index, VectorSet(options.folder), result["own_search"], options.threads)
    result |= {"own": asdict(points[0]), "best": best_points(points)}
    result["curve"] = [asdict(point) for point in points]
    print(json.dumps(result))


if __name__ == "__main__":
    main()
