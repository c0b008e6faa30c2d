"""The guard rows of a stored packet, by the table that its own run has in the manifest."""

from collections.abc import Mapping
from typing import Any

import msgspec

from decision_schema.packet_v2 import PacketV2
from decision_schema.types import GuardResult, Margin
from dmc_core.dmc.guards import ABSENT, GUARD_SLOT, PRESENT, guard_result
from dmc_core.dmc.model_margins import margin_results

NAN = float("nan")
BREACH, UNKNOWN = "breach", "unknown"


class GuardTable:
    """Reads the rows of packets by the guard table of their run.

    Args:
        facts: The manifest of the run. Rows that this version does not know are left out and named in
            `strange`.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        guards = facts["guards"]
        self.names: list[str] = [row["name"] for row in guards["rows"]]
        self.limit_names: list[str] = [row["limit"] for row in guards["rows"]]
        self.leg_rows: list[int] = [i for i, row in enumerate(guards["rows"]) if row["scope"] == "leg"]
        self.verdicts: list[str] = list(guards["verdicts"])
        self.strange = [name for name in self.names if name not in GUARD_SLOT]
        place = {observed["name"]: i for i, observed in enumerate(guards["observed"])}
        self._values = [place[row["observed"]] for row in guards["rows"]]
        self._is_leg = [row["scope"] == "leg" for row in guards["rows"]]
        self._limits: dict[str, float] = guards["limits"]
        self._by_market: dict[str, dict[str, float]] = guards.get("market_limits", {})

    def limits(self, packet: PacketV2) -> dict[str, float]:
        """Give the limits that a packet was judged by, by name."""
        own = self._by_market.get(packet.input.get("market_id", ""), self._limits)
        return {**own, **packet.guards.get("tightened", {})}

    def rows(self, packet: PacketV2) -> list[GuardResult]:
        """Give the rows of the market and the account, then those of each leg, then the model's own."""
        guards, limits = packet.guards, self.limits(packet)
        said = {(row["name"], row.get("leg")): row["reason"] for row in guards.get("refusals", ())}
        refusing = set(guards["refusing"])
        found: list[GuardResult] = []
        for i, name in enumerate(self.names):
            if not self._is_leg[i] and name in GUARD_SLOT:
                value, verdict = guards["values"][self._values[i]], guards["verdicts"][i]
                found.append(self._row(i, verdict, value, limits, i in refusing, None, said))
        for number, leg in enumerate(guards.get("legs", ())):
            for place, i in enumerate(self.leg_rows):
                if self.names[i] in GUARD_SLOT:
                    verdict = leg["verdicts"][place]
                    refuses = leg["increasing"] and i in refusing and self.is_bar(verdict)
                    found.append(self._row(i, verdict, leg["values"][place], limits, refuses, number, said))
        margins = packet.mdm["proposal"].get("margins", ())
        return [*found, *margin_results([Margin(**margin) for margin in margins])]

    def bars(self, packet: PacketV2) -> list[int]:
        """List the rows of the market and the account that no new risk gets past."""
        verdicts = packet.guards["verdicts"]
        return [i for i, is_leg in enumerate(self._is_leg) if not is_leg and self.is_bar(verdicts[i])]

    def leg_bars(self, leg: Mapping[str, Any]) -> list[int]:
        """List the rows that a leg does not get past; one that reduces gets past all."""
        if not leg["increasing"]:
            return []
        return [i for place, i in enumerate(self.leg_rows) if self.is_bar(leg["verdicts"][place])]

    def is_bar(self, verdict: int) -> bool:
        """Tell whether a verdict lets no new risk through."""
        return self.verdicts[verdict] in (BREACH, UNKNOWN)

    def _row(
        self,
        row: int,
        verdict: int,
        value: float | None,
        limits: Mapping[str, float],
        refuses: bool,
        leg: int | None,
        said: Mapping[tuple[str, int | None], str],
    ) -> GuardResult:
        name = self.names[row]
        here = ABSENT if value is None else PRESENT
        made = guard_result(
            GUARD_SLOT[name], verdict, NAN if value is None else value, limits[self.limit_names[row]], here,
            refuses=refuses, leg=leg,
        )  # fmt: skip
        reason = said.get((name, leg))
        return made if reason is None else msgspec.structs.replace(made, reason=reason)
