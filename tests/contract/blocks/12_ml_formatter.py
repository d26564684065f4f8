from refunc.logging import MLFormatter

formatter = MLFormatter(
    show_step=True,
    show_epoch=True,
    show_metrics=True,
    metric_precision=4,
    compact_mode=False
)
