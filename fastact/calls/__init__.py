"""How arguments reach a ufunc, whatever they are: containers, axes, results; the checks of them all."""
