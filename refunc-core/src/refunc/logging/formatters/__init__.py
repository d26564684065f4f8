"""The three formatters: ordinary `logging.Formatter`s, for any handler and the records of any library."""

from refunc.logging.formatters.colored import ColoredFormatter
from refunc.logging.formatters.ml import MLFormatter
from refunc.logging.formatters.structured import JSONFormatter

__all__ = ["ColoredFormatter", "JSONFormatter", "MLFormatter"]
