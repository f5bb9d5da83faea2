"""What the ImageNet-1k classes are called, and what they are."""

from __future__ import annotations

import csv
from importlib.resources import files
from typing import Final

from schemas.errors import ContractError
from schemas.ids import digest

_FILE: Final = "imagenet_labels.csv"
# Of the file above, checked when it is read.
LABELS_DIGEST: Final = "2e234a69fc5cca1f48a71776ff9458f8"
N_LABELS: Final = 1000


def label_texts() -> tuple[str, ...]:
    """One text a class, in order of the class index: ``tench, Tinca tinca: freshwater dace-like game fish ...``.

    Raises:
        ContractError: The file is not the one that was pinned.
    """
    data = files("stages.embed").joinpath(_FILE).read_bytes()
    if (found := digest(data)) != LABELS_DIGEST:
        raise ContractError(
            f"{_FILE} has digest {found}, expected {LABELS_DIGEST}: install gristmill again"
        )
    lines = [line for line in data.decode("utf-8").splitlines() if not line.startswith("#")]
    return tuple(f"{row['lemmas']}: {row['definition']}" for row in csv.DictReader(lines))
