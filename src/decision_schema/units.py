"""Aliases that carry the unit in the type: a signature says what its numbers mean."""

from typing import Annotated, TypeAlias

UnixNs: TypeAlias = Annotated[int, "nanoseconds since 1970-01-01 UTC"]
UnixMs: TypeAlias = Annotated[int, "milliseconds since 1970-01-01 UTC"]
DurationNs: TypeAlias = Annotated[int, "nanoseconds"]
DurationMs: TypeAlias = Annotated[float, "milliseconds"]
Price: TypeAlias = Annotated[float, "quote currency for one unit of base"]
Size: TypeAlias = Annotated[float, "units of base"]
Ticks: TypeAlias = Annotated[int, "price steps of the instrument"]
Lots: TypeAlias = Annotated[int, "size steps of the instrument, signed where it is a position"]
Bps: TypeAlias = Annotated[float, "1/10,000"]
Notional: TypeAlias = Annotated[float, "account currency"]

NS_PER_MS = 1_000_000
NS_PER_SECOND = 1_000_000_000
NS_PER_DAY = 86_400 * NS_PER_SECOND
