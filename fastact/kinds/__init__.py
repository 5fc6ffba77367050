"""What each kind of kernel computes, and the names under which it is compiled; no Numba."""
