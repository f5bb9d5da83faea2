"""Models by name: where on this machine their files are, and which bytes those are. Nothing here reaches the network.

A model is a folder, or a repository in the cache of Hugging Face. Only safetensors are loaded: nothing is unpickled.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final, NamedTuple

from schemas.errors import ConfigError, ContractError, MissingExtraError
from schemas.ids import digest, digest_chunks, digest_file
from stages.embed.digests import cached_digest

MODELS_VARIABLE: Final = "GRISTMILL_MODELS"
_WEIGHTS: Final = "*.safetensors"
_MODULES: Final = "[0-9]*_*"  # folders of the modules of a sentence-transformers model
_PICKLED: Final = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt")
_SETTINGS: Final = (".json", ".txt", ".model", ".jinja", ".py")
_COMMIT_CHARS: Final = 40


class Found(NamedTuple):
    """A model on this machine.

    Attributes:
        folder: Its files.
        revision: Its commit, or a digest of what is beside the weights.
        weights_digest: SHA-256 of the weights; of several files, over their names and digests (64 hex characters).
    """

    folder: Path
    revision: str
    weights_digest: str


def named(model: str) -> tuple[str, str]:
    """What a configuration calls a model, as (name, location): the location of a folder is its absolute path."""
    if model.startswith((".", "/", "~")):
        folder = Path(model).expanduser().resolve()
        return folder.name, str(folder)
    return model, ""


def find_model(model: str, revision: str = "", location: str = "", onnx: str = "") -> Found:
    """A model's files on this machine.

    Looked for in this order: the location; the model's name under each folder of GRISTMILL_MODELS; the cache of
    Hugging Face.

    Args:
        model: Its name, such as ``org/name``.
        revision: Commit, tag or branch in the cache; empty for ``main``.
        location: A folder that need not be there.
        onnx: The file in it that is computed in place of its safetensors.

    Raises:
        MissingExtraError: It is nowhere; says how to fetch it.
        ConfigError: It has no safetensors, or not that file.
    """
    folders = [
        Path(root) / model for root in os.environ.get(MODELS_VARIABLE, "").split(":") if root
    ]
    places = ([Path(location)] if location else []) + folders
    folder = next((place for place in places if place.is_dir()), None)
    if folder is None:
        folder = cached_folder(model, revision, location)
    if onnx:
        files = _graph_files(folder, onnx)
    else:
        _refuse_pickled(folder)
        files = _weight_files(folder)
    commit = folder.name if _is_commit(folder) else f"files {_settings_digest(folder)}"
    return Found(folder, commit, _weights_digest(folder, files))


def read_json(path: Path) -> dict[str, Any]:
    """A file of a model; empty if it is not there.

    Raises:
        ContractError: It is no JSON object.
    """
    if not path.is_file():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ContractError(f"{path} is no JSON: {error}; fetch the model again") from error
    if not isinstance(values, dict):
        raise ContractError(f"{path} is no JSON object; fetch the model again")
    return values


def _is_commit(folder: Path) -> bool:
    return folder.parent.name == "snapshots" and len(folder.name) == _COMMIT_CHARS


def cached_folder(model: str, revision: str = "", location: str = "") -> Path:
    """The files of a model in the cache of Hugging Face.

    Args:
        model: ``org/name``.
        revision: Commit, tag or branch; empty for ``main``.
        location: Where it was looked for before, for the message.

    Raises:
        MissingExtraError: It is not there; says how to fetch it.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    commit = revision if not revision.startswith("files ") else ""
    try:
        return Path(snapshot_download(model, revision=commit or None, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError) as error:
        at = f" --revision {commit}" if commit else ""
        there = f" is not at {location} (any more), and" if location else ""
        raise MissingExtraError(
            f"the model {model}{there} is not on this machine: `hf download {model}{at}` fetches it from Hugging Face,"
            f" or put its folder into one that {MODELS_VARIABLE} names"
        ) from error


def _refuse_pickled(folder: Path) -> None:
    """Every folder with weights must have them as safetensors, or a loader would fall back to pickles."""
    for place in [folder, *sorted(folder.glob(_MODULES))]:
        pickled = [path.name for pattern in _PICKLED for path in sorted(place.glob(pattern))]
        if pickled and not list(place.glob(_WEIGHTS)):
            raise ConfigError(
                f"{place} has its weights only as {pickled[0]}, a format that can run code: take a revision with"
                " safetensors, or convert it"
            )
    if not _weight_files(folder):
        raise ConfigError(f"{folder} has no weights: no file there ends in .safetensors")


def _weight_files(folder: Path) -> list[Path]:
    return sorted([*folder.glob(_WEIGHTS), *folder.glob(f"{_MODULES}/{_WEIGHTS}")])


def _graph_files(folder: Path, onnx: str) -> list[Path]:
    """An ONNX file, and the one beside it that large models keep their weights in."""
    path = folder / onnx
    inside = not Path(onnx).is_absolute() and ".." not in Path(onnx).parts
    if path.suffix != ".onnx" or not inside or not path.is_file():
        there = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.onnx"))
        raise ConfigError(
            f"{folder} has no ONNX file {onnx!r}; it has {', '.join(there) or 'none'}"
        )
    weights = path.with_name(f"{path.name}_data")
    return [path, weights] if weights.is_file() else [path]


def _weights_digest(folder: Path, files: list[Path]) -> str:
    digests = [cached_digest(path) for path in files]
    if len(files) == 1:
        return digests[0]
    return digest_chunks(
        f"{path.relative_to(folder).as_posix()} {sha}\n".encode()
        for path, sha in zip(files, digests, strict=True)
    )


def _settings_digest(folder: Path) -> str:
    """Of the files beside the weights, which say how inputs become numbers: 12 hex characters."""
    files = sorted(p for p in folder.rglob("*") if p.suffix in _SETTINGS and p.is_file())
    return digest(*(f"{p.relative_to(folder).as_posix()} {digest_file(p)}" for p in files))[:12]
