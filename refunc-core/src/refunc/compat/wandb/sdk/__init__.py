"""
Names inside of W&B's client that frameworks import.

    lib  the names that transformers and Lightning import
"""
