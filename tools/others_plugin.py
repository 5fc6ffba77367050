"""A plugin of pytest for ``tools/others_tests.py``: replaces functions before their tests are imported, and reports outcomes.

``--replaced=accelerate`` is `fastact.accelerate`, ``--replaced=special`` puts the functions of `fastact.special` into
``scipy.special``, and ``--replaced=nothing`` leaves all as it is. ``--outcomes`` names the file to write, a line of JSON for each
test.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

_reported: list[Any] = []
"""The file, once there is one."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    parser.addoption("--replaced", choices=tuple(_REPLACE), default="nothing")
    parser.addoption("--outcomes", required=True)


def pytest_configure(config: pytest.Config) -> None:
    """Replace functions: no module of tests has been imported yet."""
    _reported.append(open(config.getoption("--outcomes"), "w", encoding="utf-8", buffering=1))  # noqa: SIM115 - till the end
    _REPLACE[config.getoption("--replaced")]()


def pytest_unconfigure() -> None:
    """Close the file."""
    _reported.pop().close()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Report how many tests there are."""
    _report(tests=len(session.items))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Report a test that has run, or what failed or skipped it before it did; of a failure the exception's first line."""
    if report.when == "call" or not report.passed:
        crash = getattr(report.longrepr, "reprcrash", None)
        error = crash.message.partition("\n")[0] if crash else ""
        _report(test=report.nodeid.rpartition(".py")[2].lstrip(":"), outcome=report.outcome, error=error)


def _report(**what: Any) -> None:
    print(json.dumps(what), file=_reported[0])


def _accelerate() -> None:
    import fastact

    refused = fastact.accelerate().refused
    if refused:
        raise pytest.UsageError(f"not replaced: {refused}")


def _replace_special() -> None:
    import scipy.special
    from scipy._lib._array_api import xp_capabilities_table
    from scipy.special import _ufuncs

    from fastact import special

    for name in special.__all__:
        theirs, ours = getattr(scipy.special, name), getattr(special, name)
        for module in (scipy.special, _ufuncs):
            if hasattr(module, name):
                setattr(module, name, ours)
        if theirs in xp_capabilities_table:  # which SciPy's tests ask with what arrays a function is to be tried
            xp_capabilities_table[ours] = xp_capabilities_table[theirs]


_REPLACE = {"nothing": lambda: None, "accelerate": _accelerate, "special": _replace_special}
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
