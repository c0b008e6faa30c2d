"""Check a built wheel: its list of files, its requirements, and that all of it imports on its own.

Usage: python tools/check_wheel.py FOLDER, where FOLDER holds exactly one wheel.
"""

import email
import re
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("decision_schema", "dmc_core", "ami_engine")
# Importing a package must load none of these.
HEAVY = ("numpy", "rich", "cyclopts", "polars", "numba", "pyarrow", "plotly", "dask")
# Import names of ours; on the public index they are free or belong to strangers.
NEVER_REQUIRED = {"decision-schema", "dmc-core", "ami-engine", "mdm-engine"}

ALLOWED = re.compile(
    rf"(?:{'|'.join(PACKAGES)})/(?:(?:\w+/)*\w+\.(?:py|toml)|py\.typed)"
    r"|mdm_engine-[^/]+\.dist-info/(?:METADATA|WHEEL|RECORD|entry_points\.txt|licenses/LICENSE)",
    re.ASCII,
)
FORBIDDEN_FOLDERS = {"_private", "tests", "test", "__pycache__"}

IMPORT_ALL = """
import importlib, sys
prefix, *names = sys.argv[1:]
for name in names:
    try:
        module = importlib.import_module(name)
    except BaseException as error:
        sys.exit(f"{name}: {type(error).__name__}: {error}")
    if not module.__file__.startswith(prefix):
        sys.exit(f"{name}: came from outside the wheel")
"""
IMPORT_ALONE = """
import importlib, sys
package, *heavy = sys.argv[1:]
importlib.import_module(package)
loaded = sorted(set(heavy) & set(sys.modules))
sys.exit(f"importing {package} alone loads {', '.join(loaded)}" if loaded else 0)
"""


class WheelError(Exception):
    """The wheel is not as it should be; the text is one line."""


def unwanted(names: Iterable[str]) -> list[str]:
    """List the files that no rule allows in the wheel."""
    return [
        name
        for name in sorted(names)
        if not ALLOWED.fullmatch(name) or FORBIDDEN_FOLDERS & set(name.split("/")[:-1])
    ]


def source_files() -> set[str]:
    """List the .py files under src that must be in the wheel."""
    files = (path.relative_to(ROOT / "src") for path in (ROOT / "src").rglob("*.py"))
    return {path.as_posix() for path in files if "_private" not in path.parts}


def check_files(names: set[str]) -> None:
    """Compare the wheel's files with the rules and with the source tree."""
    wanted = source_files() | {f"{package}/py.typed" for package in PACKAGES}
    checks = {
        "not allowed in the wheel": unwanted(names),
        "missing from the wheel": sorted(wanted - names),
        "in the wheel but not under src": sorted(n for n in names - wanted if n.endswith(".py")),
    }
    for fault, found in checks.items():
        if found:
            raise WheelError(f"{fault}: {', '.join(found)}")


def check_requirements(metadata: str) -> None:
    """Refuse a requirement that carries one of our own names."""
    lines: list[str] = email.message_from_string(metadata).get_all("Requires-Dist") or []
    names = {re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", line)[0]).lower() for line in lines}  # type: ignore[index]
    if names & NEVER_REQUIRED:
        raise WheelError(f"the wheel requires {', '.join(sorted(names & NEVER_REQUIRED))}")


def module_names(names: Iterable[str]) -> Iterator[str]:
    """Turn the .py files of the wheel into names to import."""
    for name in sorted(names):
        if name.endswith(".py"):
            yield name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def run(what: str, *command: str | Path, cwd: Path) -> None:
    """Run a command in another folder; on failure raise its last line."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or f"exit {done.returncode}").splitlines()
        raise WheelError(f"{what}: {said[-1]}")


def check_installed(wheel: Path, modules: list[str]) -> None:
    """Install the wheel into an empty environment and use it there, away from the source tree."""
    with tempfile.TemporaryDirectory(prefix="wheel-check-") as temporary:
        folder = Path(temporary).resolve()
        venv.create(folder / "venv", with_pip=False, symlinks=True)
        bin_folder, elsewhere = folder / "venv" / "bin", folder / "elsewhere"
        elsewhere.mkdir()
        python = bin_folder / "python"

        pip = (sys.executable, "-m", "pip", "--python", python, "-qq", "--disable-pip-version-check")
        run("install", *pip, "install", "-c", ROOT / "constraints.txt", wheel, cwd=elsewhere)
        # -I: neither the working folder nor PYTHONPATH may help.
        run("import", python, "-I", "-c", IMPORT_ALL, folder / "venv", *modules, cwd=elsewhere)
        for package in PACKAGES:
            run("import", python, "-I", "-c", IMPORT_ALONE, package, *HEAVY, cwd=elsewhere)
        run("mdm --help", bin_folder / "mdm", "--help", cwd=elsewhere)


def check(folder: Path) -> str:
    """Check the one wheel in a folder and say in one line what was found."""
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise WheelError(f"expected one wheel in the folder, found {len(wheels)}")
    with zipfile.ZipFile(wheels[0]) as archive:
        names = set(archive.namelist())
        check_files(names)
        metadata = next(name for name in names if name.endswith(".dist-info/METADATA"))
        check_requirements(archive.read(metadata).decode())
    modules = list(module_names(names))
    check_installed(wheels[0].resolve(), modules)
    return f"{wheels[0].name}: {len(names)} files allowed, {len(modules)} modules imported, mdm --help runs"


def main() -> int:
    """Print what was found; 0 when the wheel is good, else 1."""
    if len(sys.argv) != 2:
        print("usage: check_wheel.py FOLDER", file=sys.stderr)
        return 2
    try:
        print(f"wheel ok: {check(Path(sys.argv[1]))}")
    except WheelError as error:
        print(f"wheel check failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
