"""
refunc: logging and experiment tracking for machine learning, in one journal of plain files.

Training scripts import `refunc.logging`; programs that read runs back import `refunc.runs`.
"""

__version__ = "2.0.0"
