"""
Log files: their contents, their rotation, and the open files.

    logfile     one log file
    rotation    how many files, and how large
    shelf       the open log files by name
    transcript  which records of a run go to log files
    written     a record of the journal as a line of a log file
"""
