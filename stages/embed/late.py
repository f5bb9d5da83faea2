"""Late interaction by sentence-transformers' MultiVectorEncoder: a vector for each token of a text or patch of a page.

Texts: the ColBERT family (Khattab and Zaharia 2020, arXiv 2004.12832). Pages: ColPali (Faysse et al. 2024,
arXiv 2407.01449), ColQwen2 and ColModernVBERT, which take a picture of the whole page.
"""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from schemas.errors import ConfigError
from schemas.space import TokenVectors
from stages.embed.adapters import Facts, config_of, longest_text, modules_of, prompts_of, width_of
from stages.embed.check import check_stacks
from stages.embed.fixed_shapes import filled, frame_passes, space_rows, valid_unicode
from stages.embed.forward import forward
from stages.embed.loading import load_model
from stages.embed.token_rows import token_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from schemas.space import SpaceContract

_TEXT: Final = 0
_PICTURE: Final = 1


def facts(folder: Path, remote_code: bool) -> Facts:
    """What the files of a late-interaction model fix.

    Raises:
        ConfigError: It is a bare transformer: sentence-transformers would put random weights behind it.
    """
    modules = modules_of(folder)
    config = config_of(folder, remote_code=remote_code)
    trained = any(str(name).endswith("ForRetrieval") for name in config.architectures or ())
    if not modules and not trained:
        raise ConfigError(
            f"{folder} is no late-interaction model: it has no modules of sentence-transformers and its class,"
            f" {', '.join(config.architectures or ('unknown',))}, is none for retrieval"
        )
    query, document = prompts_of(folder)
    return Facts(
        dim=width_of(modules) or int(config.embedding_dim),
        pooling="none",
        max_tokens=longest_text(folder, config),
        query_prompt=query,
        document_prompt=document,
    )


class _MultiVector:
    """What texts and pages share: loading, and questions."""

    def __init__(self, contract: SpaceContract) -> None:
        self.contract = contract

    def encode_queries(self, texts: Sequence[str]) -> list[TokenVectors]:
        """Embed questions one by one, expanded with mask tokens where the model was trained so."""
        found = []
        for text in texts:
            features = self._question(valid_unicode(text))
            found += self._vectors(self._forward(features, "query"), 1)
        return found

    def _question(self, text: str) -> Mapping[str, Any]:
        prompt = self.contract.query_prompt or None
        features: Mapping[str, Any] = self._model.preprocess([text], prompt=prompt, task="query")
        return features

    def _forward(self, features: Mapping[str, Any], task: str) -> dict[str, Any]:
        return forward(self._model, features, self.contract.threads, task)

    def _vectors(self, out: Mapping[str, Any], count: int) -> list[TokenVectors]:
        """Of the first so many rows of a pass: the tokens that the model wants compared."""
        vectors = out["token_embeddings"][:count].float().cpu().numpy()
        masks = out["attention_mask"][:count].bool().cpu().numpy()
        ids = out["input_ids"][:count].cpu().numpy()
        found = []
        for row, mask, tokens in zip(vectors, masks, ids, strict=True):
            kept = (
                mask if mask.any() else np.arange(len(mask)) == 0
            )  # a text of nothing but stop words
            kinds = np.where(tokens[kept] == self._picture_token, _PICTURE, _TEXT)
            found.append(TokenVectors(space_rows(row[kept], self.contract), kinds.astype(np.int32)))
        return found

    @cached_property
    def _picture_token(self) -> int:
        """Id of the token that stands for a patch; -1 for a model of texts."""
        found = getattr(self._model.processor, "image_token_id", None)
        if found is None:
            found = getattr(self._model.config, "image_token_id", None)
        return -1 if found is None else int(found)

    @cached_property
    def _model(self) -> Any:
        return load_model("MultiVectorEncoder", self.contract)


class LateText(_MultiVector):
    """Embeds texts to a vector for each token, in passes of fixed shapes.

    Attributes:
        contract: Of this space.
    """

    def encode(self, inputs: Sequence[str]) -> list[TokenVectors]:
        """Embed documents, each to float32 [n_tokens, dim] of norm 1; tokens that the model skips are left out.

        Raises:
            ContractError: The model cannot be loaded.
        """
        if not inputs:
            return []
        rows = token_rows(self._model, inputs, self.contract, "document")
        found: dict[int, TokenVectors] = {}
        for at in rows.passes(self.contract):
            out = self._forward(rows.features(at), "document")
            found.update(zip(at.members, self._vectors(out, len(at.members)), strict=True))
        return [found[i] for i in range(len(inputs))]


class LatePage(_MultiVector):
    """Embeds pictures of pages to a vector for each patch, in passes of a fixed number of pages.

    Attributes:
        contract: Of this space.
    """

    def encode(self, inputs: Sequence[np.ndarray]) -> list[TokenVectors]:
        """Embed stacks of frames; those of several frames have the vectors of one after the other.

        Args:
            inputs: uint8 [n_frames, frame_size, frame_size, 3] each (RGB); n_frames may differ, at least 1.

        Returns:
            float32 [n_patches, dim] of norm 1 each; tokens around the picture are of the kind text.

        Raises:
            ContractError: A stack has another shape or type, or the model cannot be loaded.
        """
        check_stacks(inputs, self.contract)
        pages = self._pages([frame for stack in inputs for frame in stack])
        ends = np.cumsum([0, *(len(stack) for stack in inputs)])
        return [_joined(pages[a:b]) for a, b in pairwise(ends)]

    def _question(self, text: str) -> Mapping[str, Any]:
        if not self._prepares:
            return super()._question(text)
        prepared = self._model.processor.process_queries([self.contract.query_prompt + text])
        return {**prepared, "modality": "text"}

    def _pictures(self, pictures: Sequence[Any]) -> Mapping[str, Any]:
        if self._prepares:
            return {**self._model.processor.process_images(pictures), "modality": "image"}
        features: Mapping[str, Any] = self._model.preprocess(pictures, task="document")
        return features

    @property
    def _prepares(self) -> bool:
        """Whether the processor knows pages and questions apart, as those of ``...ForRetrieval`` models do.

        sentence-transformers calls them like any other, and ColModernVBERT's then leaves out the prompt around a
        picture and the tokens that a question is augmented with.
        """
        return hasattr(self._model.processor, "process_images")

    def _pages(self, frames: Sequence[np.ndarray]) -> list[TokenVectors]:
        from PIL import Image

        found = []
        for at in frame_passes(len(frames), self.contract.batch_frames):
            batch = [Image.fromarray(frame) for frame in frames[at]]
            features = self._pictures(filled(batch, self.contract.batch_frames))
            found += self._vectors(self._forward(features, "document"), len(batch))
        return found


def _joined(pages: Sequence[TokenVectors]) -> TokenVectors:
    return TokenVectors(
        np.concatenate([page.vectors for page in pages]),
        np.concatenate([page.kinds for page in pages]),
    )
