"""The examples in all public docstrings run."""

import doctest
import importlib
import pkgutil

import pytest

import ami_engine
import decision_schema
import dmc_core

MODULES = sorted(
    found.name
    for package in (decision_schema, dmc_core, ami_engine)
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if "_private" not in found.name
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
    assert result.failed == 0
