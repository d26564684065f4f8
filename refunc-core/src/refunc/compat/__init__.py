"""
Modules with the names of other libraries, for code that was written for these. Nothing is patched.

    wandb  W&B's client
"""
