"""Integrations that write each call down, a line of JSON each, and misbehave as their names say."""

import json
import os
import sys
import threading
import time
from pathlib import Path

from refunc.plugins import Integration, Reject, Retry, hookimpl, option


class ProbeIntegration(Integration):
    """Writes down the calls it gets; refuses while the file `down` is there."""

    path: str = option(default="calls.jsonl")
    token: str | None = option(default=None, env="PROBE_TOKEN", secret=True)

    def note(self, hook, **fields):
        if Path("down").exists():
            raise Retry("the server is down")
        line = json.dumps({"hook": hook, "pid": os.getpid(), "token": self.token, "time": time.time(), **fields})
        with open(self.path, "a") as file:
            file.write("\n" + line + "\n")  # a kill may have left half a line

    @hookimpl
    def on_run_start(self, run):
        self.note("start", run=run.run_name, parent=run.parent_id, attempt=run.attempt)

    @hookimpl
    def on_hyperparams(self, run, record):
        self.note("params", params=record.params, all=dict(run.params))

    @hookimpl
    def on_tags(self, run, record):
        self.note("tags", tags=record.tags, taken=list(record.taken), all=dict(run.tags))

    @hookimpl
    def on_metrics(self, run, records):
        self.note(
            "metrics",
            ids=[[r.writer, r.seq] for r in records],
            steps=[r.step for r in records],
            names=[sorted(r.metrics) for r in records],
        )

    @hookimpl
    def on_log(self, run, records):
        self.note("log", messages=[r.message for r in records])

    @hookimpl
    def on_artifact(self, run, record):
        self.note("artifact", files=[[str(f.path), f.source.read_text()] for f in run.files_of(record)])

    @hookimpl
    def on_run_end(self, run, record):
        self.note("end", status=record.status, run=run.run_name, error=record.error)


class RaisesIntegration(Integration):
    @hookimpl
    def on_metrics(self, run, records):
        raise ZeroDivisionError("in a hook")


class QuitsIntegration(Integration):
    @hookimpl
    def on_run_start(self, run):
        sys.exit(1)

    @hookimpl
    def on_metrics(self, run, records):
        sys.exit(1)


class SleepsIntegration(Integration):
    @hookimpl
    def on_metrics(self, run, records):
        threading.Event().wait()


class DiesIntegration(Integration):
    """Ends its process, as one that takes all memory does."""

    @hookimpl
    def on_metrics(self, run, records):
        os.kill(os.getpid(), 9)


class EatsIntegration(Integration):
    """Takes memory until its process is killed: by the kernel where there is a limit, else by its own hand."""

    @hookimpl
    def on_metrics(self, run, records):
        held = []
        while len(held) < 64:
            held.append(b"x" * (8 << 20))
        os.kill(os.getpid(), 9)


class OpenRaisesIntegration(Integration):
    def open(self):
        raise RuntimeError("cannot open")

    @hookimpl
    def on_metrics(self, run, records):
        pass


class PickyIntegration(ProbeIntegration):
    """Will not have lines that are bad; while the file `broken` is there, it fails at all of them."""

    @hookimpl
    def on_log(self, run, records):
        if Path("broken").exists():
            raise ZeroDivisionError("in a hook")
        if any("bad" in r.message for r in records):
            raise Reject("a bad line")
        self.note("log", messages=[r.message for r in records])


class EndsIntegration(Integration):
    """Is interested in nothing but the end."""

    @hookimpl
    def on_run_end(self, run, record):
        pass


class EndlessIntegration(Integration):
    """Takes all but the end."""

    @hookimpl
    def on_run_end(self, run, record):
        raise Retry("never ends")


class SlowIntegration(Integration):
    """Takes a while for each artifact, or until `hold` is gone, and says so on stdout, as clients of trackers do."""

    @hookimpl
    def on_artifact(self, run, record):
        time.sleep(0.5)
        while Path("hold").exists():
            time.sleep(0.05)
        print("uploaded", record.name, flush=True)


class SecretIntegration(ProbeIntegration):
    key: str = option(env="SECRET_KEY", secret=True)

    @hookimpl
    def on_run_start(self, run):
        self.note("start", length=len(self.key))


class AsksIntegration(ProbeIntegration):
    """Asks for its working folder, as clients do."""

    @hookimpl
    def on_metrics(self, run, records):
        self.note("metrics", steps=[r.step for r in records], folder=os.getcwd())


class OnceIntegration(ProbeIntegration):
    delivery = "at-most-once"


class LiveIntegration(ProbeIntegration):
    delivery = "live"


class LeakyIntegration(ProbeIntegration):
    """Quotes its secrets wherever a client may: in errors, in log lines, encoded and in parts."""

    webhook: str = option(default="https://hooks.example/services/T00-B00-sesame1", secret=True)
    server: str = option(default="https://ada:sesame2-pass@tracker.example/api")

    def quoted(self):
        import base64
        from urllib.parse import quote

        basic = base64.b64encode(b"ada:sesame2-pass").decode()
        forms = [self.token, quote(self.token, safe=""), base64.b64encode(f"x:{self.token}".encode()).decode()]
        return " | ".join([*forms, basic, self.server, "no route to /services/T00-B00-sesame1"])

    @hookimpl
    def on_log(self, run, records):
        import logging

        logging.getLogger("client").warning("request with %s", self.quoted())
        raise Reject(f"refused: {self.quoted()}")

    @hookimpl
    def on_metrics(self, run, records):
        if self.path == "quits":
            raise ValueError(self.quoted())
        self.note("metrics", steps=[r.step for r in records])


class RudeIntegration(ProbeIntegration):
    """Fails, and logs, with an answer in which each character stands that acts on a terminal."""

    @hookimpl
    def on_log(self, run, records):
        import logging

        answer = "".join(map(chr, [*range(32), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F)]))
        answer += "\u2066\u2069\ud800\n2026-01-01 00:00:00,000 1 ERROR forged: line"
        logging.getLogger("client").warning("the server said %s", answer)
        try:
            raise ValueError(answer)
        except ValueError as error:
            raise Reject(f"refused: {answer}") from error
