"""The SDK's path to the cache."""

from gatewright.layers.cache import CacheConfig, CacheMechanism, CacheStats

__all__ = ["CacheConfig", "CacheMechanism", "CacheStats"]
