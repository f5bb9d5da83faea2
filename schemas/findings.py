"""What a look at a whole lake finds. Pure values."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is damaged.

    Attributes:
        what: The table, snapshot, segment or log it belongs to.
        file: Key under the lake's root; empty where it is no single file.
        wrong: What is wrong.
        costs: What is lost by it.
        advice: What to do.
    """

    what: str
    file: str
    wrong: str
    costs: str
    advice: str


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at and, where `ok`, holds."""

    name: str
    value: str
    ok: bool


@dataclass(slots=True)
class Verification:
    """What was looked at.

    Attributes:
        lake: Its URL.
        checks: What was looked at, as a whole.
        findings: What is damaged; none in a lake that is whole.
        information: What is there besides and is no damage: leftovers, contents that wait to be read again.
        repaired: What a repair did before, a line each.
        reread: Names whose content the next run reads again.
        lost: Those of them that are no longer there: the next run over their folder finds them gone.
    """

    lake: str
    checks: list[Check] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    information: dict[str, int] = field(default_factory=dict)
    repaired: list[str] = field(default_factory=list)
    reread: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged."""
        return not self.findings

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"ok": self.ok, **asdict(self)}
