"""
The console: one line a record, on the calling thread, without disturbing the training.

    elsewhere  other handlers that show the same line
    handler    ConsoleHandler
    ranks      which ranks of a launch show a line
    thinning   which points of a set of metrics are shown
    throttle   how often metrics are shown, and the bars that are open
"""
