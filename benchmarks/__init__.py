"""What the README says of accuracy and speed, measured again: one command a table.

`python -m benchmarks.accuracy`, from the root of a checkout with the `bench` extra installed,
prints a Markdown table, the peers beside us; `--quick` takes a short prefix of everything.
"""
