"""
Secrets, and how they are recognised: masked on their way into the journal (`masking`), the most shared copy of a log.

A secret is recognised in three ways: by its name (`names`, and `values` for the values that can be secrets), by its
form (`forms`: a vendor's token, a JWT, a private key, the password in an address), and as the value of an environment
variable with such a name (`environment`). `text` looks for all three in running text, and for the secrets that refunc
itself was given (`given`). The cases are those of the OWASP Logging Cheat Sheet ("Data to exclude") and of the token
formats that secret scanners list.

Checking a text takes time in proportion to its length, for any text. Texts come from users, and `re` blocks all
threads. So patterns are not searched for, but matched at places that `bytes.find` found, and each repetition either
ends at the first other character or is bounded.

A secret that is not recognised stays in the journal. `REFUNC_REDACT=0` switches masking off.

    commands     on command lines of other tools, after a flag: `curl -u`
    environment  the values of environment variables with such names
    forms        recognised by their form: tokens of vendors, private keys, passwords in addresses
    given        given to refunc itself, such as an integration's token
    headers      in headers and cookies
    manifests    in Kubernetes manifests
    named        after their names in running text
    names        whether a name is a secret's, by its words
    patterns     regular expressions that are compiled when they are first used
    quoting      where a value in running text ends
    text         all of them in one running text
    values       whether a value can be a secret
"""

from refunc.values.secrets.given import given
from refunc.values.secrets.names import is_secret_name
from refunc.values.secrets.text import trace_without_secrets, without_secrets
from refunc.values.secrets.values import MASK, is_secret

__all__ = ["MASK", "given", "is_secret", "is_secret_name", "trace_without_secrets", "without_secrets"]
