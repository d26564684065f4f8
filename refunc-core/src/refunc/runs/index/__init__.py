"""
The index: the contents of a store's runs, in one SQLite file outside of the store.

    catalogue   the facts of runs, side by side
    database    the SQLite file: opening, making
    file        reading and writing contents
    location    the folder of indexes
    points      points as blobs
    writer_row  the row of one writer
"""
