"""How it runs: ufuncs, the cache on disk, the compiler, and the team of threads; no Numba when it is imported."""
