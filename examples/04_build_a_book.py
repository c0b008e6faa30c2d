"""A book from a snapshot and its changes: a lost message, what still works, and the resync."""

from ami_engine.adapters import MarketDataSource
from ami_engine.loop.run_loop import run_loop
from ami_engine.sim.paper_broker import PaperBroker
from ami_engine.testing import read_packets

MESSAGES = [
    # Changes that come before the snapshot wait for it.
    {"channel": "depth", "seq": 11, "prev_seq": 10, "deltas": [("buy", 0.48, 70)]},
    {"channel": "snapshot", "book_seq": 10, "bids": [(0.49, 50), (0.48, 20)], "asks": [(0.51, 50)]},
    # A change tells the new size of a level; 0 = the level is gone.
    {"channel": "depth", "seq": 12, "prev_seq": 11, "deltas": [("sell", 0.51, 0), ("sell", 0.52, 30)]},
    # A quote stands before the levels, until changes come that are as new.
    {"channel": "quote", "book_seq": 13, "bid": 0.50, "bid_size": 5, "ask": 0.52, "ask_size": 30},
    {"channel": "depth", "seq": 13, "prev_seq": 12, "deltas": [("buy", 0.50, 5)]},
    # Number 14 is lost: the levels cannot be trusted any more. A quote still gives the best prices.
    {"channel": "depth", "seq": 15, "prev_seq": 14, "deltas": [("buy", 0.47, 10)]},
    {"channel": "quote", "book_seq": 15, "bid": 0.49, "bid_size": 40, "ask": 0.51, "ask_size": 40},
    {"channel": "depth", "seq": 16, "prev_seq": 15, "deltas": [("buy", 0.46, 10)]},
    # This snapshot holds number 15; number 16, which waited, is applied behind it.
    {"channel": "snapshot", "book_seq": 15, "bids": [(0.49, 40), (0.47, 10)], "asks": [(0.51, 40)]},
]


class Messages(MarketDataSource):
    """Plays the messages, a tenth of a second apart."""

    def __init__(self):
        self.left = enumerate(MESSAGES)

    def next_event(self):
        """Return the next message with its time, or None."""
        for number, message in self.left:
            return {"market_id": "RAIN", "ts_ms": 1_700_000_000_000 + 100 * number, **message}
        return None


summary = run_loop(Messages(), PaperBroker())

for packet in read_packets(summary["run_dir"]):
    seen, features = packet["input"], packet["mdm"]["features"]
    reason = seen.get("bad", {}).get("reason", "used")
    number = seen.get("seq", seen.get("book_seq"))
    book = f"mid {features['mid']:.3f} depth {features['depth']:g}" if "mid" in features else "no book yet"
    print(f"{seen['channel']:<9}{number:<4}{reason:<19}{book}")
print({name: summary["data"]["RAIN"][name] for name in ("snapshots", "changes", "quotes", "gaps", "resyncs")})
