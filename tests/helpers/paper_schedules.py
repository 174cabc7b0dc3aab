"""The settings of the HyperbolicLR paper's own analysis of schedules."""

from __future__ import annotations

from preheat.schedules import cosine, exp_hyperbolic, hyperbolic, linear, polynomial

PAPER = {
    "poly": polynomial(power=0.5),
    "cosine": cosine(final=1e-4),
    "linear": linear(final=1e-4),
    "hyperbolic": hyperbolic(upper=1000, infimum=1e-3),
    "exp_hyperbolic": exp_hyperbolic(upper=1000, infimum=1e-3),
}
