"""A decoded content as plain values for JSON, and back.

What is read is the very value that was written, integers and floats told apart. Each class of schemas/content.py is an
object of its fields that differ from their defaults, a tuple an array; only these classes are made of what is read.
"""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from schemas.content import Content

if TYPE_CHECKING:
    from collections.abc import Callable

    Read = Callable[[Any], Any]


def content_to_plain(content: Content) -> dict[str, Any]:
    """A content as values that JSON can write."""
    plain: dict[str, Any] = _plain(content)
    return plain


def content_from_plain(raw: Any) -> Content:
    """The inverse of :func:`content_to_plain`.

    Raises:
        ValueError: It is no such value; says which part is not what it must be.
    """
    content: Content = _reader(Content)(raw)
    return content


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        found = ((field, getattr(value, field.name)) for field in fields(value))
        return {f.name: _plain(v) for f, v in found if f.default is MISSING or v != f.default}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


@cache
def _reader(hint: Any) -> Read:
    """What makes a value of this type of its JSON."""
    if is_dataclass(hint):
        return _dataclass_reader(hint)
    origin, args = get_origin(hint), get_args(hint)
    if origin is tuple:
        return _tuple_reader(args)
    if origin in (Union, UnionType):
        (inner,) = (_reader(arg) for arg in args if arg is not NoneType)
        return lambda raw: None if raw is None else inner(raw)
    allowed = (str,) if origin is Literal else (float, int) if hint is float else (hint,)
    return lambda raw: _checked(raw, allowed)


def _dataclass_reader(hint: Any) -> Read:
    hints = get_type_hints(hint)
    names = {field.name for field in fields(hint)}
    needed = {field.name for field in fields(hint) if field.default is MISSING}

    def read(raw: Any) -> Any:
        given = raw.keys() if isinstance(raw, dict) else set()
        if not needed <= given <= names:
            raise ValueError(f"a {hint.__name__} has other fields than {sorted(given)}")
        return hint(**{name: _reader(hints[name])(value) for name, value in raw.items()})

    return read


def _tuple_reader(args: tuple[Any, ...]) -> Read:
    if len(args) == 2 and args[1] is Ellipsis:
        each = _reader(args[0])
        return lambda raw: tuple(map(each, _checked(raw, (list,))))
    readers = [_reader(arg) for arg in args]
    return lambda raw: tuple(
        reader(item) for reader, item in zip(readers, _checked(raw, (list,)), strict=True)
    )


def _checked(raw: Any, allowed: tuple[type, ...]) -> Any:
    if type(raw) not in allowed:
        raise ValueError(f"{raw!r:.60} is none of {', '.join(kind.__name__ for kind in allowed)}")
    return raw
