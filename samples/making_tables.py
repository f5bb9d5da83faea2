"""The tables of the sample corpus: a harvest book and a bird count, invented, from fixed seeds."""

from __future__ import annotations

import csv
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Years that the other documents of the corpus tell about.
_REMARKS = {
    1893: "spring drought, pond nearly dry",
    1899: "new silk for the bolter",
    1903: "summer floods, barley lost",
    1909: "",
    1914: "two sons gone to the war",
    1917: "price fixed by the government",
    1921: "driest year on record",
    1925: "feed only, no more white flour",
}
_POOR_YEARS = {1893: 0.55, 1903: 0.7, 1921: 0.5}


def write_harvest(path: Path) -> None:
    """36 years of grain ground at the mill; a missing count stays an empty cell."""
    rng = random.Random(1890)  # noqa: S311 - an invented table, nothing secret
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(
            ["year", "wheat_tonnes", "barley_tonnes", "oats_tonnes", "grinding_days", "remark"]
        )
        for year in range(1890, 1926):
            decline = 1 - 0.018 * (year - 1890)
            share = decline * _POOR_YEARS.get(year, 1.0) * rng.uniform(0.9, 1.1)
            oats = "" if year in (1914, 1915) else f"{31 * share:.1f}"
            cells = [f"{118 * share:.1f}", f"{64 * share:.1f}", oats, f"{round(270 * share)}"]
            table.writerow([year, *cells, _REMARKS.get(year, "")])


def write_birds(path: Path) -> None:
    """A bird count by tabulators, one row a species."""
    species = [
        ("kingfisher", 2, 2, "clay bank"),
        ("grey heron", 1, 3, "weir"),
        ("mute swan", 2, 2, "island"),
        ("moorhen", 9, 12, "reeds"),
        ("grey wagtail", 4, 5, "wheel pit wall"),
        ("barn owl", 1, 2, "granary gable"),
        ("house martin", 31, 38, "eaves"),
        ("mallard", 17, 22, "pond"),
    ]
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(["species", "seen in April", "seen in June", "best place"])
        table.writerows(species)
