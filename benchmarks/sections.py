"""Writes what a benchmark found into its section of a file, and leaves the others as they are."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path


def write_section(file: Path, title: str, lines: Sequence[str]) -> None:
    """Put `lines` under `## title`, in place of what stands there."""
    text = file.read_text() if file.exists() else "# What was measured\n"
    head, *sections = ("\n" + text).split("\n## ")
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    body = f"{title}\n\n" + "\n".join(lines).strip() + f"\n\nOn {machine}.\n"
    names = [section.partition("\n")[0] for section in sections]
    if title in names:
        sections[names.index(title)] = body
    else:
        sections.append(body)
    file.write_text("\n".join([head.strip() + "\n", *(f"## {section.strip()}\n" for section in sections)]))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Give a Markdown table: the first column to the left, the others to the right."""
    marks = ["---", *("---:" for _ in head[1:])]
    return [f"| {' | '.join(cells)} |" for cells in (head, marks, *rows)]
