"""Runs on recorded data judged again: each verdict comes out as it was, and a wider policy lets more through."""

import msgspec
import pytest

from ami_engine.loop.run_loop import run_loop
from ami_engine.replay.tape import Tape
from ami_engine.replay.whatif import whatif
from ami_engine.replay.why_not import why_not
from ami_engine.sim.paper_broker import PaperBroker
from tests.recorded.test_own_data import CASES, quote

EVENTS = 1_500


@pytest.mark.parametrize("case", CASES)
def test_every_verdict_comes_out_as_recorded(mdm_data, tmp_path, case):
    make_source, config = CASES[case]
    config = msgspec.structs.replace(config, guards=msgspec.structs.replace(config.guards, sigma_spike_z_max=1.0))
    summary = run_loop(
        make_source(mdm_data), PaperBroker(), steps=EVENTS, decision_engine=quote, config=config, output_dir=tmp_path
    )
    own = Tape(summary["run_dir"]).engine.policy
    same = whatif(summary["run_dir"], own)
    assert (same.steps, same.changed) == (EVENTS, 0)
    assert same.proposals > 0
    other = whatif(summary["run_dir"], msgspec.structs.replace(own, sigma_spike_z_max=0.0))
    before, after = (found.guards["sigma_spike"].after if "sigma_spike" in found.guards else 0 for found in (same, other))
    assert after == 0
    assert (other.changed > 0) == (why_not(summary["run_dir"]).sole_blockers.get("sigma_spike", 0) > 0 or before > 0)
