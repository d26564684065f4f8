"""A stand-in, see `imported_clu`."""

api = None
