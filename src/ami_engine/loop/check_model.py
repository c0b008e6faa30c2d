"""`check_model`: try a model out before a run: can it be compiled, does it fail, is it the same compiled?"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from ami_engine.config import RunConfig
from ami_engine.features.catalogue import NAMES, named
from ami_engine.kernels.decision import Proposed
from ami_engine.kernels.features import N_FEATURES, N_MARKET_FEATURES
from ami_engine.kernels.fused import try_model
from ami_engine.kernels.model_input import ModelInput
from ami_engine.kernels.proposing import check_proposed, clear_proposed
from ami_engine.kernels.records import Memory
from ami_engine.loop.columns import chunks_of
from ami_engine.loop.engine import Engine
from ami_engine.loop.market_rows import MarketRows
from ami_engine.loop.watch import Watch
from ami_engine.mdm.decision_engine import DecisionEngine
from ami_engine.mdm.kernel_model import KernelModel
from ami_engine.mdm.scorer import Scorer
from ami_engine.sim.paper_broker import PaperBroker
from decision_schema.errors import ConfigError
from decision_schema.instruments import Instrument
from decision_schema.reasons import OK
from dmc_core.dmc.guards import ACTIONS
from dmc_core.dmc.risk_policy import RiskPolicy
from dmc_core.jit import MISSING, bound, can_compile
from dmc_core.layout import RecordView, array_of

NAN = math.nan
MADE_ROWS = 900
MADE_STEP_NS = 250_000_000
MADE_BEGIN_NS = 1_700_000_000_000_000_000


class ModelCheck(msgspec.Struct, frozen=True):
    """What `check_model` found; ``str()`` tells it in a few lines.

    Args:
        model: Its name.
        speed: How a batch run takes it: compiled, with or without scores in blocks, or per event.
        samples: How many rows it was asked about.
        actions: What it proposed, by action.
        raised: What it raised, by kind and text; in a run each of these steps holds as ``model_error``.
        problems: What is wrong, a line each; empty = nothing.
    """

    model: str
    speed: str
    samples: int
    actions: dict[str, int]
    raised: dict[str, int]
    problems: list[str]

    @property
    def ok(self) -> bool:
        """Tell whether nothing is wrong."""
        return not self.problems

    def __str__(self) -> str:
        said = ", ".join(f"{count} {action}" for action, count in self.actions.items())
        lines = [f"{self.model}: {self.speed}; of {self.samples} samples: {said or 'no proposal'}"]
        return "\n".join([*lines, *(f"- {problem}" for problem in self.problems)])


def check_model(
    model: Any,
    data: Any = None,
    *,
    params: Mapping[str, Any] | None = None,
    instrument: Instrument | None = None,
    rows: int = 1_000,
    fast: bool | None = None,
) -> ModelCheck:
    """Ask a model about rows of data, interpreted and compiled, without a run: it takes seconds.

    Beside the rows it is asked about a typical one in which each feature in turn is zero, or not known:
    so a division by zero is found that the data do not happen to hold.

    Args:
        model: As `run_batch` takes it.
        data: Columns as in `run_batch`, of one market; None = made ones, a book around 0.5.
        params: Of the model.
        instrument: Grid and fees of the market; None = tick 0.001, lot 1.
        rows: Most rows of the data.
        fast: Compile it, too (needs numba); None = where numba is installed.

    Raises:
        ConfigError: There is no such model, its params or scorer make no sense, or the data do not.

    >>> from ami_engine.mdm.reference_model import propose_reference
    >>> print(check_model(propose_reference, fast=False))
    propose_reference: a kernel, not compiled here; of 952 samples: 561 HOLD, 391 ACT
    """
    market = instrument or Instrument(market_id="CHECK", tick_size="0.001", lot_size="1")
    engine = DecisionEngine(model, **dict(params or {}))
    name = engine.model_id.removeprefix("model:")
    features = _features(engine, market, _made() if data is None else data, rows)
    kernel_model = engine.kernel_model
    if kernel_model is None:
        return _check_python(engine, name, features)
    compile_it = can_compile() if fast is None else fast
    if compile_it and not can_compile():
        raise ConfigError(MISSING)
    problems: list[str] = []
    speed = "compiled" if compile_it else "a kernel, not compiled here"
    if kernel_model.scorer is not None:
        speed += ", scores in blocks of 16"
        problems += _of_scorer(kernel_model.scorer, features)
    twin = None
    if compile_it:
        try:
            twin = _Twin(kernel_model)
        except ConfigError as error:
            speed = "interpreted, slower: run_batch(..., fast=False)"
            problems.append(str(error))
    actions, raised, differs = _ask(kernel_model, engine.params, features, market, twin)
    problems += [f"it raises {text} in {count} samples: there a run holds" for text, count in raised.items()]
    if differs:
        problems.append(f"compiled it differs in {len(differs)} samples, first {differs[0]}: {_GUARD}")
    return ModelCheck(name, speed, len(features), actions, raised, problems)


_GUARD = "docs/fast_models.md has the rules that keep both the same"


def _ask(
    model: KernelModel, params: Mapping[str, Any], features: list[list[float]], market: Instrument, twin: Any
) -> tuple[dict[str, int], dict[str, int], list[str]]:
    """Ask about each sample; give the actions, what was raised, and where the twin says something else."""
    memory = Memory(model.first_memory())
    actions: Counter[str] = Counter()
    raised: Counter[str] = Counter()
    differs = []
    for i, x in enumerate(_inputs(model, params, features, market)):
        before = list(memory.values)
        answer = Proposed()
        model.asked(x, memory, answer)
        if check_proposed(answer) != OK:
            raised[_why_not(model, x, Memory(before))] += 1
        else:
            actions[str(ACTIONS[answer.action])] += 1
        if twin is not None:
            difference = twin.difference(x, before, answer, memory)
            if difference:
                differs.append(f"sample {i}, {difference}")
    return dict(actions.most_common()), dict(raised.most_common()), differs


def _why_not(model: KernelModel, x: ModelInput, memory: Memory) -> str:
    """Say why there is no answer: what the plain function raises, else what it gives."""
    if model.scorer is not None and math.isnan(x.scores[0]):
        return "no finite score"
    answer = Proposed()
    try:
        model.function(x, memory, answer)
    except Exception as error:  # noqa: BLE001 - user code
        return f"{type(error).__name__}: {error}"
    return f"nothing, but answers action {answer.action}, confidence {answer.confidence}"


class _Twin:
    """The model compiled by itself, and its records as arrays."""

    def __init__(self, model: KernelModel) -> None:
        self._records = array_of([ModelInput()]), array_of([Memory()]), array_of([Proposed()])
        self._ask = bound(try_model, self._records, ("ask_model", model.asked))

    def difference(self, x: ModelInput, memory: list[float], answer: Proposed, after: Memory) -> str:
        """Ask the twin about the same; say which number differs, empty = none does."""
        own = Proposed()
        self._records[0][:] = array_of([x])
        self._records[1][:] = array_of([Memory(memory)])
        self._records[2][:] = array_of([own])
        self._ask(*self._records)
        view: Any = RecordView(self._records[2][0])
        if check_proposed(view) != OK:
            clear_proposed(view)
        for name in ("action", "confidence", "value", "problem", "has_terms", "n_terms", "reason", "detail"):
            if repr(getattr(view, name)) != repr(getattr(answer, name)):
                return f"{name} {getattr(view, name)!r}, interpreted {getattr(answer, name)!r}"
        for k in range(answer.n_terms):
            for name in answer.terms[k].__slots__:
                seen, wanted = getattr(view.terms[k], name), getattr(answer.terms[k], name)
                if repr(seen) != repr(wanted):
                    return f"terms[{k}].{name} {seen!r}, interpreted {wanted!r}"
        values = self._records[1][0]["values"].tolist()
        for k, (seen, wanted) in enumerate(zip(values, after.values, strict=True)):
            if repr(seen) != repr(wanted):
                return f"memory.values[{k}] {seen!r}, interpreted {wanted!r}"
        return ""


def _check_python(engine: DecisionEngine, name: str, features: list[list[float]]) -> ModelCheck:
    actions: Counter[str] = Counter()
    raised: Counter[str] = Counter()
    for i, vector in enumerate(features):
        answer = engine.propose(named(vector), now_ns=MADE_BEGIN_NS + i * MADE_STEP_NS)
        kind = next((reason for reason in answer.reasons if reason.startswith("model_error:")), "")
        if kind:
            kind = kind.removeprefix("model_error:")
            raised[f"{kind}: {engine.errors.get(kind, '')}"] += 1
        else:
            actions[str(answer.action)] += 1
    problems = [f"it raises {text} in {count} samples: there a run holds" for text, count in raised.items()]
    return ModelCheck(
        name, "per event", len(features), dict(actions.most_common()), dict(raised.most_common()), problems
    )


def _of_scorer(scorer: Scorer, features: list[list[float]]) -> list[str]:
    """Say where the scores of a row hang on the rows around it, or on how often they were asked for."""
    import numpy as np

    rows = np.array(features)[:, scorer.places]
    together = scorer.score_rows(rows)
    problems = []
    for others, words in (
        (scorer.score_rows(rows), "asked twice"),
        (scorer.score_rows(rows[::-1])[::-1], "among other rows"),
        (np.concatenate([scorer.score_rows(rows[i : i + 1]) for i in range(len(rows))]), "alone"),
    ):
        count = int(
            (together.view(np.int64) != np.ascontiguousarray(others).view(np.int64)).any(axis=1).sum()
        )
        if count:
            problems.append(
                f"scorer {scorer.name} gives {count} of {len(rows)} rows other scores {words}: live and "
                "batch will differ; the scores of a row must depend on that row alone"
            )
    return problems


def _features(engine: DecisionEngine, market: Instrument, data: Any, rows: int) -> list[list[float]]:
    """Give feature vectors: those of the data, then a typical one with a zero or a nan in each place."""
    run = Engine(
        run_id="check", run_key=b"check", config=RunConfig(), policy=RiskPolicy(), model=engine,
        instruments={market.market_id: market}, capabilities=PaperBroker().capabilities(),
    )  # fmt: skip
    watch, loader = Watch(run, list(range(N_MARKET_FEATURES))), MarketRows(fast=False)
    found: list[list[float]] = []
    for columns in chunks_of(data, market_id=market.market_id):
        count = min(columns.length, rows - len(found))
        matrix, _ = watch.features(loader.load(columns, 0, count), count, columns.market_ids, 0)
        found += matrix.tolist()
        if len(found) >= rows:
            break
    if not found:
        raise ConfigError("data hold no row with a book: there is nothing to ask the model about")
    typical = list(found[-1])
    for place in range(N_MARKET_FEATURES):
        for value in (0.0, NAN):
            changed = list(typical)
            changed[place] = value
            found.append(changed)
    own = [NAN] * (N_FEATURES - N_MARKET_FEATURES)
    return [vector + own for vector in found]


def _inputs(
    model: KernelModel, params: Mapping[str, Any], features: list[list[float]], market: Instrument
) -> Iterator[ModelInput]:
    """Give what the model sees in each sample: flat, long and short in turn."""
    (tick_num, tick_den), (lot_num, lot_den) = market.tick, market.lot
    for i, vector in enumerate(features):
        x = ModelInput(params=model.values_of(params))
        for name, value in zip(NAMES, vector, strict=True):
            setattr(x, name, value)
        x.tick, x.lot = tick_num / tick_den, lot_num / lot_den
        x.now_ns, x.step, x.equity = MADE_BEGIN_NS + i * MADE_STEP_NS, i + 1, 1_000.0
        x.position = x.lot * float(i % 3 - 1)
        x.average_price = NAN if i % 3 == 1 else x.mid
        model.show_scores(x, vector)
        yield x


def _made() -> dict[str, Any]:
    """Make quotes and trades around 0.5."""
    import numpy as np

    t = np.arange(MADE_ROWS)
    bid = np.round(0.5 + 0.02 * np.sin(t / 40) + 0.004 * np.sin(1.7 * t), 3)
    is_trade = t % 5 == 0
    return {
        "ts_ns": MADE_BEGIN_NS + MADE_STEP_NS * t,
        "bid": bid,
        "ask": bid + 0.001 * (2 + 7 * t % 5),
        "bid_size": 1.0 + 37 * t % 89,
        "ask_size": 1.0 + 53 * t % 97,
        "trade_price": np.where(is_trade, bid + 0.001, np.nan),
        "trade_size": np.where(is_trade, 5.0, np.nan),
        "trade_side": np.where(is_trade, t % 3 - 1, 0),
    }
