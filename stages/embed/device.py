"""Where an encoder computes."""

from __future__ import annotations


def compute_device() -> str:
    """``cuda`` if this process may use a GPU, else ``cpu``.

    An executor that gave the process no GPU hides them all (Ray sets CUDA_VISIBLE_DEVICES), so what was declared is
    what is used.
    """
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
