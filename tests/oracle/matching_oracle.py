"""The queue rule, slowly: every lot of the queue is a token, and a trade pops tokens one by one."""

MARKET = ""


class TokenQueues:
    """Our resting buys among the market's, one list of tokens a price; the front is served first."""

    def __init__(self):
        self.queues: dict[int, list[str]] = {}
        self.fills: list[tuple[str, int]] = []

    def join(self, name: str, ticks: int, lots: int, displayed: int) -> None:
        """Stand behind all that is displayed at the price."""
        queue = self.queues.setdefault(ticks, [])
        queue += [MARKET] * (displayed - queue.count(MARKET))
        queue += [name] * lots

    def sell(self, ticks: int, lots: int) -> None:
        """Let a sale of `lots` print at `ticks`; better prices are served first."""
        for price in sorted(self.queues, reverse=True):
            if price < ticks:
                break
            if price > ticks:
                self.queues[price] = [token for token in self.queues[price] if token != MARKET]
            while lots > 0 and self.queues[price]:
                token = self.queues[price].pop(0)
                lots -= 1
                if token != MARKET:
                    self.fills.append((token, price))

    def show(self, displayed: dict[int, int]) -> None:
        """Let the market show its sizes: what cannot be ahead of an order any more is gone."""
        for price, queue in self.queues.items():
            ahead = 0
            kept = []
            for token in queue:
                ahead += token == MARKET
                if token != MARKET or ahead <= displayed.get(price, 0):
                    kept.append(token)
            self.queues[price] = kept

    def ahead(self, name: str) -> int | None:
        """Count the market's lots before the order; None if it rests no more."""
        for queue in self.queues.values():
            if name in queue:
                return queue[: queue.index(name)].count(MARKET)
        return None
