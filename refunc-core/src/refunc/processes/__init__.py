"""
Processes: this one, the one that started it, and starting one of our own.

    family       which runs were opened by this process's parents or children
    forks        calls before and after a fork
    inherited    the run of the process that started this one as a script
    launch       the launch that this process belongs to
    launchers    the rank that a launcher gives to a process
    lifetime     whether the interpreter is ending; starting threads
    opener       the process that opened a run, and whether it can be seen from here
    own_process  starting a Python process that runs one function of refunc
    parent       the process that started this one through multiprocessing
    starters     the processes that started this one in another way: a script's, and Ray's driver
"""
