"""Secrets that are recognised by their form: tokens of vendors, private keys, passwords in addresses, webhooks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from refunc.values.secrets.commands import LONG_FLAGS, SHORT_FLAGS, after_login, command_finders
from refunc.values.secrets.patterns import Pattern, Span
from refunc.values.secrets.values import looks_random

#: The shortest run of letters, digits, `-` and `_` that is checked; each known token has one of this length.
LONG: Final = 16
_SHAPE: Final = bytes(
    ord("a") if (chr(code).isalnum() and code < 128) or chr(code) in "_-" else 32 for code in range(256)
)
_LONG_RUN: Final = b"a" * LONG

#: Tokens with a distinctive beginning. Each ends with one class of characters, so that matching one is one pass.
_TOKEN: Final = Pattern(
    r"gh[oprsu]_\w{16,}|github_pat_\w{20,}"  # GitHub
    r"|gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|oas|soat|ffct)-[\w-]{16,}|GR1348941[\w-]{16,}"  # GitLab
    r"|(?:hf|api_org|nfp|rnd|sbp|r8|gsk|fw|KGAT)_[A-Za-z0-9]{16,}"  # Hugging Face, Groq, Replicate, Kaggle, …
    r"|xox[a-eoprs]-[\w-]{8,}|xoxe\.xox[bp]-[\w-]{8,}|xapp-[\w-]{10,}"  # Slack
    r"|(?P<like_words>(?:sk|csk|pplx|xai|nvapi|xkeysib|sq0[a-z]{3}|tskey)-(?=[\w-]{0,200}\d)[\w-]{16,}"
    r"|(?:re|jina|esec|hf_oauth|sk_org)_(?=\w{0,200}\d)\w{20,})"  # OpenAI, Anthropic, Tailscale, Resend, …
    r"|[rsp]k_(?:live|test|prod)_\w{10,}|whsec_\w{16,}"  # Stripe
    r"|(?:A3T[A-Z0-9]|AKIA|ASIA|AROA|AIDA|ABIA|ACCA|AGPA|ANPA|ANVA)[A-Z0-9]{12,}|ABSK[\w-]{40,}"  # AWS
    r"|AIza[\w-]{30,}|GOCSPX-[\w-]{16,}"  # Google
    r"|npm_\w{20,}|pypi-[\w-]{20,}|rubygems_\w{20,}|CLOJARS_\w{20,}|dckr_[op]at_[\w-]{20,}|oy2[a-z0-9]{43}"
    r"|do[opr]_v1_\w{20,}|dapi[0-9a-f]{30,}|dkea[0-9a-f]{30,}"  # DigitalOcean, Databricks
    r"|shp(?:at|ss|ca|pa)_\w{20,}|shippo_(?:live|test)_\w{20,}|duffel_(?:live|test)_[\w-]{20,}"  # Shopify, …
    r"|(?:EZAK|EZTK)\w{30,}|FLW(?:SECK|PUBK)(?:_TEST)?-[\w-]{12,}|EAA[A-Z][\w-]{40,}"  # EasyPost, Flutterwave, Meta
    r"|lin_(?:api|oauth)_\w{20,}|(?:ntn|secret)_[A-Za-z0-9]{40,}|figd_[\w-]{20,}|pul-[0-9a-f]{30,}"  # Linear, Notion
    r"|NR(?:AK|JS|II)-[\w-]{16,}|PMAK-[\w-]{20,}|sntryu_[\w-]{20,}"  # New Relic, Postman, Sentry
    r"|glsa_[\w-]{20,}|(?:glc|sntrys|fm[12][ar]?)_[\w+/=-]{40,}"  # Grafana, Sentry, Fly
    r"|pscale_(?:tkn|pw|oauth)_[\w-]{20,}|pn[bu]_\w{20,}|tfp_[\w-]{20,}|fio-u-[\w-]{20,}|CFPAT-[\w-]{20,}"
    r"|(?:pcsk|lsv2_pt|lsv2_sk|wandb_v1|aio|phc|phx|ops|rpa|tvly|HRKU)[_-](?=[\w-]{0,200}\d)[\w-]{16,}"
    r"|AT(?:ATT|CTT)3[\w=-]{40,}|ATBB\w{24,}|LTAI\w{12,}|AKCp\w{50,}|cmVmdGtu\w{50,}|eyJhcGlfYWRkcmVzcyI6[\w+/=-]{16,}|AGE-SECRET-KEY-\w+|p8e-[\w-]{28,}"
    r"|LS0tLS1CRUdJTi(?:BSU0EgUFJJ|BPUEVOU1NIIFBSSVZ|BQUklWQVRF|BFQyBQUklW|BFTkNSWVBURUQg|BEU0EgUFJJ|BQR1AgUFJJVk)"
    r"[\w+/]{16,}|xprv\w{100,}|bkua_[0-9a-f]{40}|rdme_[a-z0-9]{70}|SCT\d{1,8}T\w{20,}|SCW(?=[A-Z]{0,16}\d)[A-Z0-9]{17}\b"
    r"|SK[0-9a-f]{32}|key-[0-9a-f]{32}|[0-9a-f]{32}-us\d{1,2}\b|fo1_[\w-]{40,}"
    r"|eyJ[\w-]{5,}\.(?:eyJ)?[\w-]{4,}"  # JWT
)
#: Their ends go on after dots and the like.
_REST: Final = Pattern(r"(?:[.~:][\w-]{8,}|=(?==?(?:\W|\Z))){0,6}")
#: The text before a run that is the rest of a token, and the run's first two characters.
_BEGUN: Final = Pattern(
    r"(?:(?:\A|[^A-Za-z0-9.]|bot(?=\d))(?:(?:SG|ya29|hv[bsr]|dp\.(?:ct|pt|sa|scim|audit|st)(?:\.\w{1,12})?|dt0[a-z]01"
    r"|eyJ[\w-]{5,12}|pat[A-Za-z0-9]{14})\.|sha256~|\d{8,10}:(?=AA)|1//(?=0))|\dQ~|\.atlasv1\.)[\w-]{2}\Z"
)
_BEGUN_IN: Final = 24
#: Places in a run, after its hyphens, where a token is looked for too.
_MOST_STARTS: Final = 4

_SCHEME: Final = Pattern(r"(?i:bearer|basic):?(?:\\?[ \t]|%20){1,8}(?=[^\s'\"]{0,200}[0-9A-Z=._-])([\w.~+/=-]{12,})")
_BEGIN: Final = Pattern(r"BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}")
_END: Final = Pattern(r"END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}")
#: Characters before an address that may hold the password for it.
_MOST_BEFORE: Final = 200
_AUTHORITY: Final = Pattern(r"[^\s/'\"<>]*")
_HOOK: Final = Pattern(
    r"(?:hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/|hooks\.zapier\.com/hooks/catch/"
    r"|hook\.office\.com/|hook\.[a-z0-9]{2,5}\.(?:make|integromat)\.com/|hook/send\?key="
    r"|hooks?/(?=\d{5,25}/[\w-]{16}|[a-z0-9]{26}\b|[0-9a-f]{8}-[0-9a-f]{4}-|[A-Za-z0-9]{15,24}/[A-Za-z0-9]{30}"
    r"|IncomingWebhook/))(?P<secret>[^\s'\"\\]+)"
)


def form_finders(text: str, raw: bytes, low: bytes, *, has_hook: bool) -> tuple[list[Iterator[Span]], bool]:
    """
    Return the finders of secrets in *text* by their form, none for most texts, and whether it has a long run.

    Each yields the places that it has checked, empty where there is no secret.

    Args:
        raw: A byte for each character of the text.
        low: The same in lower case.
        has_hook: Whether that has the word in it, and a slash.
    """
    finders = []
    shape = raw.translate(_SHAPE)
    first = shape.find(_LONG_RUN)
    if first >= 0:
        finders.append(_tokens(text, shape, first))
        if b"login " in low:
            finders.append(after_login(text, low))
    if b"-" in raw:
        if b"PRIVATE KEY" in raw:
            finders.append(_private_keys(text, raw))
        is_list = b"[" in raw and (b" '-" in raw or b' "-' in raw)
        if is_list or b" -" in raw:
            is_short = is_list or raw.count(b" -") > raw.count(b" --")
            finders += command_finders(text, low, SHORT_FLAGS if is_short else LONG_FLAGS)
    if b"//" in raw and b"@" in raw:
        finders.append(_in_addresses(text, raw, low))
    if has_hook:
        finders.append(_webhooks(text, raw))
    finders += [_after_schemes(text, low, scheme) for scheme in (b"bearer", b"basic") if scheme in low]
    return finders, first >= 0


def _tokens(text: str, shape: bytes, at: int) -> Iterator[Span]:
    while at >= 0:
        end = shape.find(b" ", at)
        if end < 0:
            end = len(shape)
        span = _token_in(text, at, end)
        yield span or (at, at)
        at = shape.find(_LONG_RUN, max(end, span[1]) if span else end)


def _token_in(text: str, at: int, end: int) -> Span | None:
    """Return the place of a token in the run from *at* to *end*."""
    start, starts = at, 0
    while end - start >= LONG - 1:
        token = _TOKEN.match(text, start)
        if token is not None and (token["like_words"] is None or looks_random(token[0])):
            return start, _REST.match(text, token.end()).end()
        start = text.find("-", start, end) + 1
        starts += 1
        if start == 0 or starts > _MOST_STARTS:
            break
    if at and text[at - 1] in ".:~/" and _BEGUN.search(text[max(0, at - _BEGUN_IN) : at + 2]):
        return at, _REST.match(text, end).end()
    return None


def _private_keys(text: str, raw: bytes) -> Iterator[Span]:
    done = 0
    at = raw.find(b"BEGIN ")
    while at >= 0:
        begin = _BEGIN.match(text, at)
        if begin is None:
            yield at, at
            at = raw.find(b"BEGIN ", at + 6)
            continue
        done = _after_end(text, raw, begin.end()) or len(text)
        yield begin.end(), done
        at = raw.find(b"BEGIN ", done)
    after = _after_end(text, raw, done)
    if after is not None:  # its beginning was cut off, as in the middle of a long traceback
        yield max(done, text.rfind("…", done, after) + 1), after


def _after_end(text: str, raw: bytes, at: int) -> int | None:
    at = raw.find(b"END ", at)
    while at >= 0:
        end = _END.match(text, at)
        if end is not None:
            return int(end.end())
        at = raw.find(b"END ", at + 4)
    return None


def _in_addresses(text: str, raw: bytes, low: bytes) -> Iterator[Span]:
    at = raw.find(b"//")
    while at >= 0:
        start = at + 2
        end = _AUTHORITY.match(text, start).end()
        user_end = raw.rfind(b"@", start, end)
        has_scheme = raw.startswith(b":", at - 1) if at else False
        if user_end > start and (
            b":" in raw[start:user_end]
            or (has_scheme and (user_end - start >= LONG or low.startswith((b"http", b"ttps"), max(0, at - 5))))
        ):
            yield start, user_end
        else:
            yield _before_oracle(raw, at)
        at = raw.find(b"//", max(end, start))


def _before_oracle(raw: bytes, at: int) -> Span:
    """Return the place of the password in `jdbc:oracle:thin:ada/…@//db:1521`, whose `//` is *at*."""
    before = raw[max(0, at - _MOST_BEFORE) : at]
    user = before.rfind(b":thin:")
    slash = before.find(b"/", user)
    if not before.endswith(b"@") or user < 0 or slash < 0:
        return at, at
    return at - len(before) + slash + 1, at - 1


def _webhooks(text: str, raw: bytes) -> Iterator[Span]:
    at = raw.find(b"hook")
    while at >= 0:
        hook = _HOOK.match(text, at)
        if hook is None:
            yield at, at
            at = raw.find(b"hook", at + 4)
            continue
        yield hook.span("secret")
        at = raw.find(b"hook", hook.end())


def _after_schemes(text: str, low: bytes, scheme: bytes) -> Iterator[Span]:
    at = low.find(scheme)
    while at >= 0:
        token = _SCHEME.match(text, at)
        yield (at, at) if token is None else token.span(1)
        at = low.find(scheme, at + len(scheme) if token is None else token.end())
