"""The stream of events: the records of a training come at once, none twice, and a client may be slow or go away."""

from __future__ import annotations

import http.client
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.ui.conftest import TOKEN, multiply, wait_for

pytestmark = pytest.mark.ui


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "experiments").mkdir()
    return tmp_path / "experiments"


def has_points(count: int) -> Callable[[Any], bool]:
    return lambda event: event.kind == "points" and event.data["metrics"].get("loss") == count


def test_records_lines_and_the_end_of_a_running_training(
    store: Path, start: Callable[..., Any], live: Callable[..., Any], listen: Callable[..., Any]
) -> None:
    training = live(store)
    training.tell("tracker.log_metrics({'loss': 0.5, 'other': 1.0}, step=0)")
    server = start(store)
    stream = listen(server, run=training.id, metric="loss")
    assert stream.answer.getheader("content-type").startswith("text/event-stream")
    assert stream.next().kind == "store"
    stream.until(has_points(1))

    training.tell("began = __import__('time').time(); tracker.log_metrics({'loss': 0.4, 'other': 2.0}, step=1)")
    (*_, event) = stream.until(has_points(2))
    assert event.data == {"run": training.id, "metrics": {"loss": 2}}

    training.tell("import refunc.logging; refunc.logging.MLLogger('text').info('a line')")
    training.process.stdin.close()
    training.process.wait()
    events = stream.until(lambda event: event.kind == "status" and event.data["status"] == "completed")
    assert not [event for event in events if event.kind == "points" and "other" in event.data["metrics"]]

    cursor = server.curves(metric="loss", run=training.id)["curves"][0]
    assert (cursor["data"]["y"], cursor["is_running"]) == ([0.5, 0.4], False)


def test_only_new_points_are_fetched_while_a_run_goes_on(
    store: Path, start: Callable[..., Any], live: Callable[..., Any]
) -> None:
    training = live(store)
    training.tell("[tracker.log_metrics({'loss': float(step)}, step=step) for step in range(1_000)]; tracker.flush()")
    server = start(store)
    (curve,) = wait_for(lambda: server.curves(metric="loss", run=training.id, points=2_000)["curves"])
    wait_for(lambda: server.curves(metric="loss", run=training.id)["curves"][0]["all"] == 1_000)
    (curve,) = server.curves(metric="loss", run=training.id, points=2_000)["curves"]
    places, cursor = list(curve["data"]["x"]), curve["cursor"]

    for first in (1_000, 1_010, 1_020):
        steps = f"range({first}, {first + 10})"
        training.tell(f"[tracker.log_metrics({{'loss': 1.0}}, step=step) for step in {steps}]; tracker.flush()")
        while len(places) < first + 10:
            found = server.curves(metric="loss", run=training.id, points=2_000, after=cursor)
            assert found["again"] is False
            (new,) = found["curves"]
            places += new["data"]["x"]
            cursor = new["cursor"]

    assert places == [float(step) for step in range(1_030)]


def test_a_reconnect_sends_only_what_is_newer(
    store: Path, start: Callable[..., Any], live: Callable[..., Any], listen: Callable[..., Any]
) -> None:
    one, other = live(store, "one"), live(store, "other")
    for training in (one, other):
        training.tell("tracker.log_metrics({'loss': 0.5}, step=0); tracker.flush()")
    server = start(store)
    stream = listen(server, run=[one.id, other.id], metric="loss")
    known: set[str] = set()

    def both(event: Any) -> bool:
        if event.kind == "points":
            known.add(event.data["run"])
        return known == {one.id, other.id}

    last = stream.until(both)[-1].id
    stream.close()
    one.tell("tracker.log_metrics({'loss': 0.4}, step=1); tracker.flush()")

    for parameters in ({"last_id": last}, {"last": last}):
        header = parameters.get("last_id")
        query = {"last": parameters["last"]} if "last" in parameters else {}
        again = listen(server, header, run=[one.id, other.id], metric="loss", **query)
        events = again.until(has_points(2))
        assert [event.data["run"] for event in events if event.kind == "points"] == [one.id]
    # A server that was started meanwhile knows nothing of the place, and tells all.
    fresh = listen(server, "0badc0de-5", run=[one.id, other.id], metric="loss")
    assert fresh.next().kind == "store"
    known.clear()
    fresh.until(both)


def test_a_killed_training_is_told_though_no_file_says_so(
    store: Path, start: Callable[..., Any], live: Callable[..., Any], listen: Callable[..., Any]
) -> None:
    training, unchosen = live(store, "chosen"), live(store, "unchosen")
    for each in (training, unchosen):
        each.tell("tracker.log_metrics({'loss': 0.5}, step=0); tracker.flush()")
    server = start(store)
    stream = listen(server, run=training.id, metric="loss")
    stream.until(lambda event: event.kind == "status" and event.data["status"] == "running")

    for each in (training, unchosen):
        each.process.send_signal(signal.SIGKILL)
        each.process.wait()

    changed: set[str] = set()
    statuses: list[str] = []

    def both(event: Any) -> bool:
        if event.kind == "store":
            changed.update(event.data["changed"])
        if event.kind == "status":
            statuses.append(event.data["status"])
        return statuses == ["crashed"] and changed >= {training.id, unchosen.id}

    stream.until(both)
    assert {row["status"] for row in server.json("/api/runs")["rows"]} == {"crashed"}


def test_new_runs_are_told_and_counted(
    store: Path, start: Callable[..., Any], train: Callable[..., None], listen: Callable[..., Any]
) -> None:
    train(store, "with run('one'): logger.log_metrics({'loss': 1.0}, step=1)")
    server = start(store)
    stream = listen(server)
    assert stream.next().data == {"version": 0, "changed": [], "new": 0, "gone": 0}

    train(store, "with run('two'): logger.log_metrics({'loss': 1.0}, step=1)")
    events = stream.until(lambda event: event.data["new"] == 1)

    assert server.ids()["two"] in events[-1].data["changed"]
    assert server.json("/api/runs")["version"] >= events[-1].data["version"]


def test_a_client_that_reads_nothing_costs_no_memory_and_stops_no_other(
    store: Path, start: Callable[..., Any], live: Callable[..., Any], listen: Callable[..., Any]
) -> None:
    psutil = pytest.importorskip("psutil")
    training = live(store)
    training.tell("names = [f'a-metric-with-a-long-name-{n}' for n in range(400)]")
    server = start(store)
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(4)]
    for each in slow:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = f"GET /api/events?run={training.id}&metric=* HTTP/1.1\r\nhost: localhost\r\n"
        each.sendall(f"{request}authorization: Bearer {TOKEN}\r\n\r\n".encode())
    stream = listen(server, run=training.id, metric="*")
    training.tell("tracker.log_metrics(dict.fromkeys(names, 1.0), step=0); tracker.flush()")
    stream.until(lambda event: event.kind == "points")
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss

    for step in range(1, 30):
        training.tell(f"tracker.log_metrics(dict.fromkeys(names, 1.0), step={step}); tracker.flush()")
        stream.until(
            lambda event, count=step + 1: event.kind == "points" and max(event.data["metrics"].values()) >= count
        )

    assert process.memory_info().rss - before < 30 << 20
    for each in slow:
        each.close()


def test_clients_that_do_not_read_their_curves_cost_bounded_memory(
    store: Path, start: Callable[..., Any], train: Callable[..., None]
) -> None:
    psutil = pytest.importorskip("psutil")
    train(
        store,
        """
        with run("first"):
            for step in range(20_000):
                logger.log_metrics({"loss": float(step % 7)}, step=step)
        """,
    )
    multiply(store, 20)
    server = start(store)
    ids = list(server.ids().values())
    query = "&".join(["metric=loss", "points=20000", *(f"run={name}" for name in ids)])
    size = len(server.get(f"/api/curves?{query}").body)
    assert size > 6_000_000
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    deaf = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
    for each in deaf:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = f"GET /api/curves?{query} HTTP/1.1\r\nhost: localhost\r\n"
        each.sendall(f"{request}authorization: Bearer {TOKEN}\r\n\r\n".encode())

    # Further ones are not made: they are told so, and other questions are answered.
    small = {"metric": "loss", "points": 8, "run": ids[0]}
    refused = wait_for(lambda: (answer := server.get("/api/curves", **small)).status == 503 and answer)
    assert refused.json["error"] == "The server is busy reading other runs. Ask again in a few seconds."
    assert len(server.ids()) == 20
    assert process.memory_info().rss - before < 15 * size
    for each in deaf:
        each.close()
    wait_for(lambda: server.get("/api/curves", **small).status == 200)


def test_streams_are_bounded_and_those_that_hang_up_make_room(
    store: Path, start: Callable[..., Any], listen: Callable[..., Any]
) -> None:
    server = start(store)
    streams = [listen(server) for _ in range(8)]

    refused = server.get("/api/events")
    assert (refused.status, refused.json["error"]) == (
        503,
        "Too many pages of this server are open. Close some of them.",
    )
    for stream in streams:
        stream.close()
    wait_for(lambda: listen(server).answer.status == 200)
    too_many = server.get("/api/events", run=[str(number) for number in range(201)])
    assert (too_many.status, too_many.json["error"]) == (400, "run: 201 are too many. Allowed: 200.")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_server_ends_at_once_while_streams_are_open(
    store: Path, start: Callable[..., Any], listen: Callable[..., Any], number: int
) -> None:
    server = start(store)
    stream = listen(server)
    stream.next()

    assert server.stop(number) == ""  # it would say that it has cancelled streams after two seconds
    assert stream.answer.read() == b""


def test_a_client_comes_back_after_the_server_was_killed_and_started_again(
    store: Path, start: Callable[..., Any], live: Callable[..., Any], listen: Callable[..., Any]
) -> None:
    training = live(store)
    training.tell("tracker.log_metrics({'loss': 0.5}, step=0); tracker.flush()")
    server = start(store)
    stream = listen(server, run=training.id, metric="loss")
    last = stream.until(has_points(1))[-1].id
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    try:
        while stream.answer.readline():
            pass
    except (http.client.HTTPException, OSError):  # or it just ends
        pass

    training.tell("tracker.log_metrics({'loss': 0.4}, step=1); tracker.flush()")
    again = start(store, "--port", str(server.port))

    listen(again, last, run=training.id, metric="loss").until(has_points(2))


def test_a_client_that_asks_for_other_metrics_gets_their_counts(
    store: Path, start: Callable[..., Any], live: Callable[..., Any], listen: Callable[..., Any]
) -> None:
    training = live(store)
    training.tell("tracker.log_metrics({'loss': 0.5, 'other': 1.0}, step=0); tracker.flush()")
    server = start(store)
    listen(server, run=training.id, metric="loss").until(has_points(1))

    events = listen(server, run=training.id, metric="o*").until(
        lambda event: event.kind == "points" and "other" in event.data["metrics"]
    )

    assert events[-1].data == {"run": training.id, "metrics": {"other": 1}}
