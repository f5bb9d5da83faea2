"""What a search is restricted to: facts about units, and the labels of the one who asks. Standard library only.

>>> Filter.parse(["attributes.year >= 2020", "language in de, en"], acl=["staff"])
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final, Literal, get_args

from schemas.errors import ConfigError
from schemas.unit import Locator

if TYPE_CHECKING:
    from collections.abc import Sequence

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "in", "exists"]

COLUMNS: Final = ("language", "source_id", "parent_id")
LOCATOR_FIELDS: Final = tuple(f.name for f in fields(Locator) if f.name != "bbox")
_ORDERING: Final = ("<", "<=", ">", ">=")
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_EXACT: Final = (
    2.0**53
)  # from it on floats skip whole numbers, so what is longer (an id) stays text
_CONDITION: Final = re.compile(
    r"\s*(?P<field>[^\s=!<>]+)\s*(?P<operator><=|>=|!=|=|<|>|in\b|exists\b)\s*(?P<value>.*?)\s*",
    re.DOTALL,
)


def number(text: str) -> float | None:
    """The number that a text is, or None: plain decimal notation, below 2**53.

    Example:
        >>> number("2020"), number("1e3"), number("2020-01-01"), number("12345678901234567890")
        (2020.0, 1000.0, None, None)
    """
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if abs(value) < _EXACT else None


@dataclass(frozen=True, slots=True)
class Condition:
    """What one field must be like. A unit without the field passes none, not even ``!=``.

    Two numbers compare as numbers. ``<`` and its kin with a number ask for a number; with anything else they compare
    as text, which is right for dates such as 2020-05-01.

    Attributes:
        field: ``attributes.<name>``, ``locator.<field>``, ``language``, ``source_id`` or ``parent_id``.
        operator: ``in`` takes any number of values, ``exists`` none, the others one.
        values: What to compare with.

    Raises:
        ConfigError: There is no such field or operator, or another number of values belongs to it.
    """

    field: str
    operator: Operator
    values: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_field(self.field)
        if self.operator not in get_args(Operator):
            raise ConfigError(
                f"{self.operator!r} is no operator; there are {', '.join(get_args(Operator))}"
            )
        wanted = {"exists": 0, "in": max(1, len(self.values))}.get(self.operator, 1)
        if len(self.values) != wanted:
            raise ConfigError(
                f"{self.field} {self.operator}: {len(self.values)} values, it takes"
                f" {'at least one' if self.operator == 'in' else wanted}"
            )

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read ``FIELD OPERATOR VALUE``.

        A value in double quotes is taken as it stands; those of ``in`` are separated by commas.

        Example:
            >>> Condition.parse('attributes.kind in figure, "table, wide"').values
            ('figure', 'table, wide')

        Raises:
            ConfigError: It cannot be read.
        """
        found = _CONDITION.fullmatch(text)
        if not found:
            raise ConfigError(
                f"cannot read the condition {text!r}: write FIELD OPERATOR VALUE, such as attributes.year >= 2020"
            )
        field, operator, value = found["field"], found["operator"], found["value"]
        if value[:1] in ("=", "<", ">", "!"):
            raise ConfigError(
                f"cannot read the condition {text!r}: there is no operator {operator + value[0]!r};"
                " put the value in double quotes if that is how it begins"
            )
        return cls(field, operator, _values(text, operator, value))  # type: ignore[arg-type]  # checked by the class

    @property
    def ordering(self) -> bool:
        """Whether it asks for more or less than a value."""
        return self.operator in _ORDERING


@dataclass(frozen=True, slots=True)
class Filter:
    """All conditions must hold, and the one who asks must be allowed to see the unit.

    Attributes:
        conditions: What the unit must be like.
        acl: Labels of the one who asks: a unit passes if it carries none (it is public) or shares one. None asks
            nothing about access: then whoever searches must see to it.
    """

    conditions: tuple[Condition, ...] = ()
    acl: tuple[str, ...] | None = None

    @classmethod
    def parse(cls, where: Sequence[str] = (), acl: Sequence[str] | None = None) -> Filter | None:
        """A filter from conditions as text; None if nothing is restricted.

        Filters that differ in order or repetition only come out equal.

        Raises:
            ConfigError: A condition cannot be read.
        """
        if not where and acl is None:
            return None
        conditions = {Condition.parse(text) for text in where}
        ordered = sorted(conditions, key=lambda c: (c.field, c.operator, c.values))
        return cls(tuple(ordered), None if acl is None else tuple(sorted(set(acl))))


def _check_field(field: str) -> None:
    head, dot, name = field.partition(".")
    if field in COLUMNS or (head == "attributes" and name):
        return
    if head == "locator" and dot:
        if name in LOCATOR_FIELDS:
            return
        raise ConfigError(
            f"a locator has no {name!r} to filter by; it has {', '.join(LOCATOR_FIELDS)}"
        )
    raise ConfigError(
        f"cannot filter by {field!r}; there are attributes.NAME, locator.FIELD, {', '.join(COLUMNS)}"
    )


def _values(text: str, operator: str, value: str) -> tuple[str, ...]:
    if operator == "exists":
        if value:
            raise ConfigError(f"cannot read the condition {text!r}: exists takes no value")
        return ()
    if not value:
        raise ConfigError(f'cannot read the condition {text!r}: the value is missing ("" is empty)')
    if operator != "in":
        return (_split(text, value)[0] if value[0] == '"' else value,)
    inner = value[1:-1] if value[0] == "(" and value[-1] == ")" else value
    return tuple(sorted(set(_split(text, inner))))


def _split(text: str, value: str) -> list[str]:
    try:
        rows = list(csv.reader([value], skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise ConfigError(f"cannot read the condition {text!r}: {error}") from error
    return [part.strip() for part in rows[0]] if rows else [""]
