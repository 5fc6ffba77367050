"""fastact against what people use today: one table of cases, and the clock that they are timed with; whole steps of programs.

``fastact bench``, the asv suite and the tests under pytest-benchmark all take their cases from here. The asv suite
loads this folder beside older versions of fastact: so its modules import each other relatively, and fastact inside
functions only.
"""
