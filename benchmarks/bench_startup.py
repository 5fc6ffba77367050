"""The asv suite of starting: imports and first calls, in a fresh interpreter each time.

Each method returns what is timed, and what runs before it with the clock stopped. ``startup.py`` measures the same for
the commit at hand.
"""

READY = "import fastact, numpy; x = numpy.ones(10, numpy.float32)"
EMPTY_CACHE = """
import os, tempfile
folder = tempfile.TemporaryDirectory()
os.environ["FASTACT_CACHE_DIR"] = folder.name
"""


class Import:
    """NumPy's import is part of fastact's."""

    version = "1"

    def timeraw_fastact(self) -> str:
        return "import fastact"

    def timeraw_numpy(self) -> str:
        return "import numpy"


class FirstCall:
    """Of an op on ten elements."""

    version = "1"

    def setup(self) -> None:
        """Put the kernel into the disk cache."""
        import numpy as np

        import fastact

        fastact.gelu(np.ones(10, np.float32))

    def timeraw_warm_cache(self) -> tuple[str, str]:
        """Loads the kernel."""
        return "fastact.gelu(x)", READY

    def timeraw_cold_cache(self) -> tuple[str, str]:
        """Compiles the kernel as well: the one benchmark that compilation belongs to."""
        return "fastact.gelu(x)", f"{EMPTY_CACHE}\n{READY}"
