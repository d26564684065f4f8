"""
Active runs: those that this process writes to, from their start to their end.

    aside        records that are in no run
    bests        the best values so far
    blocks       the block that a thread or task is in
    borrowed     runs of other processes that this one writes to
    exits        whether SystemExit ended the script
    family_runs  the running runs of processes of this one's family
    last_error   the exception that ends the interpreter
    launched     the run that all ranks of a launch find
    living       the runs that something in this process refers to
    loose_lines  the lines that wait for the next run
    modules      the modules that runs need, imported at the first use
    nowhere      a run that writes nothing: REFUNC_MODE=disabled
    opening      opening a run, of its own or together with others
    outcome      how a run ended, told from the exception
    parent_run   the run of the process that started this one
    parents      which run a new one lies in
    place        the step and the epoch of one logger in one run
    results      names of results
    resumed      going on with an earlier run
    run          a run
    started      runs that were started without a block
    unwritten    runs without a journal
    versions     the commit and the packages that a run is made with
    waiting      records that wait in memory for a run
"""
