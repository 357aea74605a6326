# SPDX-License-Identifier: Apache-2.0
"""Making, loading and trusting keys."""

from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from gameday.errors import EvidenceError, InvalidInput
from gameday.report.keygen import NewKey, generate
from gameday.report.sign import load_signing_key
from gameday.report.trust import read_allowed_signers

BLOB = "AAAAC3NzaC1lZDI1NTE5AAAAIJJrUxVlNwKJSQIARpNxk9mxjVbHdkTvOfPuS3jrJzDa"


def test_where_keys_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    made = generate("me@here")
    assert made.private == tmp_path / "gameday" / "signing_key"
    assert stat.S_IMODE(made.private.stat().st_mode) == 0o600
    assert made.allowed_signers.read_text().startswith('me@here namespaces="gameday" ssh-ed25519 ')
    assert load_signing_key().identity.fingerprint == made.fingerprint
    assert load_signing_key().principal == "me@here"
    (trusted,) = read_allowed_signers(made.allowed_signers)
    assert (trusted.principals, trusted.fingerprint) == ("me@here", made.fingerprint)


def test_home_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert generate("me@here").private == tmp_path / ".config" / "gameday" / "signing_key"


def test_never_overwrites(tmp_path: Path) -> None:
    made = generate("me@here", path=tmp_path / "key")
    before = made.private.read_bytes()
    with pytest.raises(InvalidInput, match="never overwritten"):
        generate("me@here", path=tmp_path / "key")
    assert made.private.read_bytes() == before
    made.private.unlink()
    with pytest.raises(InvalidInput, match=r"key\.pub is there already"):
        generate("me@here", path=tmp_path / "key")


def test_trust_lines_are_added_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "allowed_signers").write_text(f"old@there ssh-ed25519 {BLOB}")
    generate("me@here", path=tmp_path / "key")
    assert [t.principals for t in read_allowed_signers(tmp_path / "allowed_signers")] == [
        "old@there",
        "me@here",
    ]


@pytest.mark.parametrize("principal", ["", "a b", 'a"b', "a,b", "*", "x" * 129])
def test_odd_principals(tmp_path: Path, principal: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be a principal"):
        generate(principal, path=tmp_path / "key")


def test_a_passphrase(tmp_path: Path) -> None:
    made = generate("me@here", b"secret", tmp_path / "key")
    asked: list[str] = []

    def handler(path: str) -> bytes:
        asked.append(path)
        return b"secret"

    assert load_signing_key(made.private, handler).identity.fingerprint == made.fingerprint
    assert asked == [str(made.private)]
    for wrong in (None, lambda _: b"wrong"):
        with pytest.raises(InvalidInput) as caught:
            load_signing_key(made.private, wrong)
        assert "secret" not in str(caught.value)


def test_a_key_that_others_can_read(key: NewKey, tmp_path: Path) -> None:
    copied = Path(shutil.copy(key.private, tmp_path / "key"))
    copied.chmod(0o640)
    with pytest.raises(InvalidInput, match="can be read by others"):
        load_signing_key(copied)


def test_no_key_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_signing_key(tmp_path / "none")
    assert "gameday keygen" in caught.value.hint


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="needs openssh-client")
def test_openssh_agrees(key: NewKey, tmp_path: Path) -> None:
    listed = subprocess.run(
        ["ssh-keygen", "-lf", str(key.public)], capture_output=True, text=True, check=True
    ).stdout
    assert key.fingerprint in listed
    rsa = tmp_path / "rsa"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", str(rsa)], check=True
    )
    with pytest.raises(InvalidInput, match="not an Ed25519 key"):
        load_signing_key(rsa)
    own = tmp_path / "own"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "pass", "-C", "a@b", "-f", str(own)], check=True
    )
    assert load_signing_key(own, lambda _: b"pass").principal == "a@b"
    # And OpenSSH itself accepts the trust file that keygen writes.
    text = tmp_path / "text"
    text.write_text("x")
    subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-n", "gameday", "-f", str(key.private), str(text)],
        check=True,
    )
    with open(text, "rb") as content:
        subprocess.run(
            ["ssh-keygen", "-q", "-Y", "verify", "-f", str(key.allowed_signers), "-I",
             key.principal, "-n", "gameday", "-s", f"{text}.sig"],
            stdin=content, check=True,
        )  # fmt: skip


@pytest.mark.parametrize(
    "line, principals",
    [
        (f"a@b ssh-ed25519 {BLOB}", ["a@b"]),
        (f"a@b,c@d ssh-ed25519 {BLOB} comment here", ["a@b,c@d"]),
        (f'"a b@c" ssh-ed25519 {BLOB}', ["a b@c"]),
        (f'a@b namespaces="git,game*" ssh-ed25519 {BLOB}', ["a@b"]),
        (f'a@b namespaces="git" ssh-ed25519 {BLOB}', []),
        (f'a@b valid-after="20260101",valid-before="202712312359Z" ssh-ed25519 {BLOB}', ["a@b"]),
        ("# a comment", []),
        ("", []),
        ("a@b ssh-rsa AAAAB3NzaC1yc2E=", []),
        ("a@b sk-ssh-ed25519@openssh.com AAAA", []),
    ],
)
def test_lines(tmp_path: Path, line: str, principals: list[str]) -> None:
    (tmp_path / "trust").write_text(line + "\n")
    assert [t.principals for t in read_allowed_signers(tmp_path / "trust")] == principals


@pytest.mark.parametrize(
    "line, message",
    [
        (f"* cert-authority ssh-ed25519 {BLOB}", "cert-authority is not supported"),
        (f'* namespaces="gameday",cert-authority ssh-ed25519 {BLOB}', "cert-authority"),
        ("a@b", "expected principals, key type and key"),
        (f'a@b colour="red" ssh-ed25519 {BLOB}', "unknown option"),
        (f"a@b namespaces ssh-ed25519 {BLOB}", "unknown option"),
        (f'a@b valid-after="soon" ssh-ed25519 {BLOB}', "cannot read the time"),
        (f'a@b valid-after="20261301Z" ssh-ed25519 {BLOB}', "cannot read the time"),
        ("a@b ssh-ed25519 !!!!", "cannot be read"),
        (f"a@b ssh-ed25519 {BLOB[:40]}", "key"),
    ],
)
def test_a_line_that_is_not_understood_is_refused(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "trust").write_text(f"# first\n{line}\n")
    with pytest.raises(EvidenceError, match=message) as caught:
        read_allowed_signers(tmp_path / "trust")
    assert "trust:2" in str(caught.value)
