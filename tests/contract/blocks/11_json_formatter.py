from refunc.logging import JSONFormatter

formatter = JSONFormatter(
    include_extra=True,
    timestamp_format="iso",  # "iso", "unix", "readable"
    indent=None  # For pretty-printing, use 2 or 4
)
