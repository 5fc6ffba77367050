"""The commands of ``python -m fastact``, a module for each."""
