"""Every elementwise activation: the files whose blocks make them."""

from fastact.functions import elementary, exponential, gelus, rectifiers, sigmoidal, special_functions

__all__ = ["elementary", "exponential", "gelus", "rectifiers", "sigmoidal", "special_functions"]
