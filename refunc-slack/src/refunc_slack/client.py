"""Slack's own client without redirects: a webhook's message must not be sent to another address."""

from __future__ import annotations

from typing import Any
from urllib.request import HTTPRedirectHandler, HTTPSHandler, OpenerDirector, ProxyHandler, Request, build_opener

from slack_sdk.webhook import WebhookClient, WebhookResponse


class _NoRedirects(HTTPRedirectHandler):
    """Raises HTTPError for a redirect, as for any other failure."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: Any) -> None:
        """Do not follow: the message would become a GET without a body, and its answer would count as a success."""


def opener(proxy: str | None = None) -> OpenerDirector:
    """Return an opener that connects directly or through a *proxy*, by default the environment's."""
    proxies = [ProxyHandler({"http": proxy, "https": proxy})] if proxy else []
    return build_opener(_NoRedirects, HTTPSHandler(), *proxies)  # Python's default context verifies certificates


class Client(WebhookClient):  # type: ignore[misc]  # slack_sdk is only found at run time
    """A webhook's client without retries or redirects."""

    def __init__(self, url: str) -> None:
        super().__init__(url, timeout=10, retry_handlers=[])

    def _perform_http_request_internal(self, url: str, req: Request) -> WebhookResponse:
        with opener(self.proxy).open(req, timeout=self.timeout) as answer:
            body = answer.read().decode(answer.headers.get_content_charset() or "utf-8", "replace")
            return WebhookResponse(url=url, status_code=answer.status, body=body, headers=answer.headers)
