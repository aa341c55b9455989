"""A provider that needs no network: for demonstrations, load tests and users' own tests."""

from gatewright.providers.simulator.config import SimulatorConfig
from gatewright.providers.simulator.provider import SimulatorProvider

__all__ = ["SimulatorConfig", "SimulatorProvider"]
