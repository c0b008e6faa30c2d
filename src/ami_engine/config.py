"""RunConfig: everything a run is told, frozen, from TOML or code; unknown keys are refused."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from decision_schema.errors import ConfigError, ContractError
from decision_schema.instruments import Instrument
from decision_schema.meanings import meanings as meanings_of
from decision_schema.units import DurationNs, Notional, Size
from dmc_core.dmc.risk_policy import ACCOUNT_LIMITS, RiskPolicy

MAX_LATENCY_MS = 60_000.0
MAX_LATENCY_SIGMA = 3.0
SHARE_TOLERANCE = 1e-9
"""Shares add up to 1 within this part: a tenth has no exact float."""


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file."""


class RunSection(_Section, frozen=True, kw_only=True):
    """The table ``[run]``.

    Args:
        mode: Which source, broker and clock the assembly chooses.
        run_id: Name of the run's folder; None = made from the start time.
        steps: Most events of the source; None = all.
        seed: Seed of every chance.
        dry_run: Everything but sending orders.
        timer_ms: Interval of timer events; None = 1,000 with a live source or where a policy pulls orders by
            time (`stale_cancel_ms`, `max_crossed_ms`, `max_frozen_ms`), else off.
        initial_equity: Money at the start, in account currency.
        max_clock_skew_ms: How far a venue's time may be ahead of ours.
        fast: Run the kernels compiled (needs numba); the packets are the same. None = `mdm backtest`
            compiles where it pays, all other runs do not.
        day_zone: Time zone of the venue, whose days the daily loss and drawdown are counted by.
        day_start: Time of the day at which one begins there: ``17:00`` in New York for FX and futures.
        allocation: Who may use the limits that all markets share: ``first`` come, first served, or
            ``reserve``, where each entry of ``[[markets]]`` keeps its `share`.
    """

    mode: Literal["sim", "backtest", "paper", "live"] = "sim"
    run_id: str | None = None
    steps: int | None = None
    seed: int = 0
    dry_run: bool = False
    timer_ms: int | None = None
    initial_equity: Notional = 100.0
    max_clock_skew_ms: int = 1_000
    fast: bool | None = None
    day_zone: str = "UTC"
    day_start: str = "00:00"
    allocation: Literal["first", "reserve"] = "first"


class SimSection(_Section, frozen=True, kw_only=True):
    """The table ``[data.sim]``: the arguments of MicrostructureSim, and how many events it yields.

    What is absent is that of the preset.

    Args:
        mid: Where the fair value begins, and is drawn back to.
        spread: Mean distance of ask and bid, about.
        preset: Character of the market: ``prediction_market``, ``equity``, ``crypto`` or ``fx``.
        num_events: Events of the run.
        tick_size: Price step.
        lot_size: Size step.
        levels: Displayed prices a side, at most.
        interval_ms: Time between events.
        market_id: Name of the market.
        kind: ``binary`` (settles at 0 or 1) or ``linear``.
        maker_fee: Fee of a resting fill as a part of its value.
        taker_fee: Fee of a taking fill as a part of its value.
        depth_lots: Size displayed at a price, in lots, about.
        trade_rate: Taking orders a second.
        trade_lots: Mean size that a taker wants, in lots.
        volatility: Of the fair value, in spreads per square root of a second.
        informed: Part of the takers who know the fair value.
        impact: What a taking order of mean size moves the makers' belief its own way, in spreads.
    """

    mid: float | None = None
    spread: float | None = None
    preset: Literal["prediction_market", "equity", "crypto", "fx"] = "prediction_market"
    num_events: int = 2_000
    tick_size: str | None = None
    lot_size: str | None = None
    levels: int = 5
    interval_ms: int = 100
    market_id: str = "SIM"
    kind: Literal["linear", "binary"] | None = None
    maker_fee: float | None = None
    taker_fee: float | None = None
    depth_lots: float | None = None
    trade_rate: float | None = None
    trade_lots: float | None = None
    volatility: float | None = None
    informed: float | None = None
    impact: float | None = None


class SourceSection(_Section, frozen=True, kw_only=True):
    """An entry of ``[[data.sources]]``.

    Args:
        source: As `data.source`.
        params: Its keyword arguments.
    """

    source: str
    params: dict[str, Any] = msgspec.field(default_factory=dict)


class DataSection(_Section, frozen=True, kw_only=True):
    """The table ``[data]``.

    Args:
        source: ``sim``; a format of recorded files: ``binance``, ``lobster``, ``csv``, ``parquet``,
            ``hyperliquid``, ``bybit``; or ``module:name`` of a MarketDataSource class or of a function that
            returns one.
        params: Keyword arguments of a source other than ``sim``: ``files`` and so on.
        sources: Several sources in one run instead of one; their events are merged by time.
        feed_latency_ms: From the venue to us, for events that carry only the venue's time: they are seen
            so much later. The constant, or the median of what is drawn.
        feed_latency_sigma: Of its logarithm (lognormal); 0 = constant.
        sim: The simulated market.
    """

    source: str = "sim"
    params: dict[str, Any] = msgspec.field(default_factory=dict)
    sources: list[SourceSection] = msgspec.field(default_factory=list)
    feed_latency_ms: float = 0.0
    feed_latency_sigma: float = 0.0
    sim: SimSection = SimSection()


class PaperSection(_Section, frozen=True, kw_only=True):
    """The table ``[broker.paper]``: how the paper broker fills; see docs/fills.md.

    Args:
        queue: What is assumed of cancellations ahead of us: ``conservative``, ``power``, ``log``, or
            ``module:name`` of a function from the lots before us and behind us to the share of cancelled
            lots that stood behind.
        queue_power: Exponent of ``power``.
        partial_fills: false = an order fills whole as soon as any of it would.
        entry_latency_ms: From us to the venue: the constant, or the median of what is drawn.
        response_latency_ms: From the venue to us, of what became of our orders.
        latency_sigma: Of the logarithm of drawn latencies (lognormal); 0 = constant.
        latency_table: CSV file of measured latencies instead, with columns ts_ns, entry_ns, response_ns.
    """

    queue: str = "conservative"
    queue_power: float = 3.0
    partial_fills: bool = True
    entry_latency_ms: float = 0.0
    response_latency_ms: float = 0.0
    latency_sigma: float = 0.0
    latency_table: str | None = None


class BrokerSection(_Section, frozen=True, kw_only=True):
    """The table ``[broker]``.

    Args:
        broker: ``paper``, or ``module:name`` of a Broker class or of a function that returns one.
        params: Keyword arguments of a broker given as ``module:name``.
        paper: The paper broker's.
    """

    broker: str = "paper"
    params: dict[str, Any] = msgspec.field(default_factory=dict)
    paper: PaperSection = PaperSection()


class FeaturesSection(_Section, frozen=True, kw_only=True):
    """The table ``[features]``.

    Args:
        sample_ms: Grid on which windowed features sample the state.
    """

    sample_ms: int = 1_000


class ModelSection(_Section, frozen=True, kw_only=True):
    """The table ``[model]``.

    Args:
        model: ``module:name`` or ``path/file.py:name``; None = the private hook, else the reference model.
        private_path: File of the private hook; None = ``ami_engine/mdm/_private/model.py``.
        warmup_ms: Time after the first event before the model is asked.
        params: Handed to the model.
    """

    model: str | None = None
    private_path: str | None = None
    warmup_ms: int = 0
    params: dict[str, Any] = msgspec.field(default_factory=dict)


class ExecutionSection(_Section, frozen=True, kw_only=True):
    """The table ``[execution]``.

    Args:
        size: Size of an order where the model gives none.
        half_spread_ticks: Distance of the plan's quotes from the fair value; None = half the market's spread.
        min_requote_ticks: Least move of a price worth a replacement.
        exit_slippage_ticks: How far beyond the touch an exit may take.
    """

    size: Size = 1.0
    half_spread_ticks: float | None = None
    min_requote_ticks: int = 1
    exit_slippage_ticks: int = 2

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        _check_number("execution.size", self.size)
        if self.size == 0.0:
            raise ConfigError("config: execution.size is 0: give a finite number > 0")
        _check_number("execution.half_spread_ticks", self.half_spread_ticks or 0.0)
        _check_whole("execution.min_requote_ticks", self.min_requote_ticks, 0)
        _check_whole("execution.exit_slippage_ticks", self.exit_slippage_ticks, 0)


def _check_whole(name: str, value: Any, least: int) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
        raise ConfigError(f"config: {name} is {value!r}: give a whole number >= {least}")


def _check_number(name: str, value: Any, most: float = sys.float_info.max) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= most:
        bound = "a finite number >= 0" if most == sys.float_info.max else f"a number from 0 to {most:g}"
        raise ConfigError(f"config: {name} is {value!r}: give {bound}")


class TraceSection(_Section, frozen=True, kw_only=True):
    """The table ``[trace]``.

    Args:
        output_dir: Folder that holds one folder a run.
    """

    output_dir: str = "./traces"


class MarketSection(_Section, frozen=True, kw_only=True):
    """An entry of ``[[markets]]``: what holds for one market only.

    What is not given is as in ``[guards]`` and ``[execution]``. Limits that all markets of the
    account share stand in ``[guards]`` alone.

    Args:
        market_id: Name of the market.
        guards: Its limits; ``policy`` in the file names those it begins from.
        execution: Its sizes and distances.
        share: Part of the account's exposure and open orders that is kept for it with ``allocation =
            "reserve"``; None = an equal part of what the others leave.
    """

    market_id: str
    guards: RiskPolicy = RiskPolicy()
    execution: ExecutionSection = ExecutionSection()
    share: float | None = None


class RunConfig(_Section, frozen=True, kw_only=True):
    """The whole configuration.

    >>> RunConfig().execution.size
    1.0
    """

    run: RunSection = RunSection()
    data: DataSection = DataSection()
    broker: BrokerSection = BrokerSection()
    features: FeaturesSection = FeaturesSection()
    model: ModelSection = ModelSection()
    guards: RiskPolicy = RiskPolicy()
    execution: ExecutionSection = ExecutionSection()
    trace: TraceSection = TraceSection()
    instruments: list[Instrument] = msgspec.field(default_factory=list)
    markets: list[MarketSection] = msgspec.field(default_factory=list)

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        for name, value, least in (
            ("run.steps", self.run.steps, 0),
            ("run.timer_ms", self.run.timer_ms, 0),
            ("run.max_clock_skew_ms", self.run.max_clock_skew_ms, 0),
            ("features.sample_ms", self.features.sample_ms, 1),
            ("model.warmup_ms", self.model.warmup_ms, 0),
            ("data.sim.num_events", self.data.sim.num_events, 0),
        ):
            _check_whole(name, value, least)
        _check_number("run.initial_equity", self.run.initial_equity)
        _check_number("data.feed_latency_ms", self.data.feed_latency_ms, MAX_LATENCY_MS)
        _check_number("data.feed_latency_sigma", self.data.feed_latency_sigma, MAX_LATENCY_SIGMA)
        seed = self.run.seed
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**64:
            raise ConfigError(f"config: run.seed is {seed!r}: give a whole number from 0 to 2**64 - 1")
        if self.run.run_id is not None:
            check_run_id(self.run.run_id)
        for what, names in (
            ("instruments", [instrument.market_id for instrument in self.instruments]),
            ("markets", [market.market_id for market in self.markets]),
        ):
            if len(set(names)) != len(names):
                raise ConfigError(f"config: {what} repeat a market_id: {names}")
        shares = [market.share for market in self.markets if market.share is not None]
        for share in shares:
            _check_number("markets share", share, 1.0)
        if sum(shares) > 1.0 + SHARE_TOLERANCE:
            raise ConfigError(f"config: the shares of the markets add up to {sum(shares):g}: give at most 1")
        if shares and self.run.allocation == "first":
            raise ConfigError('config: a share of a market goes with run.allocation = "reserve"')
        if self.run.allocation == "reserve" and not self.markets:
            raise ConfigError('config: run.allocation = "reserve" needs [[markets]] to reserve for')
        if not _is_time_of_day(self.run.day_start):
            raise ConfigError(f"config: run.day_start is {self.run.day_start!r}: give HH:MM, 00:00 to 23:59")
        if self.data.sources and (self.data.source != "sim" or self.data.params):
            raise ConfigError("config: give data.source or [[data.sources]], not both")

    def shares(self) -> dict[str, float]:
        """Give the part of the account's limits that is kept for each market; empty = first come.

        >>> markets = [MarketSection(market_id="A", share=0.5), MarketSection(market_id="B")]
        >>> RunConfig(run=RunSection(allocation="reserve"), markets=markets).shares()
        {'A': 0.5, 'B': 0.5}
        """
        if self.run.allocation == "first":
            return {}
        given = [market.share for market in self.markets if market.share is not None]
        untold = len(self.markets) - len(given)
        rest = max(0.0, 1.0 - sum(given)) / untold if untold else 0.0
        return {
            market.market_id: rest if market.share is None else float(market.share) for market in self.markets
        }

    @property
    def sample_ns(self) -> DurationNs:
        """The sample grid in nanoseconds."""
        return self.features.sample_ms * 1_000_000


def _is_time_of_day(text: object) -> bool:
    hours, colon, minutes = text.partition(":") if isinstance(text, str) else ("", "", "")
    plain = all(len(part) == 2 and part.isascii() and part.isdigit() for part in (hours, minutes))
    return bool(colon) and plain and int(hours) < 24 and int(minutes) < 60


def check_run_id(run_id: str) -> None:
    """Refuse a run id that is no plain folder name.

    Raises:
        ConfigError: It is empty, too long, hidden, or holds a separator or a control character.
    """
    plain = isinstance(run_id, str) and 0 < len(run_id) <= 128 and run_id.isprintable()
    if not plain or run_id.startswith(".") or any(mark in run_id for mark in '/\\:*?"<>|'):
        raise ConfigError(f"run id {run_id!r} is no plain folder name: use letters, digits, - and _")


def _check_keys(raw: Mapping[str, Any], kind: type, place: str) -> None:
    """Refuse unknown keys, with the nearest known one."""
    hints = get_type_hints(kind)
    for key, value in raw.items():
        if key not in hints:
            import difflib

            near = difflib.get_close_matches(str(key), hints, n=1, cutoff=0.5)
            hint = f": did you mean {near[0]!r}?" if near else f": known keys are {', '.join(sorted(hints))}"
            raise ConfigError(f"config: unknown key {key!r} in {place or 'the top level'}{hint}")
        inner = hints[key]
        path = f"{place}.{key}" if place else f"{key}"
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct) and isinstance(value, Mapping):
            _check_keys(value, inner, f"[{path}]" if not place else path)
        elif get_origin(inner) is list and isinstance(value, list):
            for item in value:
                if isinstance(item, Mapping):
                    _check_keys(item, get_args(inner)[0], f"[[{path}]]")


def config_from_dict(raw: Mapping[str, Any]) -> RunConfig:
    """Build a RunConfig from nested dicts.

    Raises:
        ConfigError: An unknown key (with the nearest known one), a wrong type or a bad value.

    >>> config_from_dict({"run": {"sed": 1}})
    Traceback (most recent call last):
    decision_schema.errors.ConfigError: config: unknown key 'sed' in [run]: did you mean 'seed'?
    """
    try:
        raw = _settle_policies(raw)
        _check_keys(raw, RunConfig, "")
        return msgspec.convert(raw, RunConfig)
    except msgspec.ValidationError as error:
        raise ConfigError(f"config: {_cause(error)}") from None
    except ContractError as error:
        raise ConfigError(f"config: {error}") from None


def _settle_policies(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Put the limits of named policies in the place of their names, and let markets inherit."""
    settled = dict(raw)
    guards = _named_limits(raw.get("guards", {}), {})
    if "guards" in raw:
        settled["guards"] = guards
    markets = raw.get("markets")
    if not (isinstance(markets, list) and isinstance(guards, Mapping)):
        return settled
    settled["markets"] = [
        _settle_market(market, guards, raw.get("execution", {})) if isinstance(market, Mapping) else market
        for market in markets
    ]
    return settled


def _settle_market(market: Mapping[str, Any], guards: Mapping[str, Any], execution: Any) -> dict[str, Any]:
    own = market.get("guards", {})
    for name in sorted(ACCOUNT_LIMITS.intersection(own if isinstance(own, Mapping) else ())):
        raise ConfigError(
            f"config: markets {market.get('market_id')!r}: {name} is a limit of the whole account: set it in "
            "[guards]"
        )
    settled = {**market, "guards": _named_limits(own, guards)}
    if isinstance(execution, Mapping) and isinstance(market.get("execution", {}), Mapping):
        settled["execution"] = {**execution, **market.get("execution", {})}
    return settled


def _named_limits(section: Any, inherited: Mapping[str, Any]) -> Any:
    """Give the limits of a table: its own over those of the policy it names, else over the inherited."""
    if not isinstance(section, Mapping):
        return section
    own = {name: value for name, value in section.items() if name != "policy"}
    if "policy" not in section:
        return {**inherited, **own}
    name = section["policy"]
    if not isinstance(name, str):
        raise ConfigError(f"config: policy is {name!r}: give the name of one as text")
    from dmc_core.dmc.named_policies import named_policy

    return {**msgspec.structs.asdict(named_policy(name)), **own}


def _cause(error: Exception) -> str:
    text = str(error)
    return text.removeprefix("config: ")


def load_config(path: str | os.PathLike[str], overrides: tuple[str, ...] = ()) -> RunConfig:
    """Read a TOML file and apply ``a.b=value`` overrides (values as TOML, else as text).

    Raises:
        ConfigError: The file cannot be read or parsed, or holds what `config_from_dict` refuses.
    """
    import tomllib

    file = Path(path)
    try:
        raw = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"config file {file} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"config file {file} cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"config file {file} is no TOML: {error}") from None
    return config_from_dict(apply_overrides(raw, overrides))


def apply_overrides(raw: dict[str, Any], overrides: tuple[str, ...]) -> dict[str, Any]:
    """Apply ``a.b=value`` overrides to nested dicts, in place, and return them.

    >>> apply_overrides({}, ("run.seed=7", "run.mode=sim"))
    {'run': {'seed': 7, 'mode': 'sim'}}
    """
    import tomllib

    for override in overrides:
        path, equals, text = override.partition("=")
        keys = path.strip().split(".")
        if not equals or not all(keys):
            raise ConfigError(f"override {override!r} is not of the form a.b=value")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text.strip()
        place = raw
        for key in keys[:-1]:
            place = place.setdefault(key, {})
            if not isinstance(place, dict):
                raise ConfigError(f"override {override!r}: {key} is no table")
        place[keys[-1]] = value
    return raw


def table() -> str:
    """Lay all settings out as Markdown for the docs: key, default, meaning from the docstrings."""
    lines = ["| setting | default | meaning |", "|---|---|---|"]
    for section in RunConfig.__struct_fields__:
        default = getattr(RunConfig(), section)
        if not isinstance(default, msgspec.Struct):
            continue
        lines += _rows(section, default)
    lines += _rows("[instruments]", Instrument())
    meanings = meanings_of(MarketSection.__doc__ or "")
    lines += [f"| `[markets].{name}` | | {meanings[name]} |" for name in MarketSection.__struct_fields__]
    return "\n".join(lines)


def _rows(place: str, section: msgspec.Struct) -> list[str]:
    meanings = meanings_of(type(section).__doc__ or "")
    rows = []
    for name in section.__struct_fields__:
        value = getattr(section, name)
        if isinstance(value, msgspec.Struct):
            rows += _rows(f"{place}.{name}", value)
        else:
            shown = "none" if value is None else "false" if value is False else str(value) or '""'
            rows.append(f"| `{place}.{name}` | {shown} | {meanings.get(name, '')} |")
    return rows
