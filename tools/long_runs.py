"""What the runs that are too long for the tests found, kept in ``tests/data/long-runs.json``."""

import json
import sys
from datetime import UTC, datetime
from typing import Any

from pages import ROOT

sys.path.insert(0, str(ROOT))

from fastact import get_num_threads
from fastact.bench.machine import conditions
from fastact.runtime import cache

KEPT = ROOT / "tests" / "data" / "long-runs.json"


def keep(run: str, **found: Any) -> None:
    """Keep what a run found, with the day, the machine, the versions and the digest of the sources that it holds for."""
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    held = conditions(get_num_threads(), peers=())
    kept[run] = found | {
        "date": datetime.now(UTC).date().isoformat(),
        "sources": cache.digest(),
        "processor": held["machine"]["processor"],
        "cores": held["machine"]["cores"],
        "versions": held["versions"],
    }
    KEPT.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")
