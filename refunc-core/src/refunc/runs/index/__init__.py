"""
The index: the contents of a store's runs, in one SQLite file outside of the store.

    file        the SQLite file: opening, reading, writing
    points      points as blobs
    writer_row  the row of one writer
"""
