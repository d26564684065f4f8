"""
The page of refunc: a server that reads a store of runs, and the page that it sends to the browser.

    answers  JSON, columns and errors as they are sent
    app      the addresses and their answers
    asked    the parameters of a request
    command  `refunc ui`
    curves   points of metrics for charts
    guard    the token, and the names of hosts and origins
    held     the runs that the server knows
    listing  the table of runs
    names    names for expressions, columns and charts
    serving  the port, the start and the end of a server
    static   the files of the page
    workers  the threads that read runs
"""
