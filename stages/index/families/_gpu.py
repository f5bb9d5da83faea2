"""Moving an index to a GPU, and saying so when faiss did not."""

from __future__ import annotations

from typing import Any

from schemas.errors import ConfigError
from stages.index.families import _faiss


def to_gpu(index: Any) -> Any:
    """A copy of `index` on the first GPU.

    faiss leaves a type that it has no GPU code for on the CPU without a word, so the type that came back is looked at.

    Raises:
        ConfigError: There is no GPU, this faiss was built without, or faiss cannot hold such an index on one.
    """
    faiss = _faiss.library()

    kind = type(index).__name__
    if not faiss.get_num_gpus():
        raise ConfigError(
            f"no GPU for a {kind}: there is none, or this faiss was built without (pip install faiss-gpu)"
        )
    resources = faiss.StandardGpuResources()
    try:
        if isinstance(index, faiss.IndexBinary):
            moved = faiss.index_binary_cpu_to_gpu(resources, 0, index)
        else:
            options = faiss.GpuClonerOptions()
            options.allowCpuCoarseQuantizer = True  # the graph over many centroids stays behind
            moved = faiss.index_cpu_to_gpu(resources, 0, index, options)
    except RuntimeError as error:
        raise ConfigError(f"faiss cannot hold a {kind} on a GPU: {str(error)[-200:]}") from error
    if not type(moved).__name__.startswith("Gpu"):
        raise ConfigError(
            f"faiss cannot hold a {kind} on a GPU: it came back as a {type(moved).__name__}"
        )
    return moved
