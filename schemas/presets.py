"""Presets: sets of choices that ship with gristmill, as configurations of their own (schemas/profiles/NAME.toml)."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any, Final, Literal, get_args

Preset = Literal["starter", "serious-cpu", "serious-gpu"]
PRESETS: Final[tuple[str, ...]] = get_args(Preset)


def preset(name: str) -> dict[str, Any]:
    """What a preset says, as a configuration would."""
    text = files("schemas").joinpath("profiles", f"{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def with_preset(values: dict[str, Any]) -> dict[str, Any]:
    """A configuration with what its preset says beneath it; as it is, if it names no preset that there is."""
    profile = values.get("profile")
    name = profile.get("preset") if isinstance(profile, dict) else getattr(profile, "preset", None)
    return _over(values, preset(str(name))) if name in PRESETS else values


def _over(values: dict[str, Any], beneath: dict[str, Any]) -> dict[str, Any]:
    """Both, key by key; what `values` says counts."""
    merged = dict(beneath)
    for key, value in values.items():
        below = beneath.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            merged[key] = _over(value, below)
        else:
            merged[key] = value
    return merged
