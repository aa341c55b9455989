"""The response cache: what was answered before need not be bought again; usable alone as well."""

from gatewright.layers.cache.config import CacheConfig
from gatewright.layers.cache.mechanism import CacheMechanism
from gatewright.layers.cache.stats import CacheStats

__all__ = ["CacheConfig", "CacheMechanism", "CacheStats"]
