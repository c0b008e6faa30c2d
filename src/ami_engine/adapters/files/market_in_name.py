"""The market that the name of a file tells: a guess."""

import re

_WORD = re.compile(r"[A-Za-z0-9.]+", re.ASCII)
_MONEY = re.compile(
    "[A-Z0-9]{2,}(?:USD|EUR|GBP|JPY|CHF|AUD|CAD|NZD|CNH|HKD|SGD|SEK|NOK|MXN|BTC|ETH|USDT|USDC|BUSD|FDUSD)",
    re.ASCII,
)
_TICKER = re.compile(r"[A-Z]{1,5}", re.ASCII)


def market_in_name(name: str) -> str:
    """Guess the market from the name of a file: a pair that ends in money, else a ticker in front.

    >>> market_in_name("oanda_eurusd_20140508_quote.zip"), market_in_name("usdjpy-ticks.csv.gz")
    ('EURUSD', 'USDJPY')
    >>> market_in_name("AAPL_2012-06-21_message_10.csv"), market_in_name("quotes.csv")
    ('AAPL', '')
    """
    words: list[str] = _WORD.findall(name.split(".", 1)[0])
    for word in words:
        pair = word.upper()
        if _MONEY.fullmatch(pair):
            return pair
    return words[0] if len(words) > 1 and _TICKER.fullmatch(words[0]) else ""
