"""Speech models by configuration: which model of this machine is meant, and which class reads with it.

To add a family: a row in READERS, a class with `transcribe` and `reads`, a tiny model in tests/tiny_speech.py with a
row in tests/contracts/test_speech_readers.py.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol

from schemas.errors import ConfigError, ContractError
from stages.embed.licences import licence_of, warn
from stages.embed.loading import quiet
from stages.embed.models import find_model, named, read_json
from stages.recognise.speech_models import SPEECH_MODELS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from schemas.speech_config import SpeechConfig
    from stages.recognise.transcript import Speech

# model_type of the model's own configuration -> "module:class" that takes a contract and threads.
READERS: Final[dict[str, str]] = {
    "whisper": "stages.recognise.speech_whisper:TransformersWhisper",
    "parakeet_ctc": "stages.recognise.speech_parakeet:ParakeetCtc",
    "parakeet_rnnt": "stages.recognise.speech_parakeet:ParakeetTransducer",
    "parakeet_tdt": "stages.recognise.speech_parakeet:ParakeetTransducer",
}
_VOCABULARY: Final = ("tokenizer.json", "added_tokens.json", "vocab.json")


class Reader(Protocol):
    """Writes down what is said."""

    @property
    def reads(self) -> str:
        """Which languages it can read, for people."""

    def transcribe(self, samples: NDArray[np.int16]) -> Speech:
        """Words with their times, of int16 [n], mono at 16 kHz."""


@dataclass(frozen=True, slots=True)
class SpeechContract:
    """A configured speech model of this machine, and all that its words depend on.

    Attributes:
        name: In the configuration.
        family: Key of READERS.
        model: ``org/name``, or the name of its folder.
        revision: Its commit, or a digest of what is beside the weights.
        weights_digest: SHA-256 of the weights.
        dtype: What it computes in.
        language: Code of the one that is spoken; empty for whatever is.
        licence: Of the weights; words do not depend on it.
        location: Absolute path of its folder, if it was named by that; words do not depend on it.
        weights_bytes: Size of the weights' files; words do not depend on it.
    """

    name: str
    family: str
    model: str
    revision: str
    weights_digest: str
    dtype: str
    language: str
    licence: str
    location: str
    weights_bytes: int

    def identity(self) -> dict[str, str]:
        """What words depend on."""
        beside = ("name", "model", "licence", "location", "weights_bytes")
        return {key: value for key, value in asdict(self).items() if key not in beside}


def speech_contract(name: str, configured: Mapping[str, SpeechConfig]) -> SpeechContract | None:
    """The configured speech model of a name, with the files on this machine; loads no weights.

    Args:
        name: ``recognition.speech_model``.
        configured: ``[speech.NAME]`` of the configuration.

    Returns:
        None for a name that is not configured: that of a model that comes with gristmill, or a folder.

    Raises:
        MissingExtraError: The model is not on this machine; says how to fetch it.
        ConfigError: It is of no family that is read here, or does not know the language; names the key.
    """
    if name not in configured:
        return None
    if name in SPEECH_MODELS:
        raise ConfigError(f"speech.{name}: a model of that name comes with gristmill; rename it")
    wish = configured[name]
    model, location = named(wish.model)
    found = find_model(model, wish.revision, location)
    family = str(read_json(found.folder / "config.json").get("model_type", ""))
    if family not in READERS:
        raise ConfigError(
            f"speech.{name}.model = {wish.model!r} is of the kind {family!r}; there are readers for"
            f" {', '.join(READERS)}"
        )
    if family == "whisper" and wish.language and not _knows(found.folder, wish.language):
        raise ConfigError(
            f"speech.{name}.language = {wish.language!r}: {wish.model} has no token for it; leave it out to have the"
            " model tell the language"
        )
    return SpeechContract(
        name=name,
        family=family,
        model=model,
        revision=found.revision,
        weights_digest=found.weights_digest,
        dtype=wish.dtype,
        language=wish.language,
        licence=wish.licence or licence_of(found.folder),
        location=location,
        weights_bytes=sum(path.stat().st_size for path in found.folder.glob("*.safetensors")),
    )


def make_reader(contract: SpeechContract, threads: int) -> Reader:
    """The reader of a configured model, its weights loaded.

    Raises:
        MissingExtraError: The model is not on this machine; says how to fetch it.
        ContractError: Its files are not those of the contract, or cannot be loaded.
    """
    module, _, name = READERS[contract.family].partition(":")
    reader: Reader = getattr(import_module(module), name)(contract, threads)
    return reader


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model where it computes, in evaluation, with what prepares its sound and writes its text."""

    model: Any
    extractor: Any
    tokenizer: Any

    def placed(self, features: Any) -> Any:
        """A tensor where the model is; numbers in its type."""
        moved = features.to(self.model.device)
        return moved.to(self.model.dtype) if moved.is_floating_point() else moved


def load(contract: SpeechContract, auto_class: str) -> Loaded:
    """The model of a contract.

    Args:
        contract: Names and pins it.
        auto_class: ``AutoModelFor...`` of transformers.

    Raises:
        MissingExtraError: The model is not on this machine; says how to fetch it.
        ContractError: Its files are not those of the contract, or cannot be loaded.
    """
    import torch
    import transformers

    from stages.embed.device import compute_device

    found = find_model(contract.model, contract.revision, contract.location)
    if (found.revision, found.weights_digest) != (contract.revision, contract.weights_digest):
        raise ContractError(
            f"speech.{contract.name}: {found.folder} has {found.revision}, weights {found.weights_digest}; the run"
            f" began with {contract.revision}, weights {contract.weights_digest}. Start it again"
        )
    warn(f"speech.{contract.name}", contract.model, contract.licence)
    folder = str(found.folder)
    with quiet(folder):
        model = getattr(transformers, auto_class).from_pretrained(
            folder,
            dtype=getattr(torch, contract.dtype),
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
        )
        extractor = transformers.AutoFeatureExtractor.from_pretrained(folder, local_files_only=True)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return Loaded(model.to(compute_device()).eval(), extractor, tokenizer)


def _knows(folder: Path, language: str) -> bool:
    files = [folder / name for name in _VOCABULARY if (folder / name).is_file()]
    return any(f'"<|{language}|>"' in path.read_text(encoding="utf-8") for path in files)
