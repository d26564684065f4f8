"""
Lines of text: how a call becomes a record, and the stdlib record that handlers get.

    calls        `info`, `warning` and the others
    emission     where a line goes besides its run
    line_fields  the fields of a line besides its message, metrics and extra
    line_record  the stdlib record of a line
    records      making a stdlib LogRecord quickly
"""
