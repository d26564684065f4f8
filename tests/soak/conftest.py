"""All trackers at once: the servers and receivers that each of them has in its own tests."""

from tests.mlflow.conftest import (  # noqa: F401  # fixtures
    lone_server,
    own_environment,
    parts,
    postgres,
    postgresql_server,
    servers,
    sqlite_server,
)
from tests.prometheus.test_gateway import gateway  # noqa: F401
from tests.slack.conftest import slack  # noqa: F401
from tests.wandb.conftest import read_offline  # noqa: F401
