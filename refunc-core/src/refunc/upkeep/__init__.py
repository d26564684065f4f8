"""Looking after a store: whether everything is all right, and what takes space that nobody needs any more."""
