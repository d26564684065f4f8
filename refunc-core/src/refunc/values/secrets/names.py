"""
Names, read by their words: a training has a `pad_token`, a `sort_key` and `max_tokens`, which are not secrets.

A name is sure (`api_key`: any value that can be a secret is masked) or unsure (`session_key`, `tgt_token`: only a value
that also looks like a secret is masked). A mere `token` is between: words stay, and letters mixed with digits are
masked.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from refunc.values.secrets.patterns import Pattern

NO, UNSURE, LIKELY, SURE = 0, 1, 2, 3

#: Words that make a name secret anywhere in it.
_SURE_WORDS: Final = frozenset(
    "password passwords passwd passphrase passcode pwd passwort credential credentials creds apikey apikeys accesskey "
    "secretkey privatekey authkey authtoken accesstoken refreshtoken authorization jwt webhook webhooks cookie cookies "
    "dsn connectionstring connstr conninfo clientsecret".split()
)
_SURE_ENDS: Final = ("password", "passwd", "apikey")  # as in PGPASSWORD
#: Pairs of words that do.
_SURE_PAIRS: Final = frozenset({("connection", "string"), ("conn", "str"), ("conn", "string"), ("connection", "str")})
#: Words before `key` if it is a secret.
_SURE_KEYS: Final = frozenset(
    "access account anon anthropic api auth aws azure client consumer cohere deepseek encryption fernet functions "
    "gemini groq hf hmac huggingface instrumentation kaggle mistral openai openrouter pinecone private replicate "
    "secret serper signing ssh subscription tavily wandb comet neptune".split()
)
_UNSURE_KEYS: Final = frozenset("app application deploy license master service session shared storage user".split())
#: Words before `token` if it is a secret.
_SURE_TOKENS: Final = frozenset(
    "access api auth aws bearer bot ci clearml comet consul csrf deploy device discord dockerhub github gitlab git "
    "google hf hub huggingface id identity jwt login neptune notion npm oauth oidc pat personal plex private push pypi "
    "refresh registry replicate sas secret security service session slack telegram tushare vault wandb xsrf".split()
)
#: Words before `token` if it is a piece of text.
_TEXT_TOKENS: Final = frozenset(
    "action additional audio begin bos class cls completion context decoder draft end eos eot extra first forced "
    "generated hidden image initializer input instance last learned mask max mean min new newline next num number "
    "output pad padding patch per placeholder prompt register sep separator sot special speech src start stop sum "
    "target text tgt think time total train trigger unk unknown video vision visual word".split()
)
#: Words before `pass`, `pw` or `auth` if it is not a pass over data or a point-wise convolution.
_ACCOUNTS: Final = frozenset(
    "admin basic db ftp http imap login mysql postgres proxy redis root smtp ssh sudo user".split()
)
#: The last words of names that describe a secret and are not one: `password_file`, `api_key_env`, `token_type`.
_ABOUT: Final = frozenset(
    "age alg algorithm audience backend bits bucket budget class col column count dim dims dir domain dropout embed "
    "embedding embeddings enabled env expires expiry expiration field file filename folder format header hint "
    "idx index issuer jar kind label len length limit loss manager max message method min mode name names num path "
    "pattern policy position prefix prob provider rate ratio region required rotation samesite scheme secure size "
    "sizes split store strategy suffix timeout title ttl type types var version weight".split()
)
#: Pairs of last words that are a secret in spite of that.
_NOT_ABOUT: Final = frozenset({("secret", "id"), ("webhook", "url"), ("credentials", "json")})
#: A `secret` is one if it is the last word, or if these follow: `secret_bits` and `secret_encoder` are not secrets.
_OF_A_SECRET: Final = frozenset("access id key keys phrase string text token value hash api aws".split())

_HINT: Final = Pattern(
    "(?i)key|token|pass|pwd|pw|secret|cred|auth|cookie|jwt|webhook|dsn|conn|bearer|sas$|sid$|sig$|signature$"
)
_WORD: Final = Pattern(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
#: How many characters of a name are checked: its last ones.
_MOST: Final = 200


def is_secret_name(name: str) -> bool:
    """Whether the value of *name* may be a secret, by the words of the name."""
    return kind_of(name) != NO


@lru_cache(maxsize=4096)
def kind_of(name: str) -> int:
    """Return whether *name* is a secret's: SURE, LIKELY, UNSURE or NO."""
    if len(name) > _MOST:
        name = name[-_MOST:]
    if not _HINT.search(name):
        return NO
    words = [word.lower() for word in _WORD.findall(name)]
    if not words or _describes_a_secret(words):
        return NO
    return max(map(_kind_of_word, words, ["", *words], [*words[1:], ""]))


def _describes_a_secret(words: list[str]) -> bool:
    last = words[-1]
    if last in ("id", "ids", "url", "json"):
        return tuple(words[-2:]) not in _NOT_ABOUT and "webhook" not in words
    return last in _ABOUT or words[0] in ("num", "max", "min", "use", "with", "has", "is", "allow", "require")


def _kind_of_word(word: str, before: str, after: str) -> int:
    """Return the kind that *word* gives its name; its neighbours are *before* and *after*, or `""`."""
    if word in _SURE_WORDS or word.endswith(_SURE_ENDS) or (before, word) in _SURE_PAIRS:
        return SURE
    if word in ("secret", "secrets"):
        return SURE if not after or after in _OF_A_SECRET else UNSURE
    if word in ("key", "keys"):
        return SURE if before in _SURE_KEYS else UNSURE if before in _UNSURE_KEYS else NO
    if word in ("token", "tokens"):
        return _kind_of_token(word, before, after)
    if word in ("pass", "pw", "auth", "authkey"):
        return _kind_of_pass(word, before, after)
    if word in ("bearer", "sas", "sid", "sig", "signature") and not after:
        return SURE if word == "bearer" else UNSURE
    return NO


def _kind_of_pass(word: str, before: str, after: str) -> int:
    if word != "auth" and ((word == "pw" and not before and not after) or before in _ACCOUNTS):
        return SURE
    return NO if after else UNSURE


def _kind_of_token(word: str, before: str, after: str) -> int:
    if before in _TEXT_TOKENS or after:
        return SURE if before in _SURE_TOKENS and after in ("", "value", "secret") else NO
    if before in _SURE_TOKENS:
        return SURE
    return NO if word == "tokens" else UNSURE if before else LIKELY
