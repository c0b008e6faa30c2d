"""Records as a batch loop takes them: lists of them interpreted, arrays compiled."""

from typing import Any

from dmc_core.layout import array_of, write_record


def laid_out(records: list[Any], *, fast: bool) -> Any:
    """Give records as an array for compiled kernels, or as they are."""
    return array_of(records) if fast else records


def placed(records: Any, place: int, record: Any) -> Any:
    """Put a record at its place, the next one or the last; give what holds them then.

    >>> placed([1, 2], 2, 3), placed([1, 2], 1, 3)
    ([1, 2, 3], [1, 3])
    """
    if isinstance(records, list):
        records[place:] = [record]
        return records
    if place == len(records):
        import numpy as np

        records = np.concatenate([records, np.zeros(1, records.dtype)])
    write_record(records[place], record)
    return records
