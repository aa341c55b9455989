"""The circuit breaker's configuration, by the SDK's path."""

from gatewright.layers.circuit_breaker.config import CircuitBreakerConfig

__all__ = ["CircuitBreakerConfig"]
