"""
Upkeep of a store: checking it for problems, and freeing space.

    checks    the checks of `refunc doctor`
    drafts    finding leftover drafts
    findings  the result of a check
    folding   joining the segments of a run
    launches  the checks of runs that launchers started
    merging   bringing together the folders of one run
    space     measuring and freeing space
"""
