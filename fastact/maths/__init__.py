"""Scalar mathematics: coefficients, error bounds, valid ranges."""
