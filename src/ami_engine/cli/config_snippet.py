"""The part of a config file that runs a file which was inspected."""

import json
from pathlib import Path
from typing import Any

from ami_engine.adapters.inspecting.inspected import Inspection

MAX_INSTRUMENTS = 20


def snippet_lines(seen: Inspection, file: Path) -> list[str]:
    """Write ``[run]``, ``[data]`` and an ``[[instruments]]`` for each market, as TOML.

    What is guessed says so in a comment.
    """
    lines = ["[run]", 'mode = "backtest"', "", "[data]", f"source = {_text(seen.format)}", ""]
    lines += ["[data.params]", f"files = [{_text(str(file))}]"]
    for name, value in seen.params.items():
        lines.append(_line(name, value, "a guess" if name in seen.guessed else ""))
    if seen.clock.offset_ms:
        lines.append(_line("clock_offset_ms", seen.clock.offset_ms, "suggested"))
    for market in seen.markets[:MAX_INSTRUMENTS]:
        lines += ["", "[[instruments]]", _line("market_id", market.market_id)]
        for name, step in (("tick_size", market.tick_hint), ("lot_size", market.lot_hint)):
            if step:
                lines.append(_line(name, step, "a guess from the data: take the venue's rule"))
    return lines


def _line(name: str, value: Any, remark: str = "") -> str:
    line = f"{name} = {_text(value) if isinstance(value, str) else value}"
    return f"{line}  # {remark}" if remark else line


def _text(value: str) -> str:
    """Write a text as TOML: its basic strings are JSON's, where no character is escaped as a pair."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
