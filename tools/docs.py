"""Write all generated pages and pictures of ``docs/``; with ``--check``, fail if one is stale."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import accuracy_page
import choosing_page
import others_tests
import performance
import pictures
import porting_page
import reference_pages
from pages import main

MODULES = (pictures, reference_pages, choosing_page, accuracy_page, performance, porting_page, others_tests)


def write(check: bool) -> bool:
    """Write or check everything; whether all is fresh."""
    return all([module.write(check) for module in MODULES])  # noqa: C419 - each is to say what is stale


if __name__ == "__main__":
    sys.exit(main(__doc__, write))
