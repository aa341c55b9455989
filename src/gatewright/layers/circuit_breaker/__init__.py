"""Circuit breakers: a failing deployment is left alone, and tried again."""

from gatewright.layers.circuit_breaker.config import CircuitBreakerConfig

__all__ = ["CircuitBreakerConfig"]
