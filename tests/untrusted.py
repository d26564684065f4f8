"""A server that no client may tell anything: the fixture `untrusted`."""

from __future__ import annotations

import http.server
import ssl
import subprocess
import threading
from pathlib import Path
from typing import Any


class Untrusted:
    """An HTTPS server with a certificate that only it vouches for. It takes everything, and notes each request."""

    def __init__(self, folder: Path) -> None:
        key, certificate = folder / "untrusted.key", folder / "untrusted.pem"
        made = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout".split()
        subprocess.run([*made, str(key), "-out", str(certificate)], check=True, capture_output=True)
        self.asked = asked = list[str]()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(f"{self.command} {self.path} {self.headers}")
                self.send_response(200)
                self.end_headers()

            do_POST = do_PUT = do_HEAD = do_GET  # noqa: N815

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server = _Quiet(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://localhost:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class _Quiet(http.server.ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up at the certificate."""
