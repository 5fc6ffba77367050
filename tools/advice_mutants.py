"""Faults in what ``fastact advise`` sees and says, for ``mutant_table.py``."""

from mutant import of

ADVICE = [
    *of(
        "advice/matching.py",
        "advise_idioms.py",
        (
            "a letter stands for two things",
            "            if known[name] == form:\n                yield known",
            "            yield known",
            "advise_idioms.py::test_near_miss_is_not",
        ),
        (
            "terms too many do not matter",
            "        if not given or whole:\n            yield known",
            "        yield known",
            "advise_idioms.py::test_near_miss_is_not",
        ),
        (
            "a number is about right",
            "rel_tol=1e-4",
            "rel_tol=1.0",
            "advise_idioms.py::test_near_miss_is_not",
        ),
    ),
    *of(
        "advice/estimates.py",
        "advise_promotions.py",
        (
            "a scalar stays in float64",
            "np.float32(x) if isinstance(x, np.float64) else _narrowed(x)",
            "_narrowed(x)",
            "advise_promotions.py::test_the_share_of_float32_is_of_the_same_operation",
        ),
        (
            "estimates take as long as they like",
            "            self.budget -= spent\n",
            "            pass\n",
            "advise_promotions.py::test_estimates_end_with_their_budget",
        ),
    ),
    *of(
        "advice/promotions.py",
        "advise_promotions.py",
        (
            "a consequence is a cause",
            "if sample.tainted <= {site.number}]",
            "]",
            "advise_promotions.py::test_consequences_are_no_causes",
        ),
        (
            "a part is its own maker",
            "        site = further[0]\n",
            "        break\n",
            "advise_promotions.py::test_cause_is_named",
        ),
        (
            "what follows would do it next",
            "bool(made) and not any(one.tainted for one in made)",
            "bool(made)",
            "advise_promotions.py::test_what_would_do_it_next_is_named",
        ),
    ),
    *of(
        "advice/instrument.py",
        "advise.py",
        (
            "what is compiled is given hooks",
            "if node.name in self.compiled or any(map(_compiles, node.decorator_list)):",
            "if any(map(_compiles, node.decorator_list)):",
            "advise.py::TestPrograms::test_compiled_functions_are_left_alone",
        ),
        (
            "passes are watched the wrong way round",
            "ast.If(_gate(unit, plain[0]), watched, plain)",
            "ast.If(_gate(unit, plain[0]), plain, watched)",
            "advise.py::TestWatching::test_large_arrays_are_watched_always",
        ),
    ),
    *of(
        "advice/recorder.py",
        "advise.py",
        (
            "time within a call counts twice",
            "end - starts[number] - (spent - inner[number])",
            "end - starts[number]",
            "advise.py::TestWatching::test_an_operation_within_another_is_counted_once",
        ),
        (
            "what is seen seldom counts once",
            "        site.calls += weight\n",
            "        site.calls += 1\n",
            "advise.py::TestWatching::test_what_is_seen_seldom_counts_as_often_as_it_is",
        ),
    ),
]
