PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: test test-matrix lint demo smoke clean

# A virtual environment with the package and all that the tests need; made anew when pyproject.toml changes.
$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[test,bench,plot]"
	touch $@

test: $(VENV)/ready
	$(BIN)/python -m pytest -q

# On every Python found, and with the lowest versions declared; not part of CI.
test-matrix:
	$(PYTHON) tools/test_matrix.py

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tools/derive_coefficients.py --check
	$(BIN)/python tools/stubs.py --check

demo: $(VENV)/ready
	$(BIN)/python examples/digits.py

# Each script that CI does not run in full, in its short form.
smoke: $(VENV)/ready
	$(BIN)/python examples/digits.py --quick
	$(BIN)/python tools/sweep.py gelu --quick
	$(BIN)/python -m benchmarks.compare --quick --op gelu
	$(BIN)/python -m benchmarks.startup --quick
	$(BIN)/asv machine --yes
	$(BIN)/asv check --python=same

clean:
	rm -rf $(VENV) .asv .pytest_cache .mypy_cache .ruff_cache
