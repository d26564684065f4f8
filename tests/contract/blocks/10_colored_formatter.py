from refunc.logging import ColoredFormatter

formatter = ColoredFormatter(
    show_time=True,
    show_level=True,
    show_logger=True,
    show_metrics=True,
    color_scheme="default"  # "default", "dark", "light"
)
