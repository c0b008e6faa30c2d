"""A file is known by its content; what no source reads is named in one line that says what to do."""

import bz2
import gzip
import io
import lzma
import pickle
import tarfile
import zipfile

import polars
import pytest

from ami_engine.adapters.inspecting.recognise import CAPTURES, SOME_DAY, SOURCES, recognise
from ami_engine.assembly import FORMATS
from decision_schema.errors import MarketDataError

NS = "1723161254087891268 "
TICKER = '{"stream":"btcusdt@bookTicker","data":{"u":7,"s":"BTCUSDT","b":"9.5","B":"1","a":"9.6","A":"2"}}'
L2BOOK = '{"channel":"l2Book","data":{"coin":"BTC","time":1737918840013,"levels":[[{"px":"9","sz":"1"}],[{"px":"10","sz":"1"}]]}}'
ORDERBOOK = '{"topic":"orderbook.50.XRPUSDT","type":"snapshot","ts":1733011200691,"data":{"s":"XRPUSDT","b":[["1.9","1"]],"a":[["2.0","1"]],"u":1}}'
MESSAGES = "34200.1,1,7,18,5853300,1\n34200.2,3,7,18,5853300,1\n34201,7,0,0,-1,-1\n"
BOOKS = "5859400,200,5853300,18\n5859400,200,5853200,18\n"
LEAN = "339,1.38833,1.38835\n634,1.38835,1.38836\n"
HISTDATA = "20200101 170000065,1.121200,1.121720,0\n20200101 170010447,1.121200,1.121920,0\n"
STAMP = "2024-08-08T23:54:16.5Z"

KNOWN = {
    "binance": ("capture.gz", NS + TICKER, "binance", {}),
    "binance without stamps": ("x.csv", TICKER, "binance", {}),
    "hyperliquid": ("x", NS + L2BOOK, "hyperliquid", {}),
    "bybit": ("x", ORDERBOOK, "bybit", {}),
    "a torn row before": ("x", '3161254087891268 {"stream":"b\n' + NS + TICKER, "binance", {}),
    "lobster": (
        "AAPL_2012-06-21_34200000_57600000_message_10.csv",
        MESSAGES,
        "lobster",
        {"date": "2012-06-21", "market_id": "AAPL", "opening": "empty"},
    ),
    "lobster, a name that tells nothing": ("x", MESSAGES, "lobster", {"date": SOME_DAY, "opening": "empty"}),
    "quotes": ("eurusd.csv", f"time,bid,ask\n{STAMP},1.1,1.2\n", "csv", {"market_id": "EURUSD"}),
    "quotes of several markets": ("eurusd.csv", f"time,symbol,bid,ask\n{STAMP},X,1.1,1.2\n", "csv", {}),
    "trades; semicolons": ("x.csv", f"timestamp;price;qty;side\n{STAMP};1.1;5;buy\n", "csv", {}),
    "deltas": ("x.csv", f"ts,side,price,size,is_snapshot\n{STAMP},bid,1.1,5,true\n", "csv", {}),
    "orders": (
        "x.csv",
        f"id,timestamp,price,volume,action,direction\n7,{STAMP},1.1,5,created,bid\n",
        "csv",
        {"opening": "empty"},
    ),
    "levels": ("x.csv", f"ts,bid_price_0,bid_size_0,ask_price_0,ask_size_0\n{STAMP},1,5,2,5\n", "csv", {}),
    "quotes and trades in a row": (
        "x.csv",
        f"ts,bid,ask,price,size\n{STAMP},1.1,1.2,1.2,5\n",
        "csv",
        {"rows": "quotes"},
    ),
    "lean": ("20140506_eurusd.csv", LEAN, "csv", {"date": "2014-05-06", "market_id": "EURUSD"}),
    "lean, a name that tells nothing": ("x", LEAN, "csv", {"date": SOME_DAY}),
    "histdata": ("histdata_20200101.csv", HISTDATA, "csv", {}),
    "microseconds": ("x.csv", "ts,bid,ask\n1723161256000000,1.1,1.2\n", "csv", {}),
}
PACKERS = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}


@pytest.mark.parametrize("case", KNOWN)
def test_known_forms(tmp_path, case):
    name, text, form, params = KNOWN[case]
    file = tmp_path / name
    file.write_text(text)
    found = recognise(file)
    assert (found.format, found.params) == (form, params)
    assert found.why
    assert set(found.guessed) == set(params)
    assert SOURCES[form](file, **params).next_event() is not None


@pytest.mark.parametrize("packer", PACKERS)
def test_however_packed(tmp_path, packer):
    file = tmp_path / "eurusd.bin"
    file.write_bytes(PACKERS[packer](KNOWN["quotes"][1].encode()))
    assert recognise(file)[:2] == ("csv", {"market_id": "EURUSD"})


def test_zip_and_zstd(tmp_path):
    zstandard = pytest.importorskip("zstandard")
    file = tmp_path / "x"
    file.write_bytes(zstandard.compress((NS + TICKER).encode()))
    assert recognise(file).format == "binance"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("20140506.csv", LEAN)
    assert recognise(file).format == "csv"


def test_parquet(tmp_path):
    file = tmp_path / "quotes.csv"
    polars.DataFrame({"ts": [1723161256000], "bid": [1.1], "ask": [1.2]}).write_parquet(file)
    found = recognise(file)
    assert (found.format, found.params) == ("parquet", {})
    assert "ts 'ts', bid 'bid', ask 'ask'" in found.why
    file.write_bytes(gzip.compress(file.read_bytes()))
    with pytest.raises(MarketDataError, match="is Parquet packed by gzip: unpack it first"):
        recognise(file)


def test_the_formats_are_those_of_the_config():
    assert {name: f"{source.__module__}:{source.__name__}" for name, source in SOURCES.items()} == FORMATS
    assert CAPTURES.items() <= SOURCES.items()


def _tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"))
    return stream.getvalue()


def _zip(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, LEAN)
    return stream.getvalue()


OWN = "docs/your_own_data.md"
NOT_READ = {
    "dbn": (b"DBN\x03`\x01\0\0EQUS.MINI\0\0\0", "looks like Databento's DBN: convert it to csv or parquet"),
    "r": (gzip.compress(b"RDX3\nX\n\0\0\0"), "looks like R data: save it in R as csv"),
    "hdf5": (b"\x89HDF\r\n\x1a\n\0", "looks like HDF5"),
    "sqlite": (b"SQLite format 3\0", "looks like an SQLite database"),
    "numpy": (b"\x93NUMPY\x01\0", "looks like a numpy array"),
    "pickle": (pickle.dumps([1.0] * 9), "is binary and of no format that is known"),
    "tar": (gzip.compress(_tar()), "looks like a tar archive"),
    "packed twice": (gzip.compress(gzip.compress(b"a")), "looks like packed twice: unpack it once"),
    "zip of two": (_zip("a", "b"), "unpack it, and name the file that you want"),
    "zip of none": (_zip(), "zip without a file"),
    "utf-16": ("ts,bid,ask\n1,2,3\n".encode("utf-16"), "save it as UTF-8"),
    "pitch": (b"28800011AAK27GA0000DTS000100SH    0000619200Y\n", f"looks like BATS PITCH: .*{OWN}"),
    "betfair": (b'{"op":"mcm","pt":1,"mc":[]}\n', f"a stream of the Betfair Exchange: .*{OWN}"),
    "cryptofeed": (b"wss://ws.kraken.com <-> 1618678132.38\n1618678132.8: {}\n", f"of cryptofeed: .*{OWN}"),
    "bitstamp": (b'1430438404518 order_created {"price":"236.47","id":6}\n', r"no venue that is known \(keys price, id\)"),
    "json array": (b'[{"time": "2022", "price": 1.0}]', "looks like one JSON array"),
    "other json": (b'{"type":"l2update","product_id":"SKL-GBP"}\n', r"no venue that is known \(keys type, product_id\)"),
    "deep json": (b"{\"a\":" * 10_000 + b"}" * 10_000, "looks like JSON that cannot be read"),
    "web page": (b"<!DOCTYPE html>\n<html>", "looks like a web page"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a pointer of Git LFS"),
    "spaces": (b"1 2.5 3.5\n2 2.5 3.5\n", "use the csv source with delimiter = ' '"),
    "prose": (b"Dear user\nhello\n", "looks like plain text"),
    "blank": (b"\n\n  \n", "holds blank rows only"),
    "empty": (b"", "is empty"),
    "packed, empty": (gzip.compress(b""), "is packed, but empty"),
    "cut before its first row": (gzip.compress(b"ts,bid,ask\n")[:9], "is cut before its first row"),
    "books": (BOOKS.encode(), "a LOBSTER book file .levels a side: 1., which is not run alone"),
    "unknown columns": (b"when,foo,bar\n2024-01-01,1,2\n", "no columns of bid and ask.* It has: when, foo, bar"),
    "unknown form": (b"1,2,3,4,5,6,7\n1,2,3,4,5,6,7\n", "has no header that is known"),
    "rows of another width": (b"ts,bid,ask\n1,2\n1,2\n", "correct the header"),
    "small times": (b"ts,bid,ask\n5,1.1,1.2\n6,1.1,1.2\n", "since midnight: set time_unit"),
    "no time": (b"ts,bid,ask\nx,1.1,1.2\n", "set time_format"),
}  # fmt: skip


@pytest.mark.parametrize("case", NOT_READ)
def test_what_is_not_read_is_one_line_that_says_what_to_do(tmp_path, case):
    content, says = NOT_READ[case]
    file = tmp_path / "x"
    file.write_bytes(content)
    with pytest.raises(MarketDataError, match=says) as error:
        recognise(file)
    assert len(str(error.value).splitlines()) == 1
    assert len(str(error.value)) < 400


def test_a_path_that_is_no_file(tmp_path):
    with pytest.raises(MarketDataError, match="is a folder: name the file in it"):
        recognise(tmp_path)
    with pytest.raises(MarketDataError, match="does not exist: check the path and MDM_DATA"):
        recognise(tmp_path / "nowhere")


def test_books_and_messages_find_each_other(tmp_path):
    books, messages = (tmp_path / f"AAPL_2012-06-21_{kind}_1.csv" for kind in ("orderbook", "message"))
    books.write_text(BOOKS)
    with pytest.raises(MarketDataError, match="inspect the message file that came with it"):
        recognise(books)
    messages.write_text(MESSAGES)
    with pytest.raises(MarketDataError, match=f"inspect {messages.name}, and give this one as its orderbook"):
        recognise(books)
    assert recognise(messages).params["opening_book"] == str(books)


def test_a_file_cut_within_its_first_rows(tmp_path):
    file = tmp_path / "x.gz"
    rows = "".join(f"17231612560{n:02},1.1,1.2\n" for n in range(30))
    packed = gzip.compress(("ts,bid,ask\n" + rows).encode(), mtime=0)
    file.write_bytes(packed[:-12])
    assert recognise(file).format == "csv"
