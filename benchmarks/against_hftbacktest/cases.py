"""What is compared: queue models, kinds of exchange, latencies."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """One run: a queue model with its power, partial fills or not, latencies of orders."""

    queue: str
    power: float = 0.0
    partial: bool = True
    entry_ms: int = 0
    response_ms: int = 0

    @property
    def name(self) -> str:
        power = f"({self.power:g})" if self.power else ""
        fills = "partial" if self.partial else "whole"
        return f"{self.queue}{power} {fills} {self.entry_ms}+{self.response_ms}ms"


TOLD = (("conservative", 0.0), ("power", 2.0), ("power", 3.0), ("log", 0.0))
"""The queue models that PaperBroker knows by name."""
GIVEN = (("power2", 2.0), ("power3", 2.0), ("log2", 0.0))
"""The other ones of hftbacktest, given to PaperBroker as functions; they meet latency no otherwise."""
CASES = (
    *(Case(*queue, partial, ms, ms) for queue in TOLD for partial in (True, False) for ms in (0, 5)),
    *(Case(*queue, partial) for queue in GIVEN for partial in (True, False)),
)
