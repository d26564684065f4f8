"""
Names inside of W&B's client that frameworks import.

    lib  what transformers and Lightning import
"""
