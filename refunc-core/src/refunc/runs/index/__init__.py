"""
The index: the contents of a store's runs, in one SQLite file outside of the store.

    catalogue   the facts of runs, side by side
    contents    the contents of runs, without their points
    database    the SQLite file: opening, making
    file        one store's index: births, facts and endings of its runs
    location    the folder of indexes
    points      points as blobs
    writer_row  the row of one writer
"""
