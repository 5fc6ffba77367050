"""How it runs: compilation, cache, loops, threads and ufuncs."""
