"""What every part of a manifest names: files, and numbers of the gate. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FileRef:
    """A file by its key under the lake's root, its size and its SHA-256 (64 hex characters)."""

    key: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class GateCheck:
    """One number of the gate: it passes when `value` is at least (or at most) `threshold`."""

    name: str
    value: float
    threshold: float
    at_least: bool
    passed: bool
