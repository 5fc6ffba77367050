"""A module of a program's folder."""
import numpy as np


def normalise(x):
    """Rows of mean 0."""
    return (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)


class Model:
    scale = np.float64(0.5)

    def __call__(self, x):
        return normalise(x) * self.scale
