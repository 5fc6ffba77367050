"""Benchmarks: one list of cases (``cases.py``), read by asv, by pytest-benchmark and by ``compare.py``."""

import os
import tempfile

# asv reinstalls the package for every commit into one environment; each commit gets its own kernels.
if "ASV_COMMIT" in os.environ:
    os.environ["FASTACT_CACHE_DIR"] = os.path.join(tempfile.gettempdir(), "fastact-asv", os.environ["ASV_COMMIT"])
