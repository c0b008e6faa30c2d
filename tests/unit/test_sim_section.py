"""The config's simulator settings are the simulator's own, with its defaults."""

import inspect

from ami_engine.config import SimSection
from ami_engine.sim.microstructure_sim import MicrostructureSim


def test_settings_and_defaults_are_those_of_the_simulator():
    parameters = inspect.signature(MicrostructureSim).parameters
    own = {name: parameter.default for name, parameter in parameters.items() if name != "seed"}
    section = SimSection()
    settings = {name: getattr(section, name) for name in section.__struct_fields__ if name != "num_events"}
    assert settings == own
