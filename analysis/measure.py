"""What a world model is measured by: plain functions of arrays, tested against known answers."""

from __future__ import annotations

import numpy as np

PLAYER_RADIUS = 16
"""pixels of the game's screen around the player that `psnr_player` looks at"""
SCREEN = (224, 320)


def psnr(mse: float) -> float:
    """Peak signal-to-noise ratio in decibels of a mean squared error of values in 0..1."""
    return float(-10 * np.log10(max(mse, 1e-10)))


def player_mask(screen_xy: np.ndarray, size: int = 64) -> np.ndarray:
    """Which pixels of the shrunk frames lie within 16 px of the player.

    Args:
        screen_xy: (N, 2), the player's x and y on the game's screen in its own pixels.

    Returns:
        bool (N, size, size).
    """
    height, width = SCREEN
    columns = (np.arange(size) + 0.5) * width / size
    rows = (np.arange(size) + 0.5) * height / size
    near_x = np.abs(columns[None] - screen_xy[:, :1]) <= PLAYER_RADIUS
    near_y = np.abs(rows[None] - screen_xy[:, 1:]) <= PLAYER_RADIUS
    return near_y[:, :, None] & near_x[:, None, :]


class LinearProbe:
    """Ridge regression with an intercept: can a linear reader find `targets` in `features`?"""

    def __init__(self, features: np.ndarray, targets: np.ndarray, ridge: float = 1e-2):
        """Fit on features (N, F) and targets (N, K); inputs are standardised first."""
        self.mean, self.std = features.mean(axis=0), features.std(axis=0) + 1e-6
        inputs = self._inputs(features)
        gram = inputs.T @ inputs + ridge * len(inputs) * np.eye(inputs.shape[1])
        self.weights = np.linalg.solve(gram, inputs.T @ targets)

    def _inputs(self, features: np.ndarray) -> np.ndarray:
        scaled = (features.astype(np.float64) - self.mean) / self.std
        return np.concatenate([scaled, np.ones((len(scaled), 1))], axis=1)

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Predictions (N, K)."""
        return self._inputs(features) @ self.weights


def r_squared(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Coefficient of determination; 0 is as good as the mean, 1 is perfect."""
    residual = float(((truth - predicted) ** 2).sum())
    total = float(((truth - truth.mean()) ** 2).sum())
    return 1 - residual / total if total > 0 else 0.0


def auc(labels: np.ndarray, scores: np.ndarray) -> float | None:
    """Area under the ROC curve: the chance that a positive scores higher than a negative.

    None where one of the two kinds does not occur. Ties count half (the rank form of
    Mann and Whitney's U).
    """
    labels = labels.astype(bool)
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if not positives or not negatives:
        return None
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    u = ranks[labels].sum() - positives * (positives + 1) / 2
    return float(u / (positives * negatives))


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's; 0 where one of the two does not vary."""
    if a.std() == 0 or b.std() == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def gaussian_nll(truth: np.ndarray, mean: np.ndarray, std: np.ndarray) -> float:
    """Mean negative log-likelihood in nats per unit under a diagonal Gaussian."""
    return float((0.5 * ((truth - mean) / std) ** 2 + np.log(std) + 0.5 * np.log(2 * np.pi)).mean())
