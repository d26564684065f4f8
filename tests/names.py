"""Names as users have them, and as they should not: each character that a backend may refuse, at each place."""

from __future__ import annotations

import string

from hypothesis import strategies as st

#: Characters that some backend has a use for, or refuses.
ODD = string.punctuation + " \t\r\n\x00\x01\x1f\x7f\x85\xa0\u2028\ufeff\ufffe\U0001f642é́检\udc80\ud83d"
WORDS = [
    "", ".", "..", "...", "..a", "a/..", "../a", "./a", "a/./b", "/", "//", "/a", "a/", "a//b", "a/b/c", "C:/x", "C:x",
    "file:a", "-", "--", "-lr", "lr-", "_", "_a", "__a", "1st", "loss", "Loss", "LOSS", "train/loss", "train_loss",
    "train.loss", "a b", "a-b", "a_b", "tags", "_wandb", "_step", "step", "epoch", "_timestamp", "wandb_version",
    "refunc/step", "refunc/record", "refunc.run_id", "refunc", "mlflow.x", "run_info", "params.json", "refunc-log.txt",
    "refunc-params.json", "null", "None", "nan", "CON", "aux.txt", "a%20b.txt", "100%.txt", "fig #1.png", "fig #2.png",
    "q?.txt", "acc@1", "acc@5", "acc_1", "точность", "検証 “é” 🙂", "acc(top-5)=x", "a_40_b", "--1a2b3c4d",
    "x--1a2b3c4d", "x--1a2b3c4d.png", "caf\udce9", "caf\\udce9", "\ud83d\ude42", "wandb-artifact://x", "${x}",
    "{0}", "%s", "`x`", "'x'", '"x"', "<!channel>", "a\u0301", "á", "x" * 64, "x" * 65, "x" * 128, "x" * 129,
    "x" * 250, "x" * 251, "x" * 257, "x" * 300, "x" * 299 + "y", "検" * 100, "検" * 99 + "証", "🙂" * 130,
    "layer/" * 60 + "weight",
]  # fmt: skip
NAMES = list(dict.fromkeys([*WORDS, *(text for odd in ODD for text in (f"a{odd}b", f"{odd}a", f"a{odd}"))]))

#: Any text at all, often with odd parts.
any_name = st.one_of(
    st.sampled_from(NAMES),
    st.text(st.one_of(st.characters(), st.sampled_from(ODD + "ab/._-")), max_size=12),
    st.text(st.sampled_from("ab/.-"), min_size=60, max_size=300),
)
