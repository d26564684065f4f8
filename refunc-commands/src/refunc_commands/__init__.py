"""
The command line `refunc`, and the packages that only it needs: plots, reports, upkeep of a store, imports.

    charts     the charts of reports and of the page: modules of JavaScript
    cli        the commands
    importing  importing runs of other trackers
    plotting   curves, bands and scatters: in the terminal, and as pictures
    report     reports of runs as one page
    upkeep     checks and cleanup of a store
"""
