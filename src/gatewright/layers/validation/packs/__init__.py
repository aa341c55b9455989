"""Rule packs: a practice (ITIL's, or a desk's own) as YAML that a user can read and change."""

from gatewright.layers.validation.packs.loading import SHIPPED, load_pack, read_pack
from gatewright.layers.validation.packs.pack import RulePack

__all__ = ["SHIPPED", "RulePack", "load_pack", "read_pack"]
