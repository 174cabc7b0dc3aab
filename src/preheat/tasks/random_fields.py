"""Smooth random functions on a grid, and the exact integrals of the splines through them; numpy alone."""

from __future__ import annotations

import numpy as np

LEAST = -1e-6  # an eigenvalue above it is 0 up to rounding
MOST_WAVES = 2**20


def random_fields(
    scales: np.ndarray, points: int, *, spacing: float, longest: float, rng: np.random.Generator
) -> np.ndarray:
    """[N, points]: Gaussian fields of mean 0 and covariance k(d) = exp(-d^2 / (2 l^2)), one for each length
    scale l of scales [N].

    spacing: the distance d of neighbours; longest: no less than any of the scales. Circulant embedding: the
    covariance on `points` is a corner of a circulant matrix of m rows, whose eigenvalues are a Fourier
    transform, and whose square root times white noise is F^-1 sqrt(lambda) F z, exact up to rounding. m is
    the same for all of the scales, so rows of one generator begin alike whatever their number. A. Wood, G.
    Chan, J. Comput. Graph. Stat. 3 (1994) 409, doi 10.1080/10618600.1994.10474655.

    >>> rng = np.random.default_rng(0)
    >>> u = random_fields(np.full(4000, 0.2), 101, spacing=0.01, longest=0.2, rng=rng)
    >>> bool(abs((u[:, 0] * u[:, 20]).mean() - np.exp(-0.5)) < 0.05)
    True
    """
    m = waves(points, spacing=spacing, scale=longest)
    noise = np.fft.rfft(rng.standard_normal((len(scales), m)))
    noise *= np.sqrt(np.maximum(eigenvalues(scales, m, spacing=spacing), 0.0))
    return np.fft.irfft(noise, m)[:, :points]


def waves(points: int, *, spacing: float, scale: float) -> int:
    """m: the least power of 2, at least 2 (points - 1), for which the circulant matrix is a covariance.

    Errors: ValueError where none up to 2^20 is.

    >>> waves(1000, spacing=0.001, scale=0.1), waves(1000, spacing=0.001, scale=0.4)
    (2048, 8192)
    """
    m = 1 << max(2 * (points - 1) - 1, 1).bit_length()
    while m <= MOST_WAVES:
        if eigenvalues(np.array([scale]), m, spacing=spacing).min() > LEAST:
            return m
        m *= 2
    raise ValueError(f"a length scale must be far below {MOST_WAVES * spacing:g}, got {scale:g}")


def eigenvalues(scales: np.ndarray, m: int, *, spacing: float) -> np.ndarray:
    """[N, m / 2 + 1]: those of the m x m circulant matrix whose first row is k; all but the first and last
    are double."""
    around = np.minimum(np.arange(m), m - np.arange(m)) * spacing
    lags = np.square(around[: m // 2 + 1])
    half = np.exp(-lags / (2 * np.square(scales)[:, None]))
    return np.fft.rfft(np.concatenate([half, half[:, -2:0:-1]], 1)).real


def antiderivative(x: np.ndarray, u: np.ndarray, at: np.ndarray) -> np.ndarray:
    """[N, Q]: the integrals from x[0] to each of `at` [Q] of the splines through x [P], u [N, P].

    The spline is cubic Hermite; its slope at a point is that of the parabola through this point and its two
    neighbours, at an end through the nearest three. x rises; `at` lies within it.

    >>> x = np.array([0.0, 0.5, 1.0, 2.0])
    >>> antiderivative(x, 3 * x[None] ** 2, np.array([0.0, 1.5, 2.0]))
    array([[0.   , 3.375, 8.   ]])
    """
    slopes = np.gradient(u, x, axis=-1, edge_order=2)
    h = np.diff(x)
    whole = np.cumsum(h / 2 * (u[:, :-1] + u[:, 1:]) + h**2 / 12 * (slopes[:, :-1] - slopes[:, 1:]), axis=1)
    whole = np.pad(whole, ((0, 0), (1, 0)))
    i = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(h) - 1)
    h, t = h[i], (at - x[i]) / h[i]
    part = (t**4 / 2 - t**3 + t) * u[:, i] + (t**3 - t**4 / 2) * u[:, i + 1]
    bent = (t**4 / 4 - 2 * t**3 / 3 + t**2 / 2) * slopes[:, i] + (t**4 / 4 - t**3 / 3) * slopes[:, i + 1]
    return np.asarray(whole[:, i] + h * part + h**2 * bent)
