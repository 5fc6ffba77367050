"""Benchmarks over time, of the cases of ``fastact/bench``: the asv suite, and the same cases under pytest."""

import os

# asv reinstalls the package for every commit into one environment; each commit gets its own kernels.
if "ASV_COMMIT" in os.environ:
    os.environ["FASTACT_CACHE_DIR"] = os.path.join(os.environ["ASV_ENV_DIR"], "kernels", os.environ["ASV_COMMIT"])
