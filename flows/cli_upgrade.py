"""``gristmill upgrade``. Thin, as the commands of flows/cli.py."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.options import AsJson, ConfigFile, LakeUrl, Wait, Workers, give, make_config


def upgrade(
    lake: LakeUrl,
    old: Annotated[
        str, typer.Option("--from", metavar="SPACE", help="A space of the published snapshot.")
    ],
    new: Annotated[
        str, typer.Option("--to", metavar="SPACE", help="The space whose queries are to search it.")
    ],
    sample: Annotated[
        int | None,
        typer.Option(min=1, help="Units to embed in the new space.  [default: 5000]"),
    ] = None,
    recall: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Recall@10 below which nothing is published.  [default: 0.6]"
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Embed the sample, fit and measure; publish nothing.")
    ] = False,
    config: ConfigFile = None,
    workers: Workers = 0,
    wait: Wait = None,
    as_json: AsJson = False,
) -> None:
    """Let queries of another encoder search the published vectors by a map, until all is embedded again."""
    from flows.show_upgrade import show_upgraded
    from flows.upgrade import WhatToUpgrade
    from flows.upgrade import upgrade as upgrade_lake

    said = {"sample": sample, "recall_at_10": recall}
    chosen = make_config(config, workers, wait)
    settings = chosen.upgrade.model_copy(
        update={name: value for name, value in said.items() if value is not None}
    )
    chosen = chosen.model_copy(update={"upgrade": settings})
    found = upgrade_lake(lake, WhatToUpgrade(old, new, dry_run=dry_run), chosen)
    give(as_json, found.as_dict(), lambda: show_upgraded(found))


def register(app: typer.Typer) -> None:
    """Add it to the command line."""
    app.command()(upgrade)
