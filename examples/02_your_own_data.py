"""Your own CSV: say which column is what, run it, and read what the data were like."""

import tempfile
from pathlib import Path

import msgspec

from ami_engine.adapters.csv_source import CsvSource
from ami_engine.config import config_from_dict
from ami_engine.loop.run_loop import run_loop
from ami_engine.sim.paper_broker import PaperBroker

ROWS = [
    "when;b;bq;a;aq",
    *(f"2024-08-08 14:30:{second:02};0.49;40;0.51;60" for second in range(10)),
    "2024-08-08 14:30:10;0.49;40;oops;60",  # no number
    "2024-08-08 14:30:11;0.52;40;0.51;60",  # crossed: the bid is above the ask
    "2024-08-08 14:30:12;;;0.51;60",  # nobody bids
    "2024-08-08 14:30:13;0.48;40;0.50;60",
    "2024-08-08 14:30:13;0.48;40;0.50;60",  # the same row again
    "2024-08-08 14:30:12;0.47;40;0.49;60",  # older than the one before it
]

file = Path(tempfile.mkdtemp()) / "quotes.csv"
file.write_text("\n".join(ROWS) + "\n")

source = CsvSource(
    file,
    columns={"ts": "when", "bid": "b", "ask": "a", "bid_size": "bq", "ask_size": "aq"},
    timezone="America/New_York",  # of times without an offset
    market_id="COIN",
)
config = config_from_dict({"instruments": [{"market_id": "COIN", "kind": "binary", "lot_size": "1"}]})
summary = run_loop(source, PaperBroker(), config=config)

print("rows     ", summary["sources"][0]["rows"], "defects", summary["sources"][0]["defects"])
print("not used ", summary["bad_inputs"])
print("decisions", {name: count for name, count in summary["action_counts"].items() if count})
print("quality  ", msgspec.json.encode(summary["data"]["COIN"]).decode())
