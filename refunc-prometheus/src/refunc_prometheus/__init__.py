"""
The refunc plugin for Prometheus: the newest value of each metric, on a port for scrapes or pushed to a gateway.

Only the newest matters here, so delivery is `live`: nothing is replayed, and a restarted delivery process reads the run
again and shows its current state. One delivery process serves a whole training, so ranks do not compete for the port.

    exposition  runs in the form of Prometheus
    names       the names that Prometheus accepts, and the respelling of others
"""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from http.client import HTTPException
from typing import Any, ClassVar
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from refunc.plugins import (
    ConfigurationError,
    Delivery,
    Integration,
    LogLine,
    Metrics,
    Params,
    Retry,
    RunEnd,
    RunInfo,
    check_url,
    hookimpl,
    option,
    text_of,
)
from refunc_prometheus.exposition import RunValues, families

__all__ = ["PrometheusIntegration"]

#: The path at which a training asks an earlier one, whose runs have all ended, to release the port.
LEAVE = "/refunc/leave"
#: The most ended runs that stay visible for a last scrape.
KEPT_RUNS = 20
#: Seconds between two pushes to a gateway, and the most that one may take.
PUSH_INTERVAL, PUSH_TIMEOUT = 5.0, 5.0
_NAMESPACE = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class PrometheusIntegration(Integration):
    """Export the newest metrics, step, epoch and status of runs, with labels that identify the run."""

    delivery: ClassVar[Delivery] = "live"
    address_options: ClassVar[Sequence[str] | None] = ("addr", "port", "push_gateway")

    port: int = option(default=8000, env="PROMETHEUS_PORT", help="The port for scrapes, at /metrics.")
    namespace: str = option(default="refunc", help="The prefix of every metric's name.")
    addr: str = option(
        default="127.0.0.1",
        env="PROMETHEUS_ADDR",
        help="The address to bind; 0.0.0.0 allows scrapes from other machines.",
    )
    push_gateway: str | None = option(
        default=None,
        env="PROMETHEUS_GATEWAY_URL",
        help="A gateway to push to, for jobs that end before a scrape. Opens no port.",
    )
    linger: float = option(
        default=15.0,
        env="PROMETHEUS_LINGER",
        help="Seconds that the port stays open after all runs have ended; best the scrape interval.",
    )
    job: str = option(default="refunc", help="The job's name at the gateway.")

    def check(self) -> None:
        """Refuse an invalid port, name or address."""
        if not 1 <= self.port <= 65_535:
            raise ConfigurationError(f"prometheus: port is {self.port}. Expected: a number from 1 to 65535.")
        if not _NAMESPACE.fullmatch(self.namespace):
            raise ConfigurationError(
                f"prometheus: namespace is {self.namespace!r}. Expected: letters, digits and _, not a digit first."
            )
        if not 0 <= self.linger <= 3_600:
            raise ConfigurationError(f"prometheus: linger is {self.linger}. Expected: seconds from 0 to 3600.")
        if self.push_gateway is not None:
            check_url("prometheus", "push_gateway", self.push_gateway, ("http", "https"))
        if not self.job:
            raise ConfigurationError("prometheus: job is ''. Expected: a name, because a gateway needs one.")

    @property
    def target(self) -> str:
        """The address of the metrics."""
        where = self.push_gateway.rpartition("@")[2] if self.push_gateway else f"http://{self.addr}:{self.port}/metrics"
        return f"prometheus {where}"

    def open(self) -> None:
        """Open the port, or share it with another integration of this process."""
        self._runs: OrderedDict[str, RunValues] = OrderedDict()
        self._lock = threading.Lock()  # for `_runs`: the scrape thread reads it while the hooks change it
        self._push_at = 0.0
        self._exporter = None if self.push_gateway else _Exporter.shared(self.addr, self.port)
        if self._exporter is not None:
            self._exporter.registry.register(self)
            self._exporter.integrations.append(self)

    def close(self) -> None:
        """Release the port, unless another integration shares it."""
        exporter, self._exporter = getattr(self, "_exporter", None), None
        if exporter is not None:
            exporter.registry.unregister(self)
            exporter.integrations.remove(self)
            exporter.leave()

    @property
    def stays_open(self) -> float:
        """Seconds that the port stays open after the last run's end; 0 if another training asks for it."""
        exporter = getattr(self, "_exporter", None)
        return 0.0 if exporter is None or exporter.is_wanted else self.linger

    @property
    def is_over(self) -> bool:
        """Whether all runs have ended."""
        with self._lock:
            return all(values.status != "running" for values in self._runs.values())

    def collect(self) -> Any:
        """Return a snapshot for prometheus_client, on the scrape thread."""
        with self._lock:
            return families(self.namespace, [values.copy() for values in self._runs.values()])

    def describe(self) -> Any:
        """Return no names in advance: they come with the runs."""
        return []

    @hookimpl
    def on_run_start(self, run: RunInfo) -> None:
        """Show the run, as running if it goes on with a further attempt."""
        values = self._of(run)
        with self._lock:
            values.run, values.status = run, "running"
        self._push(run)

    @hookimpl
    def on_hyperparams(self, run: RunInfo, record: Params) -> None:
        """Show the run, even if its start was not seen."""
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
        """Show the status; the run's last values stay visible for a last scrape."""
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
        """Push if a gateway is set: at the end, and every few seconds."""
        if not self.push_gateway or (not at_once and time.monotonic() < self._push_at):
            return
        import prometheus_client

        client: Any = prometheus_client
        registry = client.CollectorRegistry(auto_describe=False)
        registry.register(_Snapshot(self.namespace, self._of(run)))
        address, handler = _address(self.push_gateway)
        group = {"run_id": run.run_id}
        try:
            client.push_to_gateway(
                address, text_of(self.job), registry, grouping_key=group, timeout=PUSH_TIMEOUT, handler=handler
            )
        except HTTPError as error:
            error.close()  # otherwise it keeps the connection open as long as delivery keeps the error
            raise
        self._push_at = time.monotonic() + PUSH_INTERVAL


def _address(gateway: str) -> tuple[str, Any]:
    """Return the address of a gateway without its password, and a handler that uses it: urllib accepts none in URLs."""
    from prometheus_client.exposition import basic_auth_handler, default_handler

    parts = urlsplit(gateway)
    if parts.username is None:
        return gateway, default_handler
    user, password = unquote(parts.username), unquote(parts.password or "")
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(), partial(
        basic_auth_handler, username=user, password=password
    )


class _Snapshot:
    """One run for a gateway, which keeps a group for each run. Read on the pushing thread."""

    def __init__(self, namespace: str, values: RunValues) -> None:
        self._namespace, self._values = namespace, values

    def collect(self) -> Any:
        return families(self._namespace, [self._values])


def _is_left(addr: str, port: int) -> bool:
    """Ask the owner of the port to release it, which it does if its runs have ended; False for another program."""
    host = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "[::1]"}.get(addr, addr)  # noqa: S104  # asked, not bound
    try:
        ask = build_opener(ProxyHandler({})).open  # this machine, without any proxy
        with ask(Request(f"http://{host}:{port}{LEAVE}", method="POST"), timeout=2) as answer:
            return bool(answer.status == 202 and answer.read(16) == b"refunc")
    except (OSError, ValueError, HTTPException):
        return False


class _Exporter:
    """An open port with a registry, shared by the integrations of this process that name it."""

    _open: ClassVar[dict[tuple[str, int], _Exporter]] = {}
    _opening = threading.Lock()  # for `_open` and the counts of users

    def __init__(self, addr: str, port: int) -> None:
        from prometheus_client import CollectorRegistry, start_http_server

        self.registry = CollectorRegistry(auto_describe=False)
        self._key = (addr, port)
        self._users = 0
        self.integrations: list[PrometheusIntegration] = []
        #: Whether another training has asked for the port when all runs here had ended.
        self.is_wanted = False
        try:
            self._server, self._thread = start_http_server(port, addr, self.registry)
        except OSError as error:
            if _is_left(addr, port):
                text = f"port {port} belongs to an earlier training whose runs have ended; it is free when that ends"
                raise Retry(text, after=0.5) from None
            raise Retry(
                f"port {port} cannot be opened ({error.strerror or error}). It will be tried again; if another program "
                f"uses it, pass PrometheusIntegration(port=...) or set PROMETHEUS_PORT."
            ) from None

        app = self._server.get_app()
        self._server.set_app(lambda environ, respond: self._answer(app, environ, respond))

    def _answer(self, app: Any, environ: dict[str, Any], respond: Any) -> Any:
        if (environ.get("REQUEST_METHOD"), environ.get("PATH_INFO")) != ("POST", LEAVE):
            return app(environ, respond)
        users = [user for user in self.integrations if not user.is_over]
        self.is_wanted = self.is_wanted or not users
        respond("409 Conflict" if users else "202 Accepted", [("Content-Type", "text/plain")])
        return [b"refunc"]

    @classmethod
    def shared(cls, addr: str, port: int) -> _Exporter:
        """Return the exporter at that port, opened now or before. Raises Retry if another process has the port."""
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
