"""One pass through a model, wherever it computes: what goes there, what comes back, and what does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import torch

_OUTPUTS: Final = ("token_embeddings", "sentence_embedding")  # of a transformer module


def float_heads(model: Any) -> None:
    """Have what comes after a model's transformer (pooling, dense layers, L2) computed in float32."""

    def widen(_module: Any, _inputs: Any, out: dict[str, Any]) -> dict[str, Any]:
        wide = {k: v.float() for k, v in out.items() if k in _OUTPUTS}
        return {**out, **wide}

    transformer, *heads = model
    transformer.register_forward_hook(widen)
    for head in heads:
        head.float()


def forward(
    model: Any, features: Mapping[str, Any], threads: int, task: str | None = None
) -> dict[str, Any]:
    """What a sentence-transformers model makes of features; tensors stay where the model is.

    Args:
        model: As it was loaded.
        features: Tensors of one pass, wherever they are.
        threads: Compute threads.
        task: ``query`` or ``document``, for models that tell them apart.

    Raises:
        torch.OutOfMemoryError: As :func:`computed` does.
    """
    known = {"task": task} if task else {}
    return computed(lambda placed: model(placed, **known), features, model.device, threads)


def computed(
    compute: Callable[[dict[str, Any]], dict[str, Any]],
    features: Mapping[str, Any],
    device: torch.device,
    threads: int,
) -> dict[str, Any]:
    """What a model makes of features; tensors stay where it is.

    A GPU goes on while the next pass is made ready: nothing here waits for it. A pass that it has no memory for is
    halved, and halved again.

    Args:
        compute: Makes outputs of features, both with one row for each input.
        features: Tensors of one pass, wherever they are.
        device: Where the model is, and `compute` is given them.
        threads: Compute threads.

    Raises:
        torch.OutOfMemoryError: There is no memory for one row, or rows cannot be told apart.
    """
    import torch

    torch.set_num_threads(threads)
    with torch.inference_mode():
        return _within_memory(compute, dict(features), device)


def sentences(out: Mapping[str, Any], count: int) -> torch.Tensor:
    """The vectors of the first so many rows of a pass, [count, dim], where the model is."""
    vectors: torch.Tensor = out["sentence_embedding"][:count]
    return vectors


def on_host(vectors: torch.Tensor) -> np.ndarray:
    """Vectors as float32; waits until they are there."""
    found: np.ndarray = vectors.float().cpu().numpy()
    return found


def all_on_host(parts: Sequence[torch.Tensor]) -> np.ndarray:
    """The vectors of passes under way, one after the other; waits for all of them when all are on their way."""
    return np.concatenate([on_host(part) for part in parts])


def _within_memory(
    compute: Callable[[dict[str, Any]], dict[str, Any]],
    features: dict[str, Any],
    device: torch.device,
) -> dict[str, Any]:
    import torch

    try:
        out = compute(_where(device, features))
    except torch.OutOfMemoryError:
        rows = _rows(features)
        if rows < 2:
            raise
    else:
        return out
    # Not in the handler, where the traceback holds what the pass had taken.
    torch.cuda.empty_cache()
    parts = (slice(rows // 2), slice(rows // 2, None))
    halves = [_within_memory(compute, _cut(features, rows, part), device) for part in parts]
    return {name: _joined([half[name] for half in halves]) for name in halves[0]}


def _where(device: torch.device, features: dict[str, Any]) -> dict[str, Any]:
    """Features on a device; to a GPU from pinned memory, which it copies from by itself."""
    import torch

    def moved(value: torch.Tensor) -> torch.Tensor:
        if device.type == "cuda" and value.device.type == "cpu":
            return value.pin_memory().to(device, non_blocking=True)
        return value.to(device)

    return {k: moved(v) if isinstance(v, torch.Tensor) else v for k, v in features.items()}


def _rows(features: Mapping[str, Any]) -> int:
    """Rows of a pass; 0 where its tensors do not have the same number of them (patches of all pictures in one)."""
    import torch

    counts = {len(v) if v.ndim else 0 for v in features.values() if isinstance(v, torch.Tensor)}
    return counts.pop() if len(counts) == 1 else 0


def _cut(features: Mapping[str, Any], rows: int, part: slice) -> dict[str, Any]:
    import torch

    return {
        k: v[part] if isinstance(v, torch.Tensor) or (isinstance(v, list) and len(v) == rows) else v
        for k, v in features.items()
    }


def _joined(parts: list[Any]) -> Any:
    import torch

    if isinstance(parts[0], torch.Tensor):
        return torch.cat(parts)
    return [row for part in parts for row in part] if isinstance(parts[0], list) else parts[0]
