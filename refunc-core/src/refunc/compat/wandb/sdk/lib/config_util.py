"""What `from wandb.sdk.lib.config_util import ConfigError` finds, which transformers asks for."""

from refunc.compat.wandb.problems import ConfigError

__all__ = ["ConfigError"]
