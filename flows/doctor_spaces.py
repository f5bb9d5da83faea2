"""What `gristmill doctor` says of models by configuration: whose models are here, and under which licences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schemas.errors import GristmillError
from schemas.presets import PRESETS, preset

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from schemas.config import Config, Derivation
    from schemas.space_config import SpaceConfig


def space_rows(config: Config | None) -> list[dict[str, Any]]:
    """A row for each space that a configuration asks for, if one was given, and one for each preset."""
    asked = list(_asked(config)) if config else []
    return [*asked, *(_preset_row(name) for name in PRESETS)]


def derive_rows(config: Config | None) -> list[dict[str, Any]]:
    """A row for each generator of derived text that a configuration asks for."""
    return (
        [_derive_row(name, settings) for name, settings in config.derive.items()] if config else []
    )


def speech_rows(config: Config | None) -> list[dict[str, Any]]:
    """A row for the speech model, if a configuration asks for one of its own."""
    if config is None or not config.recognition.speech:
        return []
    name = config.recognition.speech_model
    return [_speech_row(name, config)] if name in config.speech else []


def _speech_row(name: str, config: Config) -> dict[str, Any]:
    from flows.wiring import speech_model

    wish, problem, licence = config.speech[name], "", config.speech[name].licence
    try:
        found = speech_model(config)
        licence = found.licence if found else licence
    except GristmillError as error:
        problem = error.message
    return {
        "name": f"speech {name}",
        "ok": not problem,
        "needed": True,
        "found": f"{wish.model} ({_warned(licence)})",
        "advice": problem,
    }


def _warned(licence: str) -> str:
    from stages.embed.licences import forbids_commercial_use

    warning = ", FORBIDS COMMERCIAL USE" if forbids_commercial_use(licence) else ""
    return f"{licence or 'no licence stated'}{warning}"


def _derive_row(name: str, settings: Derivation) -> dict[str, Any]:
    from stages.derive.registry import contract

    problem = ""
    try:
        contract(name, settings)
    except GristmillError as error:
        problem = error.message
    model = f": {settings.model} ({_warned(settings.licence)})" if settings.model else ""
    return {
        "name": f"derive {name}",
        "ok": not problem,
        "needed": True,
        "found": f"{settings.adapter}{model}",
        "advice": problem,
    }


def _asked(config: Config) -> Iterator[dict[str, Any]]:
    for name in config.profile.spaces:
        problem = _problem(name, config.spaces)
        yield {
            "name": f"space {name}",
            "ok": not problem,
            "needed": True,
            "found": _described(name, config.spaces),
            "advice": problem,
        }


def _preset_row(name: str) -> dict[str, Any]:
    from schemas.config import Config

    config = Config.model_validate(preset(name))
    missing = [space for space in config.profile.spaces if _problem(space, config.spaces)]
    fetch = " && ".join(f"hf download {config.spaces[space].model}" for space in missing)
    return {
        "name": f"profile {name}",
        "ok": not missing,
        "needed": False,
        "found": "; ".join(_described(space, config.spaces) for space in config.profile.spaces),
        "advice": f'to use it: {fetch}, then profile.preset = "{name}"' if missing else "",
    }


def _described(name: str, configured: Mapping[str, SpaceConfig]) -> str:
    from stages.embed.registry import contract

    if name not in configured:
        return name
    wish = configured[name]
    licence = wish.licence
    if not licence and not _problem(name, configured):
        licence = contract(name, configured=configured).licence
    return f"{name}: {wish.model} ({_warned(licence)})"


def _problem(name: str, configured: Mapping[str, SpaceConfig]) -> str:
    """Why a space cannot be had here; empty if it can."""
    from stages.embed.registry import contract

    try:
        contract(name, configured=configured)
    except GristmillError as error:
        return error.message
    return ""
