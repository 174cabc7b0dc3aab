"""Schedules for training loops of your own: PyTorch (`adapters.torch`), optax (`adapters.optax`), and
conversions.

    from preheat.adapters.torch import ScheduleLR
    scheduler = ScheduleLR(optimizer, cosine(warmup="5%"), total_steps=10_000)

Nothing is imported here: each module needs its own library only.
"""
