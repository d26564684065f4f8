"""
`RunDisabled`, the class of a disabled run, which Lightning asks for.

    config_util  `ConfigError`, which transformers asks for
"""

from refunc.compat.wandb.runs import Run as RunDisabled

__all__ = ["RunDisabled"]
