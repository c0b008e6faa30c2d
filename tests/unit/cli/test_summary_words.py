"""The summary on the terminal stays short, however many markets there are."""

import pytest
from rich.console import Console

from ami_engine.cli.run import print_summary
from ami_engine.loop.run_loop import run_loop
from ami_engine.sim.paper_broker import PaperBroker
from ami_engine.testing import ListSource, book
from decision_schema.instruments import Instrument

T0 = 1_600_000_000_000


@pytest.mark.parametrize(("count", "told"), [(10, []), (11, ["and 1 more"]), (256, ["and 246 more"])])
def test_of_many_markets_the_first_ten_are_told(tmp_path, capsys, count, told):
    names = [f"M{i}" for i in range(count)]
    source = ListSource(
        [book(market_id=name, ts_ms=T0 + i) for i, name in enumerate(names)],
        instruments=[Instrument(market_id=name, tick_size="0.01", lot_size="1") for name in names],
    )
    summary = run_loop(source, PaperBroker(), output_dir=tmp_path, run_id="r")
    assert len(summary["markets"]) == count
    print_summary(Console(highlight=False, soft_wrap=True), summary)
    lines = capsys.readouterr().out.splitlines()
    for name in ("market", "data"):
        found = [line[12:] for line in lines if line.split()[0] == name]
        assert [line.split(":")[0] for line in found] == [*names[:10], *told]
    assert len(lines) < 50
