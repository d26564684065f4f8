"""
The page of refunc: a server that reads a store of runs, and the page that it sends to the browser.

    ahead           reading runs that are new to the index
    answers         JSON, columns and errors as they are sent
    app             the addresses and their answers
    artifacts       files of a run
    asked           the parameters of a request
    bands           curves of groups, with bands
    changes         what has changed, and who wants to know
    command         `refunc ui`
    curves          points of metrics for charts
    entries         the list of runs
    events          streams of what changes
    guard           the token, and the names of hosts and origins
    held            the runs that the server knows
    kept_curves     curves that were drawn lately
    listing         the table of runs
    log_lines       pages of log lines
    made_curves     the curves of an answer
    names           names for expressions, columns and charts
    notebook        the page in a notebook
    one_run         the facts of one run
    opened          runs that were read lately
    parts           curves of ranks and attempts
    sending         bounds on answers on their way
    serving         the port, the start and the end of a server
    static          the files of the page
    wanted_curves   what a chart asks for
    watching        the thread that sees what changes in the store
    workers         the threads that read runs
"""
