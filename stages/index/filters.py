"""Which rows of a segment a filter lets through, exactly, as a mask.

A field is read from rows.arrow once: its distinct values, and for every row the number of its own. A condition is then
decided for the distinct values and spread over the rows. Fields and masks are kept, a bounded number of each.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.json import ParseOptions, ReadOptions, read_json

from schemas.errors import IntegrityError
from schemas.filters import number
from schemas.ids import canonical_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from schemas.filters import Condition, Filter

KEPT_MASKS: Final = 16  # one byte a row each
_JSON_BLOCK_BYTES: Final = 1 << 24
KEPT_FIELDS: Final = 8  # four bytes a row each, and the distinct values

_Value = TypeVar("_Value")


class FilterMasks:
    """The masks of one segment. Safe to ask from several threads.

    Args:
        rows: Of the segment, in the SEGMENT_ROWS schema.
    """

    def __init__(self, rows: pa.Table) -> None:
        self._rows = rows
        self._masks: _Kept[np.ndarray] = _Kept(KEPT_MASKS)
        self._fields: _Kept[_Field] = _Kept(KEPT_FIELDS)
        self._reading = Lock()

    def mask(self, where: Filter) -> np.ndarray:
        """Which rows pass, bool [rows]. Do not write into it.

        Raises:
            IntegrityError: A row's attributes or locator are no JSON object.
        """
        with self._reading:  # two threads with the same question read the columns once
            return self._masks.get(where, lambda: self._evaluate(where))

    def _evaluate(self, where: Filter) -> np.ndarray:
        mask = np.ones(len(self._rows), dtype=np.bool_)
        for condition in where.conditions:
            field = self._field(condition.field)
            mask &= field.passing(condition)
        if where.acl is not None:
            mask &= _visible(self._rows.column("acl"), where.acl)
        mask.flags.writeable = False
        return mask

    def _field(self, name: str) -> _Field:
        return self._fields.get(name, lambda: _read_field(self._rows, name))


class _Kept(Generic[_Value]):
    """The values that were asked for last."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._values: OrderedDict[Any, _Value] = OrderedDict()

    def get(self, key: Any, make: Callable[[], _Value]) -> _Value:
        if key not in self._values:
            self._values[key] = make()
            if len(self._values) > self._largest:
                self._values.popitem(last=False)
        self._values.move_to_end(key)
        return self._values[key]


@dataclass(frozen=True, slots=True)
class _Field:
    """One field of all rows.

    Attributes:
        codes: Position of each row's value among the distinct ones, int32 [rows]; the one behind them for none.
        texts: Distinct values as text, object [distinct].
        numbers: The same as numbers, float64 [distinct], NaN for what is none.
    """

    codes: np.ndarray
    texts: np.ndarray
    numbers: np.ndarray

    @classmethod
    def of(cls, codes: np.ndarray, texts: Iterable[str]) -> _Field:
        values = np.array(list(texts), dtype=object)
        numbers = [number(text) for text in values]
        return cls(codes, values, np.array(numbers, dtype=np.float64))

    def passing(self, condition: Condition) -> np.ndarray:
        """Which rows meet a condition, bool [rows]."""
        # The last is for rows without a value.
        passes = np.zeros(len(self.texts) + 1, dtype=np.bool_)
        passes[:-1] = self._decided(condition)
        return np.asarray(passes[self.codes])

    def _decided(self, condition: Condition) -> np.ndarray:
        if condition.operator == "exists":
            return np.ones(len(self.texts), dtype=np.bool_)
        if condition.ordering:
            return self._ordered(condition.operator, condition.values[0])
        equal = np.zeros(len(self.texts), dtype=np.bool_)
        for value in condition.values:
            asked = number(value)
            equal |= self.texts == value if asked is None else self.numbers == asked
        return ~equal if condition.operator == "!=" else equal

    def _ordered(self, operator: str, value: str) -> np.ndarray:
        asked = number(value)
        left: np.ndarray = self.texts if asked is None else self.numbers
        right: Any = value if asked is None else asked
        if operator == "<":
            return np.asarray(left < right, dtype=np.bool_)
        if operator == "<=":
            return np.asarray(left <= right, dtype=np.bool_)
        if operator == ">":
            return np.asarray(left > right, dtype=np.bool_)
        return np.asarray(left >= right, dtype=np.bool_)


def _read_field(rows: pa.Table, name: str) -> _Field:
    head, dot, key = name.partition(".")
    codes, values = _distinct(rows.column(head))
    texts = _from_json(head, values, key) if dot else [value or None for value in values]
    numbered: dict[str, int] = {}
    own = [-1 if text is None else numbered.setdefault(text, len(numbered)) for text in texts]
    place = np.array(own, dtype=np.int32)
    place[place < 0] = len(numbered)
    return _Field.of(place[codes], numbered)


def _distinct(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str | None]]:
    """The code of each row, and what the codes stand for."""
    encoded = column.dictionary_encode(null_encoding="encode").unify_dictionaries()
    codes = [chunk.indices.to_numpy(zero_copy_only=False) for chunk in encoded.chunks]
    if not codes:
        return np.zeros(0, dtype=np.int32), []
    return np.concatenate(codes), encoded.chunk(0).dictionary.to_pylist()


def _from_json(column: str, texts: list[str | None], key: str) -> list[str | None]:
    """What JSON objects have under a key, as text."""
    found = _from_plain_json(column, texts, key)
    # What is not as gristmill writes it is read one by one, which takes ten times as long and names what is broken.
    return [_value(column, text, key) for text in texts] if found is None else found


def _from_plain_json(column: str, texts: list[str | None], key: str) -> list[str | None] | None:
    """The same all at once, if every value is text (attributes) or a number (locators)."""
    if not all(
        text and text[0] == "{" for text in texts
    ):  # then lines are objects, and none is skipped
        return None
    kind = pa.float64() if column == "locator" else pa.string()
    data = "\n".join(map(str, texts)).encode()
    try:
        table = read_json(
            pa.BufferReader(data),
            read_options=ReadOptions(use_threads=False, block_size=_JSON_BLOCK_BYTES),
            parse_options=ParseOptions(
                explicit_schema=pa.schema([(key, kind)]), unexpected_field_behavior="ignore"
            ),
        )
    except pa.ArrowInvalid:
        return None
    if len(table) != len(texts):
        return None
    values = table.column(key).to_pylist()
    return values if column != "locator" else [None if v is None else f"{v:.17g}" for v in values]


def _value(column: str, text: str | None, key: str) -> str | None:
    try:
        facts = json.loads(text or "")
    except json.JSONDecodeError as error:
        raise IntegrityError(f"{column} {text!r} in rows.arrow is no JSON: {error}") from error
    if not isinstance(facts, dict):
        raise IntegrityError(f"{column} {text!r} in rows.arrow is no JSON object")
    value = facts.get(key)
    return value if value is None or isinstance(value, str) else canonical_json(value)


def _visible(acl: pa.ChunkedArray, labels: tuple[str, ...]) -> np.ndarray:
    """Rows without labels, and those with one of `labels`; a row whose labels are not known (null) is nobody's."""
    asked = pa.array(labels, pa.string())
    parts = [np.zeros(0, dtype=np.bool_)]
    for chunk in acl.chunks:
        shared = pc.is_in(chunk.values, value_set=asked).to_numpy(zero_copy_only=False)
        before = np.concatenate([[0], np.cumsum(shared)])[chunk.offsets.to_numpy()]
        public = np.diff(chunk.offsets.to_numpy()) == 0
        known = chunk.is_valid().to_numpy(zero_copy_only=False)
        parts.append(((np.diff(before) > 0) | public) & known)
    return np.concatenate(parts)
