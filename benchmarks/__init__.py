"""Benchmarks: one list of cases (``cases.py``), read by asv, by pytest-benchmark and by ``compare.py``."""

import os

# asv reinstalls the package for every commit into one environment; each commit gets its own kernels.
if "ASV_COMMIT" in os.environ:
    os.environ["FASTACT_CACHE_DIR"] = os.path.join(os.environ["ASV_ENV_DIR"], "kernels", os.environ["ASV_COMMIT"])
