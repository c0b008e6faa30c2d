"""The example of docs/lookahead.md prints what stands there: `python -m tests.docs.test_lookahead` writes it anew."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "lookahead.md"
OUTPUT = re.compile(r"```\n(mdm lookahead -c run.toml --narrow)\n```\n\n```text\n(.*?)```", re.DOTALL)
MOVES = (0, 1, 1, -1, 0, -1, 1, 0, 0, -1, -1, 1, 0)


def block(page: str, kind: str) -> str:
    found = re.search(rf"```{kind}\n(.*?)```", page, re.DOTALL)
    assert found
    return found[1]


def printed(page: str) -> str:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "centred.py").write_text(block(page, "python"))
        (folder / "run.toml").write_text(block(page, "toml"))
        rows, bid = ["ms,bid,ask"], 500
        for i in range(600):
            bid += MOVES[i * i % 13]
            rows.append(f"{1_723_161_256_000 + 500 * i},{bid / 1000:.2f},{bid / 1000 + 0.01:.2f}")
        (folder / "quotes.csv").write_text("\n".join(rows) + "\n")
        done = subprocess.run(
            [sys.executable, "-c", "from ami_engine.cli import main; main()", "lookahead", "-c", "run.toml", "--narrow"],
            cwd=folder, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (1, "")
        return done.stdout


def test_the_page_shows_what_is_printed():
    page = PAGE.read_text(encoding="utf-8")
    shown = OUTPUT.search(page)
    assert shown
    assert printed(page) == shown[2]


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    found = OUTPUT.search(text)
    assert found
    PAGE.write_text(text[: found.start(2)] + printed(text) + text[found.end(2) :], encoding="utf-8")
