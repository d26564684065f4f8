"""
Upkeep of a store: checking it for problems, and freeing space.

    checks   the checks of `refunc doctor`
    drafts   finding leftover drafts
    folding  joining the segments of a run
    merging  bringing together the folders of one run
    space    measuring and freeing space
"""
