"""Texts as a model's own preprocessing gives them, each at its own length, to be put into passes of fixed shapes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stages.embed.fixed_shapes import Padding, Pass, padded, passes, valid_unicode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import torch

    from schemas.space import SpaceContract
    from stages.embed.fixed_shapes import Shapes

_IDS: Final = "input_ids"
_MASK: Final = "attention_mask"


@dataclass(frozen=True, slots=True)
class TokenRows:
    """Texts as rows of tokens.

    Attributes:
        ids: Of each text, int64 [n_tokens].
        others: Further features with a value for each token (token types), by name and text.
        rest: Features of the whole (which modality, how long the prompt is).
        padding: As the model's tokeniser pads.
    """

    ids: list[torch.Tensor]
    others: dict[str, list[torch.Tensor]]
    rest: dict[str, Any]
    padding: Padding

    def passes(self, shapes: Shapes) -> Iterator[Pass]:
        """In which to compute them."""
        return passes([len(row) for row in self.ids], shapes)

    def features(self, at: Pass) -> dict[str, Any]:
        """What a model is given in a pass."""
        ids, mask = padded([self.ids[i].tolist() for i in at.members], at, self.padding)
        found: dict[str, Any] = {**self.rest, _IDS: ids, _MASK: mask}
        zeros = self.padding._replace(token=0)
        for name, rows in self.others.items():
            found[name] = padded([rows[i].tolist() for i in at.members], at, zeros)[0]
        return found


def token_rows(model: Any, texts: Sequence[str], contract: SpaceContract, task: str) -> TokenRows:
    """Tokenise texts as a sentence-transformers model does, its prompt before them, cut at the contract's length.

    Args:
        model: Loaded.
        texts: At least one.
        contract: Whose prompts and `max_tokens` hold.
        task: ``query`` or ``document``.
    """
    prompt = contract.query_prompt if task == "query" else contract.document_prompt
    cut = {"padding": True, "truncation": True, "max_length": contract.max_tokens}
    features = model.preprocess(
        [valid_unicode(text) for text in texts],
        prompt=prompt or None,
        task=task,
        processing_kwargs={"text": cut},
    )
    return split_rows(features, model.tokenizer)


def split_rows(features: Mapping[str, Any], tokeniser: Any) -> TokenRows:
    """Features of several texts, padded to the longest, as rows at each one's own length."""
    import torch

    features = dict(features)
    ids, mask = features.pop(_IDS), features.pop(_MASK).bool()
    wide = {
        name: features.pop(name)
        for name in list(features)
        if isinstance(features[name], torch.Tensor) and features[name].shape == ids.shape
    }
    return TokenRows(
        [row[kept] for row, kept in zip(ids, mask, strict=True)],
        {name: [r[m] for r, m in zip(rows, mask, strict=True)] for name, rows in wide.items()},
        features,
        Padding(tokeniser.pad_token_id or 0, tokeniser.padding_side == "left"),
    )


def one_row(row: int, length: int) -> Pass:
    """A pass for one text at its own length: what a question is embedded in, so that it does not wait for company."""
    return Pass([row], 1, length)
