"""Schedules of other libraries as preheat's: the same table, as a schedule that one can read, store and
combine.

    from preheat.adapters.conversions import from_torch
    from_torch("CosineAnnealingLR", lr=0.1, T_max=100).schedule        # cosine(at=left)

Only the names and arguments are needed; no library is imported. What differs from the library on purpose, and
what only a table can say, is in `docs/schedules-differences.md`.
"""

from preheat.adapters.conversions.grouped import GroupRecipes
from preheat.adapters.conversions.optax import from_optax
from preheat.adapters.conversions.timm import from_timm
from preheat.adapters.conversions.torch import from_torch
from preheat.adapters.conversions.transformers import from_transformers
from preheat.schedules.recipes.recipe import Recipe

__all__ = ["GroupRecipes", "Recipe", "from_optax", "from_timm", "from_torch", "from_transformers"]
