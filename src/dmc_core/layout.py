"""Records laid out for compiled kernels: a slotted dataclass becomes one cell of a structured array.

A field that is a bool, an int, a float, a record, or a list of one of them becomes a field of the same
name, so that kernels read ``order.price_ticks`` or ``book.bid_prices[0]`` in either form. The length of
a list is part of the layout: it never changes. Fields of any other type (texts, dicts, None) stay with
the dataclass: no kernel reads them.
"""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def layout_of(record: Any) -> "np.dtype[Any]":
    """Give the layout of a record.

    >>> @dataclasses.dataclass(slots=True)
    ... class Point:
    ...     x: float = 0.5
    ...     seen: list[int] = dataclasses.field(default_factory=lambda: [0, 0])
    ...     name: str = "origin"
    >>> layout_of(Point()).names, layout_of(Point()).itemsize
    (('x', 'seen'), 24)
    """
    import numpy as np

    fields = []
    for field in dataclasses.fields(record):
        kind = _kind_of(getattr(record, field.name))
        if kind is not None:
            fields.append((field.name, kind))
    return np.dtype(fields, align=True)


def _kind_of(value: Any) -> Any:
    import numpy as np

    if isinstance(value, bool):
        return np.dtype(np.bool_)
    if isinstance(value, int):
        return np.dtype(np.int64)
    if isinstance(value, float):
        return np.dtype(np.float64)
    if dataclasses.is_dataclass(value):
        return layout_of(value)
    if isinstance(value, list) and value:
        item = _kind_of(value[0])
        return None if item is None else np.dtype((item, (len(value),)))
    return None


def array_of(records: Sequence[Any]) -> "np.ndarray[Any, Any]":
    """Lay out records of one kind as an array; the first one gives the layout.

    >>> @dataclasses.dataclass(slots=True)
    ... class Point:
    ...     x: float = 0.5
    >>> array_of([Point(), Point(1.5)])["x"].tolist()
    [0.5, 1.5]
    """
    import numpy as np

    array = np.zeros(len(records), layout_of(records[0]))
    for i, record in enumerate(records):
        write_record(array[i], record)
    return array


def write_record(place: Any, record: Any) -> None:
    """Write a record into its place in an array."""
    for name in place.dtype.names:
        value = getattr(record, name)
        if dataclasses.is_dataclass(value):
            write_record(place[name], value)
        elif isinstance(value, list) and dataclasses.is_dataclass(value[0]):
            for i, item in enumerate(value):
                write_record(place[name][i], item)
        else:
            place[name] = value


def read_record(place: Any, record: Any) -> None:
    """Write a place in an array back into a record, as plain Python numbers."""
    for name in place.dtype.names:
        value = getattr(record, name)
        if dataclasses.is_dataclass(value):
            read_record(place[name], value)
        elif isinstance(value, list) and dataclasses.is_dataclass(value[0]):
            for i, item in enumerate(value):
                read_record(place[name][i], item)
        elif isinstance(value, list):
            value[:] = place[name].tolist()
        else:
            setattr(record, name, place[name].item())


class RecordView:
    """A place in an array, read and written by field name as the record itself would be.

    >>> @dataclasses.dataclass(slots=True)
    ... class Point:
    ...     x: float = 0.5
    >>> array = array_of([Point()])
    >>> view = RecordView(array[0])
    >>> view.x += 1.0
    >>> view.x, array["x"][0].item()
    (1.5, 1.5)
    """

    __slots__ = ("_place",)

    def __init__(self, place: Any) -> None:
        object.__setattr__(self, "_place", place)

    def __getattr__(self, name: str) -> Any:
        try:
            return _seen(self._place[name])
        except ValueError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self._place[name] = value


class ListView:
    """A list inside a record in an array."""

    __slots__ = ("_items",)

    def __init__(self, items: Any) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, at: int) -> Any:
        return _seen(self._items[at])

    def __setitem__(self, at: int, value: Any) -> None:
        self._items[at] = value


def _seen(value: Any) -> Any:
    if value.dtype.names is not None and value.ndim == 0:
        return RecordView(value)
    return ListView(value) if value.ndim else value.item()
