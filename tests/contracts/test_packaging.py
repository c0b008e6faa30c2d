"""What is shipped, what is ignored, and what an import may load."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tools.check_wheel import HEAVY, IMPORT_ALONE, NEVER_REQUIRED, PACKAGES, unwanted

ROOT = Path(__file__).resolve().parents[2]
GIT = shutil.which("git")
needs_git = pytest.mark.skipif(GIT is None, reason="git is not installed")

# Written so that this file does not match itself.
MACHINE = re.compile(
    r"(?<![\w.*])/(?:home|root|Users|work)/\w"  # a path of one machine
    r"|pypi\.org|files\.pythonhosted|pypi\.python\.org|--(?:extra-)?index-url",  # a package registry
)


def git(folder: Path, *args: str, given: str = "") -> str:
    done = subprocess.run([GIT, *args], cwd=folder, input=given, capture_output=True, text=True, check=False)
    if done.returncode > 1:
        pytest.skip(f"git {args[0]} does not work here: {done.stderr.strip()}")
    return done.stdout


@pytest.fixture
def ignored(tmp_path):
    """Function that tells which of some paths our .gitignore swallows, whatever this machine ignores."""
    git(tmp_path, "init", "--quiet")
    shutil.copy(ROOT / ".gitignore", tmp_path)

    def ask(paths):
        given = "\n".join(paths)
        return git(
            tmp_path, "-c", "core.excludesFile=", "check-ignore", "--no-index", "--stdin", given=given
        ).split()

    return ask


@needs_git
def test_gitignore_swallows_no_source_file(ignored):
    files = [path.relative_to(ROOT) for path in (ROOT / "src").rglob("*") if path.suffix in {".py", ".toml"}]
    wanted = [path.as_posix() for path in files if "_private" not in path.parts]
    assert wanted
    assert ignored(wanted) == []


@needs_git
def test_gitignore_swallows_no_likely_name(ignored):
    names = ["security/secrets.py", "lib/a.py", "build.py", "build/a.py", "data/a.py", "env.py", "dist/a.py"]
    assert ignored([f"src/ami_engine/{name}" for name in names]) == []


@needs_git
def test_gitignore_keeps_private_code_and_traces_out(ignored):
    private = [
        "ami_engine/mdm/_private/model.py",
        "src/ami_engine/mdm/_private/model.py",
        "src/dmc_core/_private/policy.py",
        "dmc_core/_private/policy.py",
        "traces/run-1/packets.jsonl",
    ]
    assert ignored(private) == private
    lines = (ROOT / ".gitignore").read_text().splitlines()
    assert {"ami_engine/mdm/_private/", "dmc_core/_private/", "traces/"} <= set(lines)


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_alone_loads_nothing_heavy(package, tmp_path):
    command = [sys.executable, "-c", IMPORT_ALONE, package, *HEAVY]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "name",
    [
        "ami_engine/mdm/_private/model.py",
        "dmc_core/_private/policy.py",
        "ami_engine/tests/test_a.py",
        "ami_engine/prices.csv",
        "tests/conftest.py",
        "tools/check_wheel.py",
        "ami_engine/../other.py",
        "ami_engine/cli/py.typed",
        "mdm_engine-0.1.0.dist-info/other.txt",
    ],
)
def test_wheel_rule_refuses(name):
    assert unwanted([name]) == [name]


def test_wheel_rule_allows_what_we_ship():
    assert unwanted(["ami_engine/cli/__init__.py", "ami_engine/demo.toml", "dmc_core/py.typed"]) == []


def test_own_import_names_are_never_requirements():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "constraints.txt").read_text().splitlines() + project["dependencies"]
    for extra in project["optional-dependencies"].values():
        lines += extra
    names = {re.split(r"[^\w.-]", line)[0].replace("_", "-").lower() for line in lines}
    assert not names & NEVER_REQUIRED


def test_every_constraint_is_an_exact_pin():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert pins
    assert [line for line in pins if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []


@needs_git
def test_no_file_names_a_machine_or_a_registry():
    files = git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "-z").split("\0")
    found = []
    for name in filter(None, files):
        path = ROOT / name
        if path.is_file():
            text = path.read_bytes().decode("utf-8", errors="replace")
            found += [f"{name}: {match[0]}" for match in MACHINE.finditer(text)]
    assert found == []
