"""
Handlers for stdlib loggers: into the run, and before slow or many targets.

    buffering    AsyncHandler and BufferedHandler
    capture      lines of loggers that do not propagate
    ends         the exit of the process, and a fork
    origin       the wrappers that a record passed through
    passing      the queue and the thread of an AsyncHandler
    run_handler  RunHandler
    unseen       lines that Python shows without a handler
    wrapper      the base of handlers that wrap other handlers
"""
