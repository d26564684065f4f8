"""
The refunc plugin for Prometheus: the newest value of each metric, on a port to be scraped or pushed to a gateway.

Only the newest matters here, so delivery is `live`: nothing is replayed, and a restarted delivery process reads the run
once more and shows where it stands. One delivery process serves a whole training, so ranks do not fight for the port.
"""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, ClassVar

from refunc.plugins import (
    ConfigurationError,
    Integration,
    LogLine,
    Metrics,
    Params,
    Retry,
    RunEnd,
    RunInfo,
    hookimpl,
    option,
)
from refunc.plugins.integration import Delivery
from refunc.plugins.options import check_url
from refunc_prometheus.exposition import RunValues, families

__all__ = ["PrometheusIntegration"]

#: Runs that stay visible behind their end, for a last scrape.
KEPT_RUNS = 20
#: Seconds between two pushes to a gateway, and that one may take.
PUSH_INTERVAL, PUSH_TIMEOUT = 5.0, 5.0
_NAMESPACE = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class PrometheusIntegration(Integration):
    """Export the newest metrics, step, epoch and status of runs, labelled `experiment`, `run` and `run_id`."""

    delivery: ClassVar[Delivery] = "live"

    port: int = option(default=8000, env="PROMETHEUS_PORT", help="The port to be scraped at /metrics.")
    namespace: str = option(default="refunc", help="What every metric's name begins with.")
    addr: str = option(default="127.0.0.1", env="PROMETHEUS_ADDR", help="0.0.0.0 lets other machines scrape.")
    push_gateway: str | None = option(
        default=None, env="PROMETHEUS_GATEWAY_URL", help="Push there, for jobs that end before a scrape; opens no port."
    )
    job: str = option(default="refunc", help="The job's name at the gateway.")

    def check(self) -> None:
        """Refuse what is no port, no name and no address."""
        if not 1 <= self.port <= 65_535:
            raise ConfigurationError(f"prometheus: port is {self.port}. Expected: a number from 1 to 65535.")
        if not _NAMESPACE.fullmatch(self.namespace):
            raise ConfigurationError(
                f"prometheus: namespace is {self.namespace!r}. Expected: letters, digits and _, not a digit first."
            )
        if self.push_gateway is not None:
            check_url("prometheus", "push_gateway", self.push_gateway, ("http", "https"))

    @property
    def target(self) -> str:
        """Where the metrics are to be had."""
        where = self.push_gateway.rpartition("@")[2] if self.push_gateway else f"http://{self.addr}:{self.port}/metrics"
        return f"prometheus {where}"

    def open(self) -> None:
        """Open the port, or share it with another integration of this process."""
        self._runs: OrderedDict[str, RunValues] = OrderedDict()
        self._lock = threading.Lock()  # for `_runs`: the thread that is scraped reads what the hooks change
        self._push_at = 0.0
        self._exporter = None if self.push_gateway else _Exporter.shared(self.addr, self.port)
        if self._exporter is not None:
            self._exporter.registry.register(self)

    def close(self) -> None:
        """Give up the port, unless another integration shares it."""
        exporter, self._exporter = getattr(self, "_exporter", None), None
        if exporter is not None:
            exporter.registry.unregister(self)
            exporter.leave()

    def collect(self) -> Any:
        """Give a snapshot to prometheus_client, on the thread that is scraped."""
        with self._lock:
            return families(self.namespace, [values.copy() for values in self._runs.values()])

    def describe(self) -> Any:
        """Name nothing beforehand: names come with the runs."""
        return []

    @hookimpl
    def on_run_start(self, run: RunInfo) -> None:
        """Show the run."""
        self._of(run)
        self._push(run)

    @hookimpl
    def on_hyperparams(self, run: RunInfo, record: Params) -> None:
        """Show the run, also where its start was not seen."""
        self._of(run)

    @hookimpl
    def on_metrics(self, run: RunInfo, records: Sequence[Metrics]) -> None:
        """Keep the newest value of each metric."""
        values = self._of(run)
        with self._lock:
            for record in records:
                values.take(record)
        self._push(run)

    @hookimpl
    def on_log(self, run: RunInfo, records: Sequence[LogLine]) -> None:
        """Count lines by level."""
        values = self._of(run)
        with self._lock:
            for record in records:
                values.lines[record.level] = values.lines.get(record.level, 0) + 1

    @hookimpl
    def on_run_end(self, run: RunInfo, record: RunEnd) -> None:
        """Show the status; what the run's last values were stays visible for a last scrape."""
        values = self._of(run)
        with self._lock:
            values.status, values.dropped = record.status, record.dropped
            ended = [key for key, each in self._runs.items() if each.status != "running"]
            for key in ended[:-KEPT_RUNS]:
                del self._runs[key]
        self._push(run, at_once=True)

    def _of(self, run: RunInfo) -> RunValues:
        with self._lock:
            return self._runs.setdefault(run.run_id, RunValues(run))

    def _push(self, run: RunInfo, *, at_once: bool = False) -> None:
        """Push where a gateway is set: at the end, and every few seconds."""
        if not self.push_gateway or (not at_once and time.monotonic() < self._push_at):
            return
        import prometheus_client

        client: Any = prometheus_client
        registry = client.CollectorRegistry(auto_describe=False)
        registry.register(_Snapshot(self.namespace, self._of(run)))
        client.push_to_gateway(
            self.push_gateway, self.job, registry, grouping_key={"run_id": run.run_id}, timeout=PUSH_TIMEOUT
        )
        self._push_at = time.monotonic() + PUSH_INTERVAL


class _Snapshot:
    """One run for a gateway, which keeps each run's group by itself. Read on the thread that pushes."""

    def __init__(self, namespace: str, values: RunValues) -> None:
        self._namespace, self._values = namespace, values

    def collect(self) -> Any:
        return families(self._namespace, [self._values])


class _Exporter:
    """An open port with a registry, shared by the integrations of this process that name it."""

    _open: ClassVar[dict[tuple[str, int], _Exporter]] = {}
    _opening = threading.Lock()  # for `_open` and the counts of users

    def __init__(self, addr: str, port: int) -> None:
        from prometheus_client import CollectorRegistry, start_http_server

        self.registry = CollectorRegistry(auto_describe=False)
        self._key = (addr, port)
        self._users = 0
        try:
            self._server, self._thread = start_http_server(port, addr, self.registry)
        except OSError as error:
            raise Retry(
                f"port {port} cannot be opened ({error.strerror or error}). It is tried again; if another program has "
                f"it, pass PrometheusIntegration(port=...) or set PROMETHEUS_PORT."
            ) from None

    @classmethod
    def shared(cls, addr: str, port: int) -> _Exporter:
        """Return the exporter at that port, opened now or before. Raises Retry where somebody else has the port."""
        with cls._opening:
            exporter = cls._open.get((addr, port)) or cls(addr, port)
            cls._open[addr, port] = exporter
            exporter._users += 1
            return exporter

    def leave(self) -> None:
        """Close the port when its last user leaves."""
        with self._opening:
            self._users -= 1
            if self._users:
                return
            del self._open[self._key]
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
