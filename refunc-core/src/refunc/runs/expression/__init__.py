"""
The language of `find` and `--where`: `params.lr < 0.01 and metrics.accuracy.max > 0.9`.

It is a subset of Python's syntax with `~` and `is missing`, parsed by `ast` and then interpreted: other syntax is
refused with its position, and `eval` is never used. An expression may come from an untrusted source: its length, its
depth and its powers are bounded.

    asked     the names that an expression reads, and whether any run has them
    compiler  from a text to a function of a run's facts
    hints     advice for a mistake, by the way in which it was written
    notes     sentences about runs that a comparison leaves out, and near texts
    syntax    from a text to Python's syntax tree
    times     texts beside start_time and duration
    values    the values of runs: missing ones, comparisons, their order
"""
