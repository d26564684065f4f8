"""A stand-in, see `imported_clu`."""
