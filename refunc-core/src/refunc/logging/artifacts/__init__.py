"""
Artifacts: files that are copied into the run before the call returns.

    folders   the files of a folder that is logged
    storing   copying
    warnings  warnings about artifacts
"""
