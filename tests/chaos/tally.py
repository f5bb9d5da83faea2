"""How many kills there were: a line each in the file that GRISTMILL_CHAOS_TALLY names."""

import json
import os
from pathlib import Path


def tally(work: str, victim: str) -> None:
    """Count one kill after whose recovery everything was as it had to be."""
    name = os.environ.get("GRISTMILL_CHAOS_TALLY")
    if name:
        with Path(name).open("a") as file:
            file.write(json.dumps({"work": work, "victim": victim}) + "\n")
