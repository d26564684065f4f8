"""
Secrets, and how they are known: masked on their way into the journal (`masking`), the widest copy of what was logged.

Three things give one away: the name that it stands under (`api_key`), its form (`ghp_…`, a JWT, a private key, the
password in an address), and being the value of an environment variable with such a name. Names are read by their words,
because a training has a `pad_token`, a `sort_key` and `max_tokens`, which are none. The cases are those of the OWASP
Logging Cheat Sheet ("Data to exclude") and of the token formats that GitHub's secret scanning lists.

What is missed is in the journal: this is a net and no wall. `REFUNC_REDACT=0` takes it away.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import Any, Final

MASK: Final = "***"


class _Form:
    """A regular expression that is compiled when it is first needed: importing refunc compiles none."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern

    def __getattr__(self, name: str) -> Any:
        method = self.__dict__[name] = getattr(re.compile(self._pattern), name)
        return method


#: Words that make a name secret wherever they stand in it.
_SECRET_WORDS: Final = frozenset(
    "password passwd passphrase pwd passwort secret secrets credential credentials apikey apikeys accesskey secretkey "
    "privatekey authkey authtoken accesstoken refreshtoken authorization jwt webhook webhooks cookie dsn "
    "connectionstring sas".split()
)
_SECRET_ENDS: Final = ("password", "passwd", "apikey")  # as in PGPASSWORD
#: What stands before `key` where it is one that opens something.
_KEYS: Final = frozenset(
    "access account api app application auth client consumer deploy encryption hmac license master private secret "
    "service session shared signing ssh storage subscription wandb openai anthropic huggingface hf".split()
)
#: What stands before `token` where it is a piece of text.
_TEXT_TOKENS: Final = frozenset(
    "additional audio begin bos cls completion context decoder draft end eos eot extra first forced generated hidden "
    "image input last learned mask max mean min new next num number output pad padding patch per placeholder prompt "
    "register sep separator sot special speech start stop sum text think time total train unk unknown video vision "
    "visual word".split()
)
#: The last words of names that tell about a secret and hold none: `password_file`, `api_key_env`, `token_type`.
_ABOUT: Final = frozenset(
    "age budget class col column count dim dir dropout embedding embeddings enabled env expires expiry field file "
    "filename folder format header id ids idx index kind len length limit loss max min mode name names num path policy "
    "position prefix prob rate ratio size sizes split strategy timeout ttl type types url var weight".split()
)
#: `<pad>`, `[PAD]`, `${DB_PASSWORD}`, and paths, such as the one in PWD.
_PLACEHOLDER: Final = _Form(r"<[^<>]*>|\[[^\[\]'\"]*\]|\$\{?\w+\}?|(?:~|\.{1,2}|/[\w.-]+)/[\w./ -]*|[A-Z]:\\.*")
_NUMBER: Final = _Form(r"[-+]?[\d.,_]+(?:e[-+]?\d+)?%?")
_WORD: Final = _Form(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Whether what stands under *name* is a secret, by the words of the name."""
    words = [word.lower() for word in _WORD.findall(name)]
    if not words or (words[-1] in _ABOUT and words[-2:] not in (["secret", "id"], ["webhook", "url"])):
        return False
    for before, word in zip(["", *words], words, strict=False):
        if word in _SECRET_WORDS or word.endswith(_SECRET_ENDS) or (word in ("key", "keys") and before in _KEYS):
            return True
    return words[-1] == "token" and not _TEXT_TOKENS & set(words[:-1])


def is_maskable(value: Any) -> bool:
    """Whether *value*, under a secret name, can be the secret: no switch, no small number, no `<pad>`, no path."""
    if isinstance(value, str):
        return len(value) >= 3 and value != MASK and not _PLACEHOLDER.fullmatch(value)
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) > 999


# -- in running text ---------------------------------------------------------------------------------------------------

_TOKEN_FORMS: Final = (
    r"gh[oprsu]_\w{16,}",  # GitHub
    r"github_pat_\w{20,}",
    r"glpat-[\w-]{16,}",  # GitLab
    r"hf_[A-Za-z0-9]{16,}",  # Hugging Face
    r"xox[abeoprs]-[\w-]{8,}",  # Slack
    r"xapp-[\w-]{16,}",
    r"sk-[\w-]{16,}",  # OpenAI, Anthropic
    r"[rs]k_(?:live|test)_\w{12,}",  # Stripe
    r"(?:A3T[A-Z0-9]|AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}",  # AWS
    r"AIza[\w-]{30,}",  # Google
    r"ya29\.[\w-]{16,}",
    r"GOCSPX-[\w-]{16,}",
    r"npm_\w{20,}",
    r"pypi-[\w-]{20,}",
    r"dop_v1_\w{20,}",  # DigitalOcean
    r"dapi[0-9a-f]{30,}",  # Databricks
    r"SG\.[\w-]{16,}\.[\w-]{16,}",  # SendGrid
    r"eyJ[\w-]{8,}\.eyJ[\w-]{4,}\.[\w-]*",  # JWT
    r"AGE-SECRET-KEY-\w+",
)
#: What a secret looks like in text. What the last named group holds stays in front of the mask.
_IN_ADDRESS: Final = _Form(
    r"(?P<keep>\b(?i:https?|(?P<other>[a-z][a-z0-9+.-]*))://)"
    r"(?:[^\s/@:'\"<>]*:[^\s/'\"<>]*|[^\s/@:'\"<>]{16,}|(?(other)(?!)|[^\s/@:'\"<>]+))(?=@)"
)
_BY_FORM: Final = _Form(
    r"(?P<begin>-----BEGIN [A-Z ]*PRIVATE KEY-----)(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|(?P<hook>\b(?:hooks\.slack\.com/(?:services|workflows|triggers)|discord(?:app)?\.com/api/webhooks"
    r"|webhook\.office\.com)/)[^\s'\"]+"
    r"|(?P<scheme>\b(?i:bearer|basic)\s+)(?=[^\s'\"]*[0-9A-Z=._-])[\w.~+/=-]{12,}"
    rf"|\b(?:{'|'.join(_TOKEN_FORMS)})"
)
#: `password=…`, `"api_key": "…"`, `?sig=…`, and `--token …`; what is quoted may hold anything but the quote.
_BY_NAME: Final = _Form(
    r"(?P<keep>(?P<name>[A-Za-z_][\w.-]*)[\"']?\s*(?:=>?|:)\s*)"
    r"(?:\"(?P<double>[^\"\n]{3,1000})\"|'(?P<single>[^'\n]{3,1000})'|(?P<plain>(?!//)[^\s\"'&,;)}\]]{3,1000}))"
)
_BY_FLAG: Final = _Form(r"(?P<keep>(?<!\S)--(?P<name>[\w-]+)\s+)(?P<plain>[^\s-]\S{2,})")
#: A text without any of these has none of the forms that are known by themselves; so most texts cost no more than this.
_MARKS: Final = tuple(
    "ghp_ gho_ ghr_ ghs_ ghu_ github_pat_ glpat- hf_ xox xapp- sk- k_live_ k_test_ A3T AKIA ASIA AROA AIDA AIza ya29. "
    "GOCSPX- npm_ pypi- dop_v1_ dapi SG. eyJ AGE-SECRET -----BEGIN hooks.slack /webhooks webhook.office earer asic "
    "EARER ASIC".split()
)
_LONG = 16
_SIGNATURES = ("sig", "signature")


def without_secrets(text: str) -> str:
    """Return *text* with what looks like a secret masked; the same object where nothing does. Never raises."""
    if ("=" in text or ":" in text or "--" in text) and _has_name(text):
        text = _masked_behind_names(_BY_NAME, text)
        if "--" in text:
            text = _masked_behind_names(_BY_FLAG, text)
    if len(text) >= _LONG and _has_long_word(text):
        if "@" in text and "://" in text:
            text = _IN_ADDRESS.sub(_masked_form, text)
        for mark in _MARKS:
            if mark in text:
                text = _BY_FORM.sub(_masked_form, text)
                break
    for value in _of_environment():
        if value in text:
            text = text.replace(value, MASK)
    return text


def _has_long_word(text: str) -> bool:
    for word in text.split():  # noqa: SIM110  # every line comes here, and a generator costs as much again
        if len(word) >= _LONG:
            return True
    return False


def _has_name(text: str) -> bool:
    low = text.lower()
    return (
        "key" in low
        or "pass" in low
        or "token" in low
        or "secret" in low
        or "sig" in low
        or "pwd" in low
        or "cred" in low
    )


def _masked_form(found: re.Match[str]) -> str:
    return f"{found[found.lastgroup] if found.lastgroup else ''}{MASK}"


def _masked_behind_names(form: _Form, text: str) -> str:
    parts, done, at = [], 0, 0
    while found := form.search(text, at):
        value = found.lastgroup or ""
        if _is_named_secret(found["name"], found[value], in_prose=value == "plain" and found["keep"].endswith(" ")):
            parts += [text[done : found.start(value)], MASK]
            done = at = found.end(value)
        else:  # what is no secret may have one in it: `url=https://host/?sig=…`
            at = found.end("keep")
    return "".join((*parts, text[done:])) if parts else text


def _is_named_secret(name: str, value: str, *, in_prose: bool) -> bool:
    """Whether the *value* behind a *name* in running text is a secret; many words there are followed by a colon."""
    if not (name.lower().endswith(_SIGNATURES) or is_secret_name(name)) or not is_maskable(value):
        return False
    is_password = any(word in name.lower() for word in ("pass", "pwd", "secret", "cred"))
    if is_password and not in_prose:
        return True
    # `token: generated` and `password: required` are sentences; a secret has digits, or capitals in its midst.
    has_signs = re.search(r"\d|[a-z][A-Z]|[^\w.,;:!?'\"-]", value) is not None
    return has_signs and not _NUMBER.fullmatch(value) and len(value) >= (6 if is_password else 8)


@lru_cache(maxsize=1)
def _of_environment() -> tuple[str, ...]:
    """Return the values of the environment's secrets, as they were when the first record was written."""
    return tuple(
        value
        for name, value in os.environ.items()
        if len(value) >= 8 and is_secret_name(name) and is_maskable(value) and not _NUMBER.fullmatch(value)
    )
