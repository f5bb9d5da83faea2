"""How many kills there were: a line each in the file that GRISTMILL_CHAOS_TALLY names.

    python -m tests.chaos.tally FILE

prints them as a table in Markdown.
"""

import json
import os
import sys
from collections import Counter
from pathlib import Path


def tally(work: str, victim: str) -> None:
    """Count one kill after whose recovery everything was as it had to be."""
    name = os.environ.get("GRISTMILL_CHAOS_TALLY")
    if name:
        with Path(name).open("a") as file:
            file.write(json.dumps({"work": work, "victim": victim}) + "\n")


def table(lines: list[str]) -> str:
    """Victims by work, with sums."""
    kills = Counter((kill["work"], kill["victim"]) for kill in map(json.loads, lines))
    works = list(dict.fromkeys(work for work, _ in kills))
    victims = list(dict.fromkeys(victim for _, victim in kills))
    rows = [["killed", *works, "sum"], ["---", *["---:"] * (len(works) + 1)]]
    for victim in victims:
        counts = [kills[work, victim] for work in works]
        rows.append([victim, *(str(count or "") for count in counts), str(sum(counts))])
    sums = [sum(kills[work, victim] for victim in victims) for work in works]
    rows.append(["sum", *map(str, sums), str(sum(sums))])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    sys.stdout.write(table(Path(sys.argv[1]).read_text().splitlines()) + "\n")
