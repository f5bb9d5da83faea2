"""Names of the ImageNet-1k classes."""

from __future__ import annotations

import csv
from importlib.resources import files
from typing import Final

from schemas.errors import ContractError
from schemas.ids import digest

_FILE: Final = "imagenet_labels.csv"
LABELS_DIGEST: Final = (
    "8c986906ab994c9f874a6ada32e5947a"  # of the file below, checked when it is read
)
N_LABELS: Final = 1000


def label_names() -> list[tuple[str, ...]]:
    """Per class, in order of the class index, its WordNet lemmas, the most usual first.

    Raises:
        ContractError: The file is not the one that was pinned.
    """
    data = files("stages.embed").joinpath(_FILE).read_bytes()
    if (found := digest(data)) != LABELS_DIGEST:
        raise ContractError(f"{_FILE} has digest {found}, expected {LABELS_DIGEST}")
    lines = [line for line in data.decode("utf-8").splitlines() if not line.startswith("#")]
    rows = list(csv.DictReader(lines))
    return [tuple(row["lemmas"].split("; ")) for row in rows]
