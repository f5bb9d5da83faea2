"""What a model's files say of it, read without loading its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from schemas.errors import ConfigError, ContractError
from stages.embed.models import read_json

if TYPE_CHECKING:
    from pathlib import Path

_POOLING_MODES: Final = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_LONGEST: Final = 1 << 20  # tokenisers without a limit state an enormous one


@dataclass(frozen=True, slots=True)
class Facts:
    """What a model's files fix.

    Attributes:
        dim: Length of its vectors, before any truncation.
        pooling: How tokens or frames become one vector; empty where that is open.
        max_tokens: Longest text it has positions for; 0 if it does not say.
        query_prompt: Put before a question.
        document_prompt: Put before a document.
    """

    dim: int
    pooling: str = ""
    max_tokens: int = 0
    query_prompt: str = ""
    document_prompt: str = ""


def modules_of(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """The modules of a sentence-transformers model: (class name, its configuration), in order; none of a bare model."""
    return [(kind, read_json(folder / place / "config.json")) for kind, place in listed(folder)]


def listed(folder: Path) -> list[tuple[str, str]]:
    """The same as (class name, folder inside the model's): empty for the model's own."""
    modules = folder / "modules.json"
    if not modules.is_file():
        return []
    import json

    found = json.loads(modules.read_text(encoding="utf-8"))
    return [(str(module["type"]).rpartition(".")[2], str(module["path"])) for module in found]


def pooling_of(modules: list[tuple[str, dict[str, Any]]]) -> str:
    """What the Pooling module does: ``mean``, or several joined by a plus sign; empty without one."""
    for kind, config in modules:
        if kind == "Pooling":
            mode = config.get("pooling_mode")
            if mode is None:
                mode = [name for key, name in _POOLING_MODES.items() if config.get(key)]
            return mode if isinstance(mode, str) else "+".join(mode)
    return ""


def width_of(modules: list[tuple[str, dict[str, Any]]]) -> int:
    """Length of the vectors that leave the modules; 0 if only the transformer knows."""
    width = 0
    for kind, config in modules:
        if kind == "Pooling":
            width = int(config.get("embedding_dimension") or config["word_embedding_dimension"])
            width *= 1 + pooling_of(modules).count("+")
        elif kind == "Dense":
            width = int(config["out_features"])
    return width


def prompts_of(folder: Path) -> tuple[str, str]:
    """What the model wants before a question and before a document."""
    prompts = read_json(folder / "config_sentence_transformers.json").get("prompts") or {}
    document = next((prompts[k] for k in ("document", "passage") if prompts.get(k)), "")
    return prompts.get("query") or "", document


def config_of(folder: Path, *, remote_code: bool = False) -> Any:
    """The model's configuration with all defaults filled in, a transformers PretrainedConfig.

    Raises:
        ConfigError: transformers does not know its kind, or it needs code of its own.
    """
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=remote_code
        )
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{folder}: transformers cannot read this model: {error}") from error


def longest_text(folder: Path, config: Any) -> int:
    """The most tokens that the model has positions for, or its tokeniser allows; 0 if neither says."""
    text = getattr(config, "text_config", config)
    limits = [
        read_json(folder / "sentence_bert_config.json").get("max_seq_length"),
        read_json(folder / "tokenizer_config.json").get("model_max_length"),
        getattr(text, "max_position_embeddings", None),
    ]
    known = [int(limit) for limit in limits if limit and 0 < limit < _LONGEST]
    return min(known, default=0)


def projection_of(config: Any) -> int:
    """Length of the vectors in the space that a dual encoder's towers share.

    Raises:
        ContractError: Its configuration does not say.
    """
    text = getattr(config, "text_config", None)
    for place, name in (
        (config, "projection_dim"),
        (text, "projection_size"),
        (text, "hidden_size"),
    ):
        if value := getattr(place, name, None):
            return int(value)
    raise ContractError(f"a {config.model_type} model does not say how long its vectors are")
