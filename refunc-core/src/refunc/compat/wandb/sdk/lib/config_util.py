"""The name for `from wandb.sdk.lib.config_util import ConfigError`, which transformers asks for."""

from refunc.compat.wandb.problems import ConfigError

__all__ = ["ConfigError"]
