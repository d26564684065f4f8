"""
The three formatters: ordinary `logging.Formatter`s, for any handler and the records of any library.

    colored     ColoredFormatter
    fields      a line's fields on a stdlib LogRecord
    ml          MLFormatter
    own_scheme  a colour scheme of the user's
    schemes     the colour schemes
    structured  JSONFormatter
    text        the parts of a record as text; the base class
    tracebacks  exceptions and stacks as text
"""

from refunc.logging.formatters.colored import ColoredFormatter
from refunc.logging.formatters.ml import MLFormatter
from refunc.logging.formatters.structured import JSONFormatter

__all__ = ["ColoredFormatter", "JSONFormatter", "MLFormatter"]
