"""
The command line `refunc`, and the packages that only it needs: reports, upkeep of a store, imports.

    cli        the commands
    importing  importing runs of other trackers
    report     reports of runs as one page
    upkeep     checks and cleanup of a store
"""
