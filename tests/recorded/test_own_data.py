"""A user's own recorded data through the loop: old stamps trade, defects hold, nothing is lost.

Readers here are what a user would write: one method. They read what MDM_DATA holds.
"""

import gzip
import io
import itertools
import json
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ami_engine.adapters import MarketDataSource
from ami_engine.config import config_from_dict
from ami_engine.loop.run_loop import run_loop
from ami_engine.sim.paper_broker import PaperBroker
from ami_engine.trace.reader import read_packets
from ami_engine.trace.verify import verify
from decision_schema.types import Action, Proposal

EVENTS = 4_000


class Recorded(MarketDataSource):
    def __init__(self, events: Iterator[dict[str, Any]], clock_offset_ns: int = 0) -> None:
        self.events = events
        self.clock_offset_ns = clock_offset_ns

    def next_event(self) -> dict[str, Any] | None:
        return next(self.events, None)


def fx(file: Path) -> Iterator[dict[str, Any]]:
    midnight_ms = 1_399_507_200_000
    with zipfile.ZipFile(file) as archive, archive.open(archive.namelist()[0]) as raw:
        for line in io.TextIOWrapper(raw):
            ms, bid, ask = line.strip().split(",")
            yield {"market_id": "EURUSD", "ts_ms": midnight_ms + int(ms), "bid": float(bid), "ask": float(ask)}


def binance(file: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(file, "rt") as lines:
        for line in lines:
            received, _, text = line.partition(" ")
            message = json.loads(text)
            stream, data = message.get("stream", ""), message.get("data")
            event = {"market_id": "BTCUSDT", "channel": stream, "received_ns": int(received)}
            if stream.endswith("@bookTicker"):
                sizes = {"bid_depth": float(data["B"]), "ask_depth": float(data["A"])}
                yield {**event, "seq": data["u"], "bid": float(data["b"]), "ask": float(data["a"]), **sizes}
            elif stream.endswith("@trade"):
                side = "sell" if data["m"] else "buy"
                trade = {"price": float(data["p"]), "size": float(data["q"]), "aggressor_side": side}
                yield {**event, "ts_ms": data["E"], "trades": [trade]}


def lobster(messages: Path, tops: Path) -> Iterator[dict[str, Any]]:
    midnight_ns = 1_340_251_200 * 10**9
    with gzip.open(messages, "rt") as message_lines, gzip.open(tops, "rt") as top_lines:
        for message, top in zip(message_lines, top_lines, strict=False):
            stamp, kind, _, size, price, direction = message.strip().split(",")[:6]
            seconds, _, fraction = stamp.partition(".")
            ask, ask_size, bid, bid_size = (int(x) for x in top.strip().split(",")[:4])
            event: dict[str, Any] = {
                "market_id": "AAPL",
                "ts_ns": midnight_ns + int(seconds) * 10**9 + int(fraction.ljust(9, "0")[:9]),
                "bids": [(bid / 10_000, bid_size)],
                "asks": [(ask / 10_000, ask_size)],
            }
            if kind in ("4", "5"):
                side = "sell" if direction == "1" else "buy"
                event["trades"] = [{"price": int(price) / 10_000, "size": int(size), "aggressor_side": side}]
            yield event


def quote(features: dict[str, float]) -> Proposal:
    return Proposal(action=Action.ACT, confidence=0.9, params={"value": features["mid"]})


WIDE = {
    "max_per_market_usd": 1e6, "max_total_exposure_usd": 1e6, "daily_loss_stop_usd": 1e6,
    "adv15_max_ticks": 0.0, "adv60_max_ticks": 0.0, "min_depth": 0.0,
}  # fmt: skip


def settings(market_id: str, tick: str, lot: str, size: float, **guards: float) -> Any:
    return config_from_dict(
        {
            "instruments": [{"market_id": market_id, "tick_size": tick, "lot_size": lot}],
            "execution": {"size": size},
            "guards": {**WIDE, **guards},
            "run": {"initial_equity": 1e5, "run_id": "recorded"},
        }
    )


CASES = {
    "fx, one venue": (
        lambda data: Recorded(fx(data / "fx-eurusd-ticks-201405" / "oanda_eurusd_20140508_quote.zip")),
        settings("EURUSD", "0.00001", "1", 1_000.0, max_abs_inventory=5_000.0),
    ),
    "fx, crossed": (
        lambda data: Recorded(fx(data / "fx-eurusd-ticks-201405" / "fxcm_eurusd_20140506_quote.zip")),
        settings("EURUSD", "0.00001", "1", 1_000.0, max_abs_inventory=5_000.0),
    ),
    "crypto spot": (
        lambda data: Recorded(binance(data / "binance-raw-20240808" / "spot_btcusdt_20240808.gz"), -1_275_000_000),
        settings("BTCUSDT", "0.01", "0.00001", 0.01, max_abs_inventory=0.05),
    ),
    "equity": (
        lambda data: Recorded(
            lobster(
                data / "lobster-aapl-20120621" / "AAPL_2012-06-21_message_50.csv.gz",
                data / "lobster-aapl-20120621" / "AAPL_2012-06-21_orderbook_50.top1.csv.gz",
            )
        ),
        settings("AAPL", "0.01", "1", 10.0, max_abs_inventory=100.0),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_recorded_data_trades_and_loses_nothing(mdm_data, tmp_path, case):
    make_source, config = CASES[case]
    summary = run_loop(
        make_source(mdm_data), PaperBroker(), steps=EVENTS, decision_engine=quote, config=config, output_dir=tmp_path
    )
    assert (summary["steps"], summary["packets"]) == (EVENTS, EVENTS)
    assert verify(summary["run_dir"]).packets == EVENTS
    assert summary["fills_by_side"]["buy"] > 0
    assert summary["fills_by_side"]["sell"] > 0
    assert "staleness" not in summary["refusals"]
    assert summary["stopped"] is None

    position = 0.0
    counted: Counter[str] = Counter()
    for packet in read_packets(summary["run_dir"]):
        counted[packet.final_action["action"]] += 1
        if packet.input.get("bad"):
            assert packet.final_action["action"] != "ACT"
        for report in packet.external["reports"]:
            if report["type"] == "fill":
                position += report["size"] if report["side"] == "buy" else -report["size"]
    assert counted == +Counter(summary["action_counts"])
    market = config.instruments[0].market_id
    assert position == pytest.approx(summary["positions"][market], abs=1e-9)


def test_crossed_quotes_hold_and_are_counted(mdm_data, tmp_path):
    file = mdm_data / "fx-eurusd-ticks-201405" / "fxcm_eurusd_20140506_quote.zip"
    crossed = sum(event["bid"] > event["ask"] for event in itertools.islice(fx(file), EVENTS))
    locked = sum(event["bid"] == event["ask"] for event in itertools.islice(fx(file), EVENTS))
    make_source, config = CASES["fx, crossed"]
    summary = run_loop(
        make_source(mdm_data), PaperBroker(), steps=EVENTS, decision_engine=quote, config=config, output_dir=tmp_path
    )
    assert summary["bad_inputs"] == {"crossed_book": crossed, "locked_book": locked}
    assert crossed > 0
    assert locked > 0
