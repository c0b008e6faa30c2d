"""What uses the future is named; what does not is left alone; chance is told apart."""

import itertools

import pytest

from ami_engine.loop.run_loop import run_loop
from ami_engine.replay.lookahead import find_lookahead
from ami_engine.sim.paper_broker import PaperBroker
from ami_engine.testing import ListSource, book
from decision_schema.errors import ConfigError
from decision_schema.instruments import Instrument
from decision_schema.types import Action, Proposal

T0 = 1_700_000_000_000
COUNT = 60
BIDS = [0.40 + 0.01 * ((7 * i * i) % 11) for i in range(COUNT)]
COIN = Instrument(market_id="C", tick_size="0.01", lot_size="1", kind="binary")


def event(i, bid, **parts):
    return {**book(round(bid, 2), round(bid + 0.02, 2)), "market_id": "C", "ts_ms": T0 + 500 * i, **parts}


def quote(features, **offered):
    return Proposal(action=Action.ACT, confidence=0.6, params={"value": features["mid"]})


def runs(make_source, make_model=lambda seen: quote, make_broker=lambda seen: PaperBroker(), name="r"):
    """Run the first events: source, model and broker are made from them alone."""

    def run(events, folder):
        seen = BIDS[:events]
        source = make_source(seen)
        return run_loop(
            ListSource(source, instruments=[COIN]) if isinstance(source, list) else source,
            make_broker(seen), decision_engine=make_model(seen), run_id=name, output_dir=folder,
        )  # fmt: skip

    return run


def plain(seen):
    return [event(i, bid) for i, bid in enumerate(seen)]


def test_what_is_clean_is_found_clean():
    found = find_lookahead(runs(plain))
    assert found.clean
    assert (found.events, found.packets) == (COUNT, COUNT)
    assert len(found.prefixes) == 5
    assert all(prefix.packets == prefix.events and prefix.differing == 0 for prefix in found.prefixes)
    assert found.features > 20


def test_a_model_that_knows_the_mean_of_all_data_is_named_with_its_first_step():
    def scored(seen):
        mean = sum(seen) / len(seen)

        def model(features):
            return Proposal(
                action=Action.ACT,
                confidence=0.6,
                params={"value": features["mid"], "z": features["mid"] - mean},
            )

        return model

    found = find_lookahead(runs(plain, scored))
    assert (found.first.part, found.first.field) == ("proposal", "proposal.params.z")
    assert (found.first.step, found.first.event, found.first.market_id) == (1, 1, "C")
    assert found.first.whole != found.first.prefix
    assert found.fields["proposal.params.z"] == sum(prefix.packets for prefix in found.prefixes)
    # 9 to 59: no prefix that was run gave the same, and the whole run has 59 events after the first.
    assert found.needs_at_most == COUNT - 1
    assert found.needs_more_than == found.prefixes[-1].events - 1


def test_a_source_with_the_next_price_differs_at_the_end_of_each_prefix():
    def ahead(seen):
        return [event(i, seen[min(i + 1, len(seen) - 1)]) for i in range(len(seen))]

    found = find_lookahead(runs(ahead), at=[10, 20, 30])
    assert found.first.field in ("input bid", "input ask")
    assert found.first.event == 10
    assert (found.needs_more_than, found.needs_at_most) == (0, 10)
    assert [prefix.first.event for prefix in found.prefixes] == [10, 20, 30]
    narrowed = find_lookahead(runs(ahead), at=[10, 20, 30], narrow=True)
    assert (narrowed.needs_more_than, narrowed.needs_at_most) == (0, 1)
    spared = find_lookahead(runs(ahead), at=[10, 20, 30], spare=1)
    assert spared.clean


def test_a_source_that_leaves_out_the_last_event_lacks_it():
    def ahead(seen):
        return [event(i, bid) for i, bid in enumerate(seen[1:])]

    found = find_lookahead(runs(ahead), at=[10, 20])
    assert (found.first.field, found.first.event, found.first.prefix) == ("event", 10, "missing")
    assert found.prefixes[0].ended_early == "exhausted"


def test_a_centred_mean_needs_what_its_half_window_is():
    def centred(seen):
        parts = [seen[max(0, i - 3) : i + 4] for i in range(len(seen))]
        return [
            event(i, bid, mean=sum(part) / len(part))
            for i, (bid, part) in enumerate(zip(seen, parts, strict=True))
        ]

    found = find_lookahead(runs(centred), at=[20, 40], narrow=True)
    assert found.first.field == "input extra.mean"
    assert found.first.event == 18
    assert (found.needs_more_than, found.needs_at_most) == (2, 3)


def test_a_model_that_peeks_into_the_iterator_of_its_source():
    shared = {}

    def source(seen):
        ours, shared["next"] = itertools.tee(plain(seen))
        next(shared["next"], None)
        return ListSource(ours, instruments=[COIN])

    def model(seen):
        def propose(features):
            after = next(shared["next"], None)
            rises = after is not None and after["bid"] > features["mid"]
            return Proposal(
                action=Action.ACT, confidence=0.9 if rises else 0.5, params={"value": features["mid"]}
            )

        return propose

    rising = [i + 1 for i in range(COUNT - 1) if BIDS[i + 1] > BIDS[i] + 0.01]
    found = find_lookahead(runs(source, model), at=rising[3:6])
    assert found.first.field == "proposal.confidence"
    assert found.first.event == rising[3]
    assert (found.first.whole, found.first.prefix) == (0.9, 0.5)


def test_a_broker_that_fills_at_the_best_price_to_come():
    class Clairvoyant(PaperBroker):
        def __init__(self, seen):
            super().__init__()
            self.low = min(seen)

        def process_fills(self, now_ms):
            import msgspec

            from decision_schema.events import Fill

            reports = super().process_fills(now_ms)
            return [msgspec.structs.replace(r, price=self.low) if isinstance(r, Fill) else r for r in reports]

    def rising(seen):
        return [event(i, 0.30 + 0.005 * i if i % 3 else 0.60 - 0.008 * i) for i in range(len(seen))]

    found = find_lookahead(
        runs(rising, make_broker=lambda seen: Clairvoyant([0.9 - 0.01 * i for i in range(len(seen))]))
    )
    assert found.fills > 0
    assert found.first.part == "report"
    assert found.first.field.startswith("fill of order ")
    assert found.first.field.endswith(": price")


def test_chance_is_told_apart_from_the_future_and_hides_none_of_the_markets():
    count = itertools.count()

    def model(seen):
        def propose(features):
            return Proposal(
                action=Action.ACT, confidence=1 / (2 + next(count)), params={"value": features["mid"]}
            )

        return propose

    found = find_lookahead(runs(plain, model))
    assert not found.clean
    assert found.first is None
    assert found.unstable.field == "proposal.confidence"
    assert "proposal.confidence" in found.unstable_fields

    def ahead(seen):
        return [event(i, seen[min(i + 1, len(seen) - 1)]) for i in range(len(seen))]

    both = find_lookahead(runs(ahead, model), at=[10, 20])
    assert both.unstable.field == "proposal.confidence"
    assert both.first.field in ("input bid", "input ask")


def test_events_without_a_time_are_stamped_by_the_wall():
    def timeless(seen):
        return [{key: value for key, value in item.items() if key != "ts_ms"} for item in plain(seen)]

    found = find_lookahead(runs(timeless), at=[10])
    assert found.unstable.field == "time"
    assert found.first is None


def test_arguments_that_make_no_sense_are_refused():
    for words, more in (
        ("cuts is 0", {"cuts": 0}),
        ("spare is -1", {"spare": -1}),
        ("prefix of 0 events", {"at": [0]}),
        ("a prefix of 61 events is none of a run of 60", {"at": [61]}),
        ("no prefix to check", {"at": [3], "spare": 3}),
    ):
        with pytest.raises(ConfigError, match=words):
            find_lookahead(runs(plain), **more)


def test_runs_of_different_names_cannot_be_compared():
    names = itertools.count()

    def run(events, folder):
        return runs(plain, name=f"r{next(names)}")(events, folder)

    with pytest.raises(ConfigError, match="give run_loop one run_id"):
        find_lookahead(run)


def test_a_prefix_that_cannot_be_run_is_told(tmp_path):
    def run(events, folder):
        if events is not None and events < 30:
            raise ConfigError("too few rows")
        return runs(plain)(events, folder)

    found = find_lookahead(run)
    assert found.first is None
    assert [prefix.failed for prefix in found.prefixes if prefix.failed] == ["too few rows"] * 2
    with pytest.raises(ConfigError, match="no prefix can be run: too few rows"):
        find_lookahead(run, at=[10, 20])


def test_steps_over_more_data_are_checked_to_their_last():
    def run(events, folder):
        seen = BIDS if events is None else BIDS[:events]
        return run_loop(
            ListSource(plain(seen), instruments=[COIN]), PaperBroker(), steps=40, decision_engine=quote, run_id="r",
            output_dir=folder,
        )  # fmt: skip

    found = find_lookahead(run, cuts=4)
    assert found.prefixes[-1].events == 40
    assert found.clean
