"""What is well and what is not."""

from gatewright.health.config import ActiveCheckConfig, HealthConfig
from gatewright.health.monitor import HealthMonitor

__all__ = ["ActiveCheckConfig", "HealthConfig", "HealthMonitor"]
