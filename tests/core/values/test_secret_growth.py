"""
Looking for secrets takes time in proportion to a text's length, whatever the text is made of.

Each text is made against one pattern or branch. The measure is the CPU time of the thread, the least of several
rounds: a text sixteen times as long may take 1.5 times sixteen times as long. Caches take up to 1.26 of that; a pattern
that looks twice at the same letters takes 16. The measure is a clock, since the steps that `re` takes are in C, where
nothing counts them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from types import ModuleType

import pytest

from refunc.values.masking import is_plain, masked
from refunc.values.secrets import commands, forms, headers, manifests, named, names, quoting, text, values
from refunc.values.secrets.patterns import Pattern

pytestmark = [pytest.mark.once, pytest.mark.clock]

KB = 1_024
SIZES = (KB, 16 * KB, 256 * KB)
MOST_GROWTH = 1.5
#: CPU time after which the growth measured so far counts.
PATIENCE = 20.0
#: CPU time of the longest of the worst text; the bound is on growth, this only catches a pattern that went wild.
MOST_SECONDS = 0.5


def times(piece: str) -> Callable[[int], str]:
    return lambda size: (piece * (size // len(piece) + 1))[:size]


def behind(start: str, piece: str) -> Callable[[int], str]:
    return lambda size: (start + piece * (size // len(piece) + 1))[:size]


TEXTS: dict[str, Callable[[int], str]] = {
    # names: `named._BEHIND`, `quoting._OPENING`, `quoting.PLAIN`, `names._WORD`
    "a word": times("a"),
    "a word behind a name": behind("key:", "a"),
    "a name that never ends": behind("key", "a"),
    "names in one word": times("keytokenpass"),
    "names, no sign": times("key "),
    "names, dots": times("key."),
    "signs": behind("key", "="),
    "names and signs": times("key="),
    "sure names and signs": times("api_key="),
    "sure names and plain text": times("api_key=a"),
    "a name, blanks, no value": behind("api_key=", " "),
    "names and newlines": times("api_key=\n"),
    "quotes behind a name": behind("api_key", '"'),
    "slashes behind a name": behind("api_key", "\\"),
    "names and values": times("a=b key "),
    "secrets": times("password=hunter2x "),
    "secrets with other names": lambda size: " ".join(f"key{n:06}_token=ab{n:06}cd" for n in range(size // 26)),
    "colons": behind("key ", "a:"),
    "dots": behind("key ", "a."),
    "unclosed quotes": behind("key ", 'password="'),
    "an unclosed quote": behind('password="', "b"),
    "an unclosed quote, slashes": behind('password="', '\\"'),
    "escaped quotes": times('password="a\\"'),
    "brackets": times('api_keys=["a",'),
    "unclosed brackets": times("api_keys=["),
    "lists": times("'password', "),
    "elements": times("<password>"),
    "elements with text": times("<password>abc12345</password>"),
    "keys of prose": times(" API key: "),
    "signs of prose": behind("password: ", "a"),
    "numbers": behind("password: ", "1,"),
    # values: `values._PLACEHOLDER`, `values._PATH`, `values._OF_A_TOKEN`
    "paths": behind("token=", "/a"),
    "paths with dots": behind("token=/", "a."),
    "home": behind("token=~/", "a"),
    "placeholders": behind("token=", "<"),
    "braces": behind("token=", "{"),
    "stars": behind("token=", "*"),
    "humps": behind("session_key=", "aB1"),
    "hex": behind("session_key=", "abcdefabcdefabcdefa1"),
    "folders": times("PWD='/a,b c' "),
    "pieces": behind("session_key=", "a1-"),
    # headers: `headers._SCHEME`, cookies and connection strings
    "headers": times("Authorization: "),
    "a header": behind("Authorization: Digest ", "a"),
    "headers with schemes": times("Authorization: Token x "),
    "cookies": times("Cookie: a=1; "),
    "cookies, no value": times("Cookie: "),
    "connection strings": times("connection_string=abcdef1; "),
    "unknown schemes": times("Authorization: abc ab12cd34 "),
    "a scheme that never ends": behind("Authorization: ", "a-"),
    "cookies of a jar": times("<Cookie a=1b2c3d4 "),
    # signs: `named._BEHIND`, strong and weak, and `named._PAIR`
    "spelled quotes": behind("api_key", "&quot;"),
    "names and spelled quotes": times("api_key%22%3A%22"),
    "escaped quotes, spelled": behind("api_key", "\\u0022"),
    "types": times("api_key: str | None = "),
    "a type that never ends": behind("api_key: Optional[", "a"),
    "fields": times('"name": "api_key", "value": "ab12cd34"} '),
    "names, no value field": behind("api_key,", "\n"),
    "names and brackets": times("api_key {"),
    "columns": times("| api_key | "),
    "edges": behind("api_key", "|"),
    "a column": behind("api_key", " "),
    "names in prose": times("password is "),
    "names and words": times("password words1 "),
    "names and a long word": times("password " + "a" * 60 + " "),
    "digits in prose": behind("api_key ", "a1"),
    "blocks": times("api_key: |\n  ab12cd34\n"),
    "lines of JSON": times('"api_key":\n "ab12cd34",'),
    "triple quotes": times('api_key="""a'),
    "pairs": times("auth=('ada', 'ab12cd34') "),
    "unclosed pairs": times("auth=('ada"),
    "a pair that never ends": behind("auth=('", "a"),
    # command lines: `commands`
    "curl": times("curl -u "),
    "curl, users": times("curl -u ada:ab12cd34 "),
    "curl, flags": behind("curl", " -u"),
    "curl, a user": behind("curl -u ", "a"),
    "curl, cookies": times("curl -b a=b"),
    "curl, a cookie": behind("curl -b a=", "b"),
    "curl, hyphens": behind("curl ", "-"),
    "tools": times("curl http sshpass redis-cli openssl login mysql mariadb -p "),
    "sshpass": times("sshpass -p ab12cd34 "),
    "mysql": times("mysql -pab12cd34 "),
    "logins": times("login "),
    "logins with flags": times("login --relogin --host a "),
    "logins with keys": times("wandb login " + "ab12" * 10 + " "),
    # manifests: `manifests`
    "manifests": times("kind: Secret\ndata:\n  a: ab12cd34\n"),
    "manifests in braces": times('{"kind": "Secret", "data": {"a": "ab12"}}'),
    "entries": behind("kind: Secret\ndata:\n", "  a: b\n"),
    "an entry": behind("kind: Secret\ndata:\n  a: ", "b"),
    "data": behind("kind: Secret ", "data: {"),
    "kinds": behind("secret ", "kind: "),
    # flags: `named._FLAG_VALUE`
    "a flag": behind("--", "key-"),
    "flags": times("--api-key "),
    "flags with values": times("--api-key ab12cd34 "),
    "a flag and blanks": behind("--api-key", " "),
    "hyphens": times("-"),
    # addresses: `forms._AUTHORITY`
    "schemes": behind("@ ", "http://"),
    "an address": behind("@ http://", "a"),
    "addresses": times("abc://a:b@c "),
    "addresses without a user": behind("@ ", "x://:"),
    "colons in an address": behind("@ x://", ":"),
    "users": behind("x://", "a:b@"),
    "oracle": times("jdbc:oracle:thin:ada/ab12@//db "),
    "oracle in one word": behind(":thin:", "a/@//"),
    "slashes of addresses": behind("@ ", "//"),
    # private keys: `forms._BEGIN`, `forms._END`
    "a key without an end": behind("-----BEGIN PRIVATE KEY-----", "a"),
    "keys": times("-----BEGIN PRIVATE KEY----- "),
    "ends": behind("-----BEGIN PRIVATE KEY-----", "-----END "),
    "ends alone": times("-----END PRIVATE KEY----- "),
    "capitals": behind("-----BEGIN ", "A"),
    "begins": times("-----BEGIN "),
    "ends with capitals": behind("-----BEGIN PRIVATE KEY-----", "-----END " + "A" * 60),
    # schemes and webhooks: `forms._SCHEME`, `forms._HOOK`
    "bearer": times("bearer "),
    "bearer and blanks": behind("bearer", " "),
    "bearer and a word": behind("bearer ", "a"),
    "bearers in one word": behind("bearer ", "bearer"),
    "basic": times("basic\t"),
    "hooks": times("hooks.slack.com/services/ "),
    "hooks of numbers": times("webhooks/12345 "),
    "a hook": behind("https://hooks.slack.com/services/", "a"),
    "hooks in one word": behind("/ ", "hook"),
    "hooks of letters": times("hooks/abcdefghijklmnop/"),
    "hooks of makers": times("hook.eu1.make.com/"),
    "bearer, spelled": behind("bearer", "%20"),
    # tokens: `forms._TOKEN`, `forms._BEGUN`, `forms._REST`
    "runs": times("a" * 16 + " "),
    "runs of hyphens": behind("a-", "a-"),
    "github": times("ghp_aaaaaaaaaaaa "),
    "github in one word": times("ghp_"),
    "openai": times("sk-"),
    "openai, many": times("sk-aaaaaaaaaaaaaaaaaaaa1 "),
    "like words": times("sk-learn-experiments-2-"),
    "like words in one word": behind("sk-1", "a"),
    "keys in base64": times("LS0tLS1CRUdJTiBSU0EgUFJJ"),
    "a key in base64": behind("LS0tLS1CRUdJTiBSU0EgUFJJ", "a+"),
    "sendgrid": times("SG."),
    "sendgrid, long": times("SG." + "a" * 30 + "-"),
    "web tokens": times("eyJ-"),
    "web tokens, dots": times("eyJaaaaaaaaaaaaa."),
    "web tokens in one word": behind("eyJ", "-eyJaaaaaaaa"),
    "rests": behind("ghp_" + "a" * 36, ".aaaaaaaaaa"),
    "base64": behind("glc_" + "a" * 40, "a+/"),
    "numbers of bots": times("123456789:AAaaaaaaaaaaaaaaaa "),
    # texts that trainings log
    "prose": times("the quick brown fox "),
    "base64 of an image": behind("key data:image/png;base64,", "iVBORw0KGgo"),
    "JSON": behind('{"key":1,"a":[', "1.25,"),
    "a state": times("'layer.0.weight': 0.1234, "),
    "generated tokens": times('{"token": "the", "logprob": -1.25, "bytes": [116]}, '),
    "genome": behind("tokens: ", "ACGT"),
    "other letters": times("中文 key: ä "),
    "a dump": behind("key 0x", "deadbeef"),
}


def least_growth(call: Callable[[str], object], make: Callable[[int], str]) -> tuple[float, float]:
    """Return how many times faster than the text its time grows, at worst; and the seconds of the longest text."""
    texts = [make(size) for size in SIZES]
    least = [float("inf")] * len(SIZES)
    grown = float("inf")
    end = time.process_time() + PATIENCE
    while time.process_time() < end and grown > MOST_GROWTH:
        for number, one in enumerate(texts):
            for _ in range(1 if number > 1 else 4):
                begin = time.thread_time()
                call(one)
                least[number] = min(least[number], time.thread_time() - begin)
        grown = least[2] / max(least[1], 5e-5) / (SIZES[2] / SIZES[1])
    return grown, least[-1]


def look(given: str) -> None:
    names.kind_of.cache_clear()  # else names of a short text are known, and those of a long one are not
    named.traits_of.cache_clear()
    text._masked(given, (), None)


def look_briefly(given: str) -> None:
    text._masked(given, (), 400)


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_sixteen_times_as_long_takes_sixteen_times_as_long(name: str) -> None:
    grown, seconds = least_growth(look, TEXTS[name])

    assert grown <= MOST_GROWTH
    assert seconds <= MOST_SECONDS


@pytest.mark.parametrize(
    "name", ["names and signs", "secrets", "bearer", "addresses", "runs", "prose", "other letters"]
)
def test_where_the_caller_cannot_wait_only_so_many_places_are_looked_at(name: str) -> None:
    clean = text._masked(TEXTS[name](64 * KB), (), 400)

    assert len(clean) <= 64 * KB
    if name != "prose":
        assert "… [cut: 65536 characters" in clean


def test_each_pattern_has_met_a_text_that_is_made_against_it() -> None:
    modules: tuple[ModuleType, ...] = (commands, forms, headers, manifests, named, names, quoting, text, values)
    names.kind_of.cache_clear()
    named.traits_of.cache_clear()
    patterns = {f"{m.__name__}.{name}": p for m in modules for name, p in vars(m).items() if isinstance(p, Pattern)}
    before = {name: dict(vars(pattern)) for name, pattern in patterns.items()}
    for pattern in patterns.values():  # a method that is called is looked up once, and then stands here
        vars(pattern).update({k: v for k, v in vars(pattern).items() if k == "_pattern"})
        for method in [key for key in vars(pattern) if key != "_pattern"]:
            del vars(pattern)[method]
    try:
        for make in TEXTS.values():
            look(make(4 * KB))
        for value in (make(KB) for make in VALUES.values()):
            masked(value)
        unmet = [name for name, pattern in patterns.items() if set(vars(pattern)) == {"_pattern"}]
    finally:
        for name, pattern in patterns.items():
            vars(pattern).update(before[name])

    assert len(patterns) > 15
    assert unmet == []


PIECES = [
    *("key", "token", "pass", "secret", "sig", "pwd", "cred", "auth", "cookie", "conn", "dsn", "api_key", "password"),
    *(
        "=",
        ":",
        " ",
        "\t",
        "\n",
        '"',
        "'",
        "\\",
        '\\"',
        ",",
        ";",
        "[",
        "]",
        "{",
        "}",
        "<",
        ">",
        "(",
        ")",
        "--",
        "-",
        "_",
    ),
    *("://", "@", "/", ".", "?", "&", "bearer ", "Basic ", "Authorization: ", "Token ", "Digest ", "hooks.slack.com/"),
    *(
        "services/",
        "webhooks/",
        "-----BEGIN ",
        "-----END ",
        "PRIVATE KEY",
        "-----",
        "eyJ",
        "ghp_",
        "sk-",
        "SG.",
        "AKIA",
    ),
    *("curl", "login ", " -u ", " -p", "mysql", "kind: Secret", "data:", "value", "&quot;", "%22", "%3D", "|", " is "),
    *("a", "1", "A", "aB1", "a" * 15, "a" * 16, "0" * 40, "中", "…", "\u0130", "\x00"),
]


@pytest.mark.parametrize("seed", range(4))
def test_texts_made_of_the_patterns_own_pieces_take_no_longer_either(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(6):
        pieces = chance.sample(PIECES, chance.randint(2, 5))
        unit = "".join(chance.choices(pieces, k=chance.randint(2, 40)))
        start = "".join(chance.choices(PIECES, k=3))

        grown, seconds = least_growth(look, behind(start, unit))

        assert grown <= MOST_GROWTH, (start, unit)
        assert seconds <= MOST_SECONDS, (start, unit)


VALUES: dict[str, Callable[[int], object]] = {
    "a name": lambda size: {"aB" * (size // 2): "x"},
    "a name with a hint": lambda size: {"keyB" * (size // 4): "x"},
    "a path": lambda size: {"api_key": "/a" * (size // 2) + "!"},
    "a placeholder": lambda size: {"api_key": "<" * size},
    "a number": lambda size: {"api_key": "1," * (size // 2) + "x"},
    "humps": lambda size: {"session_key": "aB" * (size // 2)},
    "a list of flags": lambda size: {"argv": ["--api-key", "abc"] * (size // 64)},
}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_sixteen_times_as_long_takes_sixteen_times_as_long(name: str) -> None:
    made = {size: VALUES[name](size) for size in SIZES}

    def call(given: str) -> None:
        masked(made[len(given)])
        is_plain(made[len(given)], masks=True)  # type: ignore[arg-type]  # mappings, all of them

    grown, _ = least_growth(call, lambda size: " " * size)

    assert grown <= MOST_GROWTH
