"""How arrays are walked: the vector loop, rows and columns, and the machine operations that they are made of. Uses Numba."""
