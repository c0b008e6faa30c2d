"""The verbs of ``mdm`` and how their errors end."""

import sys
from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter

from ami_engine import __version__
from decision_schema.errors import ConfigError, ContractError, MarketDataError, MdmError, RunExists

app = cyclopts.App(
    name="mdm",
    help="Market decision models: every decision guarded, explained and replayable.",
    version=__version__,
    help_format="plaintext",
)

OutputDir = Annotated[Path | None, Parameter(name=["--output-dir", "-o"], help="Folder that holds the runs.")]
Json = Annotated[
    bool, Parameter(name="--json", negative="", help="Print the summary as JSON, and nothing else.")
]
ConfigFile = Annotated[Path, Parameter(name=["--config", "-c"], help="TOML file of the run.")]
Override = Annotated[
    tuple[str, ...],
    Parameter(name="--set", negative="", help="Override a setting: a.b=value. Repeatable."),
]
RunId = Annotated[str | None, Parameter(help="Name of the run.")]
Steps = Annotated[int | None, Parameter(help="Most events.")]
Seed = Annotated[int | None, Parameter(help="Seed of every chance.")]
Quiet = Annotated[bool, Parameter(name=["--quiet", "-q"], negative="", help="No progress.")]


@app.command
def demo(
    *,
    events: Annotated[int, Parameter(help="Events of the simulated market.")] = 5_000,
    seed: Annotated[int, Parameter(help="Seed of every chance.")] = 0,
    run_id: RunId = None,
    output_dir: OutputDir = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Trade a simulated market and explain three decisions."""
    from ami_engine.cli.demo import run_demo

    return run_demo(events, seed, run_id, output_dir, json=json, quiet=quiet)


@app.command(name="run")
def run_file(
    *,
    config: ConfigFile,
    override: Override = (),
    run_id: RunId = None,
    steps: Steps = None,
    seed: Seed = None,
    dry_run: Annotated[bool | None, Parameter(help="Everything but sending orders.")] = None,
    output_dir: OutputDir = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Run what a config file describes."""
    from ami_engine.assembly import with_run
    from ami_engine.cli.run import run_and_print
    from ami_engine.config import load_config

    loaded = load_config(config, override)
    loaded = with_run(loaded, run_id=run_id, steps=steps, seed=seed, dry_run=dry_run, output_dir=output_dir)
    return run_and_print(loaded, json=json, quiet=quiet)


@app.command
def backtest(
    *,
    config: ConfigFile,
    override: Override = (),
    run_id: RunId = None,
    steps: Steps = None,
    seed: Seed = None,
    packets: Annotated[
        bool, Parameter(help="Write a packet a step; without, tables of decisions, fills and orders: faster.")
    ] = True,
    output_dir: OutputDir = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Run a config file on recorded data, orders filled by the paper broker."""
    from ami_engine.assembly import with_run
    from ami_engine.cli.run import backtest_and_print
    from ami_engine.config import load_config

    loaded = with_run(
        load_config(config, override), run_id=run_id, steps=steps, seed=seed, output_dir=output_dir
    )
    return backtest_and_print(loaded, packets=packets, json=json, quiet=quiet)


@app.command
def lookahead(
    *,
    config: ConfigFile,
    override: Override = (),
    cuts: Annotated[int, Parameter(help="Prefixes, spread over the run.")] = 5,
    at: Annotated[
        tuple[int, ...], Parameter(negative="", help="A prefix of so many events. Repeatable.")
    ] = (),
    spare: Annotated[int, Parameter(help="Events at the end of each prefix that are not compared.")] = 0,
    narrow: Annotated[
        bool, Parameter(negative="", help="Run more prefixes to learn how much future is needed.")
    ] = False,
    whole: Annotated[
        tuple[Path, ...], Parameter(negative="", help="A file that is not cut. Repeatable.")
    ] = (),
    steps: Steps = None,
    seed: Seed = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Rerun prefixes of the data and name the first feature or fill that used the future."""
    from ami_engine.assembly import with_run
    from ami_engine.cli.lookahead import lookahead_and_print
    from ami_engine.config import load_config

    loaded = with_run(load_config(config, override), steps=steps, seed=seed)
    return lookahead_and_print(
        loaded, cuts=cuts, at=at, spare=spare, narrow=narrow, whole=whole, json=json, quiet=quiet
    )


@app.command
def verify(run_dir: Annotated[Path, Parameter(help="Folder of the run.")], *, json: Json = False) -> int:
    """Check that no record of a run was changed, moved or cut."""
    from ami_engine.cli.verify import verify_and_print

    return verify_and_print(run_dir, json=json)


RunDir = Annotated[Path, Parameter(help="Folder of the run.")]
JsonFound = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON, and nothing else.")]


@app.command
def why(
    run_dir: RunDir,
    step: Annotated[int | None, Parameter(help="Number of the step.")] = None,
    *,
    at: Annotated[str | None, Parameter(help="The last step up to a time: ISO 8601, or ns.")] = None,
    market: Annotated[str | None, Parameter(help="Of this market.")] = None,
    json: JsonFound = False,
) -> int:
    """Explain one step: every guard with value, limit and margin, and what would have let it through."""
    from ami_engine.cli.why import why_and_print

    return why_and_print(run_dir, step, at, market, json=json)


@app.command(name="why-not")
def why_not(run_dir: RunDir, *, json: JsonFound = False) -> int:
    """Say why a run did not trade more: from events to fills, sole blockers, nearest misses."""
    from ami_engine.cli.why import why_not_and_print

    return why_not_and_print(run_dir, json=json)


@app.command
def whatif(
    run_dir: RunDir,
    *,
    policy: Annotated[str, Parameter(help="Name of a policy, or a TOML file.")],
    json: JsonFound = False,
) -> int:
    """Judge a recorded run under another policy (open loop), and say which decisions change."""
    from ami_engine.cli.why import whatif_and_print

    return whatif_and_print(run_dir, policy, json=json)


data = cyclopts.App(name="data", help="Look at files of recorded market data.")
app.command(data)


@data.command
def inspect(
    file: Annotated[Path, Parameter(help="A file of recorded market data.")], *, json: Json = False
) -> int:
    """Recognise the format of a file and show what is in it: span, rates, defects, prices."""
    from ami_engine.cli.data import inspect_and_print

    return inspect_and_print(file, json=json)


@data.command
def latency(
    *,
    config: ConfigFile,
    to: Annotated[Path, Parameter(help="CSV file to write.")],
    interval_ms: Annotated[int, Parameter(help="Time that a row stands for.")] = 1_000,
    entry: Annotated[float, Parameter(help="Entry latency as a multiple of the feed's.")] = 1.0,
    response: Annotated[float, Parameter(help="Response latency as a multiple of the feed's.")] = 1.0,
    override: Override = (),
) -> int:
    """Measure the feed latency of recorded data and write a latency table for the paper broker."""
    from ami_engine.cli.latency_table import write_latency_table
    from ami_engine.config import load_config

    loaded = load_config(config, override)
    return write_latency_table(loaded, to, interval_ms=interval_ms, entry=entry, response=response)


policy = cyclopts.App(name="policy", help="Named policies: limits for a kind of market, with reasons.")
app.command(policy)


@policy.command(name="list")
def list_named(*, json: Json = False) -> int:
    """List the named policies."""
    from ami_engine.cli.policies import list_policies

    return list_policies(json=json)


@policy.command(name="show")
def show_named(name: Annotated[str, Parameter(help="Name of the policy.")], *, json: Json = False) -> int:
    """Show the limits of a named policy, and why each is as it is."""
    from ami_engine.cli.policies import show_policy

    return show_policy(name, json=json)


@policy.command(name="check")
def check_named(
    name: Annotated[str, Parameter(help="Name of a policy, or a TOML file.")],
    *,
    data: Annotated[Path | None, Parameter(help="File or folder of recorded market data.")] = None,
    run: Annotated[Path | None, Parameter(help="Folder of a run with packets.")] = None,
    json: JsonFound = False,
) -> int:
    """Find limits that contradict each other, or that can never or always trip on given data."""
    from ami_engine.cli.policy_check import check_and_print

    return check_and_print(name, data, run, json=json)


def start() -> None:
    """Parse the command line, run the verb, and end with its exit code."""
    try:
        code = app(result_action="return_value", exit_on_error=False)
    except cyclopts.CycloptsError:
        code = 2  # it has said what was wrong
    except (ConfigError, ContractError, MarketDataError, RunExists) as error:
        code = _fail(error, 2)
    except MdmError as error:
        code = _fail(error, 1)
    except KeyboardInterrupt:
        code = 130
    sys.exit(code if isinstance(code, int) else 0)


def _fail(error: MdmError, code: int) -> int:
    from ami_engine.security.redaction import redact_text

    print(f"mdm: {redact_text(str(error))}", file=sys.stderr)  # noqa: T201 - the one line of a failure
    return code
