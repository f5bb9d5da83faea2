"""``gristmill inspect`` and ``gristmill preview``: looking at one file, and at one unit. Thin, as flows/cli.py."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.options import EXIT_FAILED, AsJson, ConfigFile, LakeUrl, give, make_config, say
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from flows.preview import UnitPreview

OutPage = Annotated[
    Path | None,
    typer.Option("--html", metavar="OUT", help="Write a page with pictures of everything there."),
]
OutPicture = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", metavar="FILE", help="Where to.  [default: the id, in this folder]"
    ),
]


def inspect(
    file: Annotated[str, typer.Argument(metavar="FILE", help="One file, or s3://bucket/key.")],
    config: ConfigFile = None,
    recognise: Annotated[
        bool, typer.Option("--recognise/--no-recognise", help="Run OCR, speech and sound models.")
    ] = True,
    html: OutPage = None,
    rows: Annotated[
        int, typer.Option(min=0, help="Units shown of each partition; 0 for all.")
    ] = 10,
    as_json: AsJson = False,
) -> None:
    """What one file becomes: its units, notes, lost parts and times. Reads no lake and writes none."""
    from flows.inspect import inspect_file
    from flows.show_inspect import StepBar, show_inspected

    chosen = make_config(config, 0, None)
    with StepBar() as bar:
        found = inspect_file(file, chosen, recognise=recognise, watch=bar.step)
        if html is not None:
            from flows.inspect_page import render

            _write(html, render(found, chosen, bar.step).encode("utf-8", "replace"))
    document = found.as_dict() | ({"html": str(html)} if html else {})
    give(as_json, document, lambda: show_inspected(found, rows))
    if html is not None and not as_json:
        say(f"written to {html}")
    if found.reject:
        raise typer.Exit(EXIT_FAILED)


def preview(
    unit_id: Annotated[str, typer.Argument(help="Its id, or the start of it.")],
    lake: LakeUrl,
    out: OutPicture = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Draw one unit from its source: a page, a crop, a picture, frames, a waveform."""
    from flows.preview import preview_unit

    found = preview_unit(lake, unit_id, make_config(config, 0, None))
    path = out or _named(found)
    _write(path, found.preview.data)
    place = found.locator.as_text()
    give(
        as_json,
        found.as_dict() | {"out": str(path)},
        lambda: _show(found, place, path),
    )


def _show(found: UnitPreview, place: str, path: Path) -> None:
    from rich.markup import escape

    from flows.show import harmless

    shown = escape(harmless(f"{found.path}  {place}".rstrip()))
    say(f"{shown}  {found.partition}, {found.preview.width} x {found.preview.height}")
    say(f"written to {escape(str(path))}")


def _named(found: UnitPreview) -> Path:
    suffix = "png" if found.preview.media_type == "image/png" else "jpg"
    return Path(f"{found.unit_id}.{suffix}")


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error}") from error


def register(app: typer.Typer) -> None:
    """Add them to the command line."""
    app.command()(inspect)
    app.command()(preview)
