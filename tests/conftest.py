"""Settings and fixtures for all tests."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

settings.register_profile("mdm", deadline=None)
settings.register_profile("mdm-ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("mdm-ci" if os.environ.get("CI") else "mdm")


@pytest.fixture(scope="session")
def mdm_data() -> Path:
    """Folder of recorded market data: $MDM_DATA, else the one beside the repository."""
    folder = Path(os.environ.get("MDM_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no recorded market data: set MDM_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def guide_text() -> str:
    """Text of the integration guide: in $MDM_SPEC, else beside the repository."""
    folder = Path(os.environ.get("MDM_SPEC", ROOT.parent / "shared" / "spec"))
    guide = folder / "integration-guide.md"
    if not guide.is_file():
        pytest.skip("no integration guide: set MDM_SPEC to the folder of integration-guide.md")
    return guide.read_text(encoding="utf-8")
