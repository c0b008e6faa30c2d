"""The data sets: recorded files, and the simulated market that imitates each."""

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ami_engine.adapters.binance import BinanceSource
from ami_engine.adapters.csv_source import CsvSource
from ami_engine.adapters.lobster import LobsterSource
from ami_engine.ports import MarketDataSource
from ami_engine.sim.microstructure_sim import MicrostructureSim
from ami_engine.sim.synthetic_source import SyntheticSource
from benchmarks.stylised_facts.betfair import BetfairSource
from decision_schema.events import MAX_LEVELS
from decision_schema.instruments import Instrument

ENDLESS = 2**40


@dataclass(frozen=True)
class Case:
    """One column of the table: how to open it, and how long it is at most."""

    name: str
    open: Callable[[], tuple[MarketDataSource, Instrument]]
    seconds: float | None = None
    every_s: float = 5.0


def _recorded(example: str) -> tuple[MarketDataSource, Instrument]:
    """Open the file of an example's config, so that tick and lot stand in one place."""
    root = Path(__file__).parents[2]
    text = (root / "examples" / example).read_text().replace("${MDM_DATA}", os.environ["MDM_DATA"])
    config = tomllib.loads(text)
    sources = {"binance": BinanceSource, "lobster": LobsterSource, "csv": CsvSource}
    source: MarketDataSource = sources[config["data"]["source"]](**config["data"]["params"])
    return source, Instrument(**config["instruments"][0])


def _betfair(file: str, runner: int) -> tuple[MarketDataSource, Instrument]:
    path = Path(os.environ["MDM_DATA"]) / "betfair-stream" / file
    instrument = Instrument(market_id=file, kind="binary", quote="GBP", tick_size="0.001", lot_size="1")
    return BetfairSource(path, runner, file), instrument


def _simulated(preset: str, seed: int) -> tuple[MarketDataSource, Instrument]:
    """Open the simulator as it stands, but with as many levels as recorded books show."""
    sim = MicrostructureSim(preset=preset, seed=seed, levels=MAX_LEVELS)
    source = SyntheticSource(sim, ENDLESS)
    return (QuotesOnly(source) if preset in QUOTED else source), sim.instrument


class QuotesOnly(MarketDataSource):
    """Best prices alone, of a source that tells more: as much as the file of the other column tells."""

    live = False

    def __init__(self, source: MarketDataSource) -> None:
        self._source = source

    def next_event(self) -> Mapping[str, Any] | None:
        """Return the next event, without sizes, deeper levels and trades."""
        event = self._source.next_event()
        if event is None:
            return None
        bids, asks = event["bids"], event["asks"]
        quote = {"bid": bids[0][0] if bids else None, "ask": asks[0][0] if asks else None}
        return {key: event[key] for key in ("market_id", "ts_ns", "seq")} | quote


IN_PLAY_S = 7_200.0
"""Part of a game that is measured: at its end prices only go to 0 or 1."""
REAL = (
    Case("BTCUSDT perp", partial(_recorded, "btc_perp.toml"), every_s=1.0),
    Case("BTCUSDT spot", partial(_recorded, "btc_spot.toml"), every_s=1.0),
    Case("AAPL", partial(_recorded, "aapl.toml")),
    Case("EURUSD", partial(_recorded, "eurusd.toml"), every_s=20.0),
    Case("Betfair NBA", partial(_betfair, "1-166811431.bz2", 237478), IN_PLAY_S),
    Case("Betfair cricket", partial(_betfair, "1.200806927.gz", 228749), IN_PLAY_S),
)
PRESETS = {
    "crypto": "BTCUSDT perp",
    "equity": "AAPL",
    "fx": "EURUSD",
    "prediction_market": "Betfair NBA",
}
"""Each preset of the simulator, and the file that it imitates."""
QUOTED = ("fx",)
"""Presets of which only quotes are taken: the file has neither sizes nor trades."""
SIM_SECONDS = 3_600.0


def cases(what: str, seed: int = 1) -> list[Case]:
    """Give the columns: ``real``, ``sim``, or ``both``, where each preset stands next to its file."""
    sims = {
        like: Case(f"sim {preset}", partial(_simulated, preset, seed), SIM_SECONDS)
        for preset, like in PRESETS.items()
    }
    if what == "sim":
        return list(sims.values())
    if what == "real":
        return list(REAL)
    return [each for case in REAL for each in (case, sims.get(case.name)) if each is not None]
