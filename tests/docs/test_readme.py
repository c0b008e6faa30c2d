"""The outputs shown in README.md are real: `python -m tests.docs.test_readme` writes them anew."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"
DEMO = re.compile(r"(```text\n)(events .*?)(```)", re.DOTALL)
LINES = re.compile(r"```python\n(.*?)```\n\n```text\n(.*?)```", re.DOTALL)


def run(*words: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout


def demo() -> str:
    return run("-c", "from ami_engine.cli import main; main()", "demo")


def masked(text: str) -> str:
    """Leave out what differs from run to run: time, speed, the run's name and its order ids."""
    text = re.sub(r"in [\d.]+ s \([\d,]+/s\)", "in T", text)
    text = re.sub(r"run-[\dT-]+Z-\d+", "RUN", text)
    return re.sub(r"\b[A-Z2-7]{26}\b", "ID", text)


def test_the_demo_prints_what_the_readme_shows():
    shown = DEMO.search(README.read_text(encoding="utf-8"))
    assert shown
    assert masked(demo()) == masked(shown[2])


def test_the_twelve_lines_print_what_the_readme_shows():
    shown = LINES.search(README.read_text(encoding="utf-8"))
    assert shown
    assert run("-c", shown[1]) == shown[2]


if __name__ == "__main__":
    page = README.read_text(encoding="utf-8")
    output = demo()
    page = DEMO.sub(lambda found: f"{found[1]}{output}{found[3]}", page, count=1)
    code = LINES.search(page)
    assert code
    page = page.replace(code[0], f"```python\n{code[1]}```\n\n```text\n{run('-c', code[1])}```")
    README.write_text(page, encoding="utf-8")
