PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: test test-matrix lint demo smoke dashboard dashboard-check bench-commits clean

# A virtual environment with the package and all that the tests need; made anew when pyproject.toml changes.
$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --editable ".[test,bench,plot]"
	touch $@

test: $(VENV)/ready
	$(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder --durations 10

# On every Python found, and with the lowest versions declared; not part of CI.
test-matrix:
	$(PYTHON) tools/test_matrix.py

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tools/derive_coefficients.py --check
	$(BIN)/python tools/derive_hash.py --check
	$(BIN)/python tools/stubs.py --check
	$(BIN)/python tools/readme_table.py --check
	$(BIN)/python tools/docs.py --check

demo: $(VENV)/ready
	$(BIN)/python examples/digits.py

# Each script that CI does not run in full, in its short form.
smoke: $(VENV)/ready
	$(BIN)/python examples/digits.py --quick
	$(BIN)/python examples/boosting.py --quick
	$(BIN)/python examples/choosing.py --quick
	$(BIN)/python examples/gan.py --quick
	$(BIN)/python examples/segmentation.py --quick
	$(BIN)/python examples/transformer.py --quick
	$(BIN)/python examples/descent.py --quick
	$(BIN)/python examples/words.py --quick
	$(BIN)/python tools/porting_profiles.py --quick
	$(BIN)/python tools/sweep.py gelu --quick
	$(BIN)/python tools/check_properties.py --quick
	$(BIN)/fastact bench --quick --op gelu softmax cross_entropy_with_grad linear_cross_entropy maxout
	$(BIN)/fastact bench --quick --programs
	$(BIN)/python -m benchmarks.startup --quick
	$(BIN)/python -m benchmarks.concurrency --quick
	$(BIN)/python -m benchmarks.threads --quick
	$(BIN)/python -m benchmarks.ignored --quick
	$(BIN)/python -m benchmarks.losses --quick
	$(BIN)/python -m benchmarks.memory_kept --quick
	$(BIN)/python -m benchmarks.training --quick
	$(BIN)/python -m benchmarks.standins --quick --only exp
	$(BIN)/python -m benchmarks.reductions --quick --only sum
	$(BIN)/python -m benchmarks.versions . --quick
	$(BIN)/python tools/others_tests.py --quick
	$(BIN)/python tools/fuzz.py --quick
	$(BIN)/python tools/fuzz_views.py --quick
	$(BIN)/python tools/mutants.py --quick
	$(BIN)/fastact advise --measure tests/programs/transformer.py
	$(BIN)/fastact info
	$(BIN)/fastact warmup --op gelu
	$(BIN)/asv machine --yes
	$(BIN)/asv check --python=same

# Throughput across the last commits that changed the package, as pages. Another run adds what is new.
# COMMITS=10 takes more of them; BENCH=Overhead takes only the benchmarks whose name holds that, here and below.
COMMITS ?= 3
BENCH ?= .
# asv's exit status is 2 where a benchmark failed at some commit; the pages and the table show which.
OR_SOME_FAILED = || test $$? -eq 2

dashboard: .asv/machine
	git log --first-parent -$(COMMITS) --format=%H -- fastact > .asv/commits
	$(BIN)/asv run --quick --bench "$(BENCH)" --skip-existing HASHFILE:.asv/commits $(OR_SOME_FAILED)
	$(BIN)/asv publish
	$(BIN)/python tools/offline_dashboard.py .asv/html
	@echo "To open the dashboard: .asv/html/index.html in a browser, or $(BIN)/asv preview --browser"

# The same in small, as CI runs it: one commit, the benchmarks of imports, and all graphs opened in a headless browser.
dashboard-check:
	$(MAKE) dashboard COMMITS=1 BENCH=Import
	$(BIN)/python tools/open_dashboard.py .asv/html

# Two commits, measured with care: make bench-commits A=main B=HEAD
A ?= HEAD~1
B ?= HEAD

bench-commits: .asv/machine
	$(BIN)/asv run --bench "$(BENCH)" "$(A)^!" $(OR_SOME_FAILED)
	$(BIN)/asv run --bench "$(BENCH)" "$(B)^!" $(OR_SOME_FAILED)
	$(BIN)/asv compare --split --factor 1.1 "$(A)" "$(B)"

.asv/machine: $(VENV)/ready
	$(BIN)/asv machine --yes > /dev/null # it prints its questions, and asks none
	mkdir -p .asv && touch $@

clean:
	rm -rf $(VENV) .asv .pytest_cache .mypy_cache .ruff_cache
