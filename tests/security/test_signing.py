"""Who says that an entry replays: signatures of outcomes, and what is said of forged ones."""

import json
import shutil
import subprocess

import pytest
from scorebench.datasets.errors import UsageError
from scorebench.reports import boards as module
from scorebench.reports.boards import ENTRY, describe, load_entries
from scorebench.studies.archive import export
from scorebench.studies.engine import Engine
from scorebench.studies.signing import read_proof
from scorebench.studies.verify import verify

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs OpenSSH")


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Keys of the board and of somebody else, and a list of signers with the former."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("board", "other"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", folder / name]
        subprocess.run(words, check=True)
    public = " ".join((folder / "board.pub").read_text().split()[:2])
    (folder / "signers").write_text(f'board@example.org namespaces="scorebench" {public}\n')
    return folder


@pytest.fixture(scope="module")
def archive(micro_run, tmp_path_factory):
    return export(micro_run, tmp_path_factory.mktemp("signed") / "entry.zip")


@pytest.fixture(scope="module")
def outcome(archive):
    return verify(archive, rows=2, seed=1, engine=Engine())


@pytest.fixture
def verified(outcome, monkeypatch):
    """What a verification found; none is run."""
    monkeypatch.setattr("scorebench.studies.verify.verify", lambda *_, **__: outcome)
    return outcome


@pytest.fixture
def signed(verified, archive, keys, tmp_path, command):
    """An outcome with its signature."""
    status, out, err = command("verify", archive, "--sign", keys / "board")
    assert (status, err) == (0, "")
    path = tmp_path / out.splitlines()[-1]
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name, f"{path.name}.sig"]
    return path


def test_the_signer_is_named_and_all_of_the_outcome_is_signed(signed, keys, verified):
    proof = read_proof(signed, keys / "signers")
    assert (proof.outcome, proof.signer) == (verified, "board@example.org")
    assert proof.sentence.endswith(f"identical, on {verified.date}, signed by board@example.org")
    # Anybody can check it without scorebench.
    words = ["ssh-keygen", "-Y", "verify", "-f", keys / "signers", "-I", "board@example.org"]
    beside = signed.with_name(signed.name + ".sig")
    check = subprocess.run(
        [*words, "-n", "scorebench", "-s", beside], input=signed.read_bytes(), capture_output=True
    )
    assert check.returncode == 0
    data = json.loads(signed.read_text())
    assert data["machine"]["scorebench"]
    assert {"archive", "runs", "seed", "verdict", "date", "asked"} < data.keys()


@pytest.mark.parametrize("field", ["archive", "seed", "date", "runs", "machine"])
def test_an_outcome_that_was_changed_is_refused(signed, keys, field):
    data = json.loads(signed.read_text())
    other = {"archive": "0" * 64, "seed": 7, "date": "2026-01-01", "runs": {}, "machine": {}}
    signed.write_text(json.dumps({**data, field: other[field]}))
    with pytest.raises(
        UsageError, match=r"has no valid signature by a key in .*incorrect signature"
    ):
        read_proof(signed, keys / "signers")


def test_a_signature_for_something_else_is_refused(signed, keys):
    beside = signed.with_name(signed.name + ".sig")
    beside.unlink()
    sign = ["ssh-keygen", "-q", "-Y", "sign", "-n", "git", "-f", keys / "board", signed]
    subprocess.run(sign, check=True, capture_output=True)
    with pytest.raises(UsageError, match="has no valid signature"):
        read_proof(signed, keys / "signers")
    beside.write_text("junk")
    with pytest.raises(UsageError, match="has no valid signature"):
        read_proof(signed, keys / "signers")


def test_a_key_that_nobody_listed_is_refused_with_one_line(
    verified, archive, keys, tmp_path, command
):
    command("verify", archive, "--sign", keys / "other")
    status, out, err = command("site", archive, "--signers", keys / "signers")
    assert (status, out) == (2, "")
    assert "has no valid signature by a key in" in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "public").exists()


@pytest.mark.parametrize("key", ["missing", "text"])
def test_a_key_that_cannot_sign_is_named_before_anything_is_run(tmp_path, command, key):
    (tmp_path / "text").write_text("no key")
    status, out, err = command("verify", "entry.zip", "--sign", key)
    assert (status, out) == (2, "")
    assert f"cannot sign with '{key}': " in err
    assert len(err.splitlines()) == 1


def test_without_openssh_one_line_says_so(signed, keys, archive, command, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    for words in (["verify", "--sign", keys / "board"], ["site", "--signers", keys / "signers"]):
        status, out, err = command(words[0], archive, *words[1:])
        assert (status, out) == (2, "")
        assert (
            err
            == "scorebench: signatures need ssh-keygen, which is not installed: install OpenSSH\n"
        )


def test_the_site_shows_who_signed_and_a_signed_outcome_stands(
    signed, keys, archive, tmp_path, verified, monkeypatch
):
    monkeypatch.setattr(module, "ask", lambda _, folder, *__: (describe(folder / ENTRY), []))
    # Anybody could have written it, and later.
    forged = verified.model_copy(update={"problems": ("x: it is bad",), "date": "2999-01-01"})
    (signed.parent / "forged.json").write_text(forged.to_json())
    (entry,) = load_entries([archive], signed.parent, keys / "signers")
    assert entry.record.signer == "board@example.org"
    assert entry.proof == "replayed 2 of 2, identical"
    (entry,) = load_entries([archive], signed.parent)
    assert entry.proof == "refuted: it is bad, unsigned"
    signed.with_name("forged.json").unlink()
    (entry,) = load_entries([archive], signed.parent)
    assert entry.proof == "replayed 2 of 2, identical, signature not checked"
    signed.with_name(f"{signed.name}.sig").unlink()
    (entry,) = load_entries([archive], signed.parent, keys / "signers")
    assert entry.proof == "replayed 2 of 2, identical, unsigned"


def test_verifying_without_a_key_leaves_no_old_signature(signed, archive, command):
    status, _, _ = command("verify", archive)
    assert status == 0
    assert [path.name for path in signed.parent.iterdir()] == [signed.name]
