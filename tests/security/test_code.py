"""Nothing of a stranger is imported, called or unpickled before it is trusted."""

import importlib
import json
import os
import pickle
import py_compile
import re
import struct
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import tomli_w
from safetensors import safe_open
from safetensors.numpy import save_file
from scorebench.bench.own_networks import network_of
from scorebench.bench.plugins import activate, executed_by_import, permit
from scorebench.bench.spec import NetworkSpec
from scorebench.datasets.errors import UsageError
from scorebench.datasets.private import is_private
from scorebench.methods.derivatives import compiled
from scorebench.studies.archive import _pack
from scorebench.studies.specs.load import load_study

MODEL = "models/dsm-rings-langevin.safetensors"


def change_study(folder, **fields):
    data = tomllib.loads((folder / "study.toml").read_text())
    (folder / "study.toml").write_text(tomli_w.dumps({**data, **fields}))


def change_rows(folder, network):
    path = folder / "runs.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        row["spec"]["network"] = network
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def change_model(folder, network):
    with safe_open(folder / MODEL, "np") as model:
        run = json.loads(model.metadata()["run"])
        arrays = {name: model.get_tensor(name) for name in model.keys()}  # noqa: SIM118
    run["spec"]["network"] = network
    save_file(arrays, folder / MODEL, metadata={"run": json.dumps(run)})


def shell(canary):
    return {"kind": "energy", "module": "os:system", "options": {"command": f"touch {canary}"}}


def network_everywhere(folder, canary):
    network = shell(canary)
    change_study(folder, network=network)
    change_rows(folder, network)
    change_model(folder, network)


def network_of_rows_and_model(folder, canary):
    change_rows(folder, shell(canary))
    change_model(folder, shell(canary))


def network_in_the_header_of_the_model(folder, canary):
    change_model(folder, shell(canary))


def plugin_text(folder, canary):
    change_study(folder, plugins=[{"file": "evil.py", "code": f"open({str(canary)!r}, 'w')\n"}])


def plugin_module(folder, canary):
    """A module beside the run directory, which is the current folder of the victim."""
    (folder.parent / "evil_module.py").write_text(f"open({str(canary)!r}, 'w')\n")
    change_study(folder, plugins=["evil_module"])


def plugin_file_by_name(folder, canary):
    """A study file that names a file, which only users' own studies do."""
    (folder / "evil.py").write_text(f"open({str(canary)!r}, 'w')\n")
    change_study(folder, plugins=["evil.py"])


def package_of_the_network(folder, canary):
    package = folder.parent / "evil_package"
    package.mkdir()
    (package / "__init__.py").write_text(f"open({str(canary)!r}, 'w')\n")
    (package / "nets.py").write_text("class Net: ...\n")
    network = {"kind": "energy", "module": "evil_package.nets:Net", "options": {}}
    change_study(folder, network=network)
    change_rows(folder, network)
    change_model(folder, network)


ATTACKS = [
    network_everywhere,
    network_of_rows_and_model,
    network_in_the_header_of_the_model,
    plugin_text,
    plugin_module,
    plugin_file_by_name,
    package_of_the_network,
]
OF_NETWORKS = [attack for attack in ATTACKS if "network" in attack.__name__]
COMMANDS = {
    "status": ["status", "theirs"],
    "leaderboard": ["leaderboard", "theirs"],
    "report": ["report", "theirs"],
    "figure": ["figure", "overview", "theirs"],
    "best": ["best", "theirs", "dsm", "rings"],
    "replay": ["replay", "theirs", "--all", "--workers", "1"],
    "export": ["export", "theirs"],
    "diff": ["diff", "theirs", "theirs"],
    "merge": ["merge", "both", "theirs", "theirs"],
    "show": ["show", "theirs/study.toml"],
    "run": ["run", "theirs/study.toml", "--out", "theirs", "--workers", "1"],
    "sample": ["sample", "theirs", "dsm", "rings", "-n", "5"],
}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_no_command_runs_code_of_a_run_directory(attack, theirs, canary, command, monkeypatch):
    monkeypatch.syspath_prepend(theirs.parent)
    attack(theirs, canary)
    # Tables and pages need plug-ins, but no network.
    names = ["best", "replay", "sample"] if attack in OF_NETWORKS else COMMANDS
    for name in names:
        status, out, err = command(*COMMANDS[name])
        assert not canary.exists(), name
        if (name, status) == ("replay", 1):
            # A row or file that does not fit the study is a finding, not bad input.
            assert "does not fit: models/" in out
        elif status:
            assert (status, err.count("\n")) == (2, 1), (name, err)
            assert err.startswith("scorebench: "), name
        if name == "show":
            assert "not yet trusted" in out + err or "cannot be read" in err
    assert status == 2
    assert re.search("trust|is not of this study|cannot be imported", err)


def test_an_archive_runs_nothing_and_can_be_shown(theirs, canary, command):
    plugin_text(theirs, canary)
    data = {path.name: path.read_bytes() for path in theirs.iterdir() if path.is_file()}
    kept = ("study.toml", "runs.jsonl", "environment.json", "format.json", "code.json")
    (theirs.parent / "evil.zip").write_bytes(_pack({name: data[name] for name in kept}))
    status, _, err = command("replay", "evil.zip")
    assert (status, canary.exists()) == (2, False)
    assert "`scorebench show evil.zip`" in err
    status, out, _ = command("show", "evil.zip")
    assert (status, canary.exists()) == (0, False)
    assert "open(" in out
    assert "not yet trusted" in out
    status, out, _ = command("trust", "evil.zip")
    assert (status, canary.exists()) == (0, False)
    command("replay", "evil.zip")
    assert canary.exists()


def test_show_runs_nothing_of_a_file_beside_the_study_either(theirs, canary, command):
    (theirs.parent / "beside.py").write_text(f"open({str(canary)!r}, 'w')\n")
    change_study(theirs, plugins=["beside.py"])
    (theirs / "study.toml").rename(theirs.parent / "my.toml")
    status, out, _ = command("show", "my.toml")
    assert (status, canary.exists()) == (0, False)
    assert "beside.py is not yet trusted" in out
    # A study of one's own is trusted by running it.
    load_study("my.toml")
    assert canary.exists()


def test_trust_is_of_content_is_listed_and_can_be_taken_back(theirs, canary, command):
    plugin_text(theirs, canary)
    assert command("trust", "theirs")[0] == 0
    assert not canary.exists()
    status, out, _ = command("trust", "--list")
    assert (status, out.split()[::2]) == (0, ["trusted", "evil.py"])
    assert command("status", "theirs")[0] == 0
    assert canary.exists()
    canary.unlink()
    # The same name with another text is other code.
    change_study(theirs, plugins=[{"file": "evil.py", "code": f"open({str(canary)!r}, 'a')\n"}])
    status, _, err = command("status", "theirs")
    assert (status, canary.exists()) == (2, False)
    assert "not yet trusted on this machine (evil.py)" in err
    status, out, _ = command("trust", "--remove", "evil.py")
    assert (status, out.startswith("removed")) == (0, True)
    assert command("trust", "--list")[1] == ""
    status, _, err = command("trust", "--remove", "evil.py")
    assert (status, "unknown trusted code" in err) == (2, True)


def test_trust_of_a_module_ends_when_its_file_or_package_changes(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "pack").mkdir()
    for name in ("__init__", "nets"):
        (tmp_path / "pack" / f"{name}.py").write_text("")
    before = executed_by_import("pack.nets")
    (tmp_path / "pack" / "__init__.py").write_text("x = 1\n")
    assert executed_by_import("pack.nets") != before
    assert "pack" not in sys.modules
    with pytest.raises(UsageError, match=r"'pack\.no' cannot be imported: No module named"):
        executed_by_import("pack.no")


def test_trusted_text_is_what_runs_and_not_the_bytecode_beside_it(tmp_path, canary, monkeypatch):
    """Bytecode counts as that of a file if it states the file's size and time, true or not."""
    monkeypatch.syspath_prepend(tmp_path)
    benign, evil = tmp_path / "read_me.py", tmp_path / "evil.py"
    benign.write_text("x = 1\n")
    evil.write_text(f"open({str(canary)!r}, 'w')\n")
    made = Path(py_compile.compile(evil, cfile=importlib.util.cache_from_source(benign)))
    header = made.read_bytes()[:8] + struct.pack(
        "<II", int(benign.stat().st_mtime), benign.stat().st_size
    )
    made.write_bytes(header + made.read_bytes()[16:])
    activate(["read_me"])
    assert sys.modules.pop("read_me").x == 1
    assert not canary.exists()
    importlib.import_module("read_me")
    assert canary.exists()
    sys.modules.pop("read_me")


def test_a_list_of_trusted_code_that_others_can_write_does_not_count(theirs, canary, command):
    plugin_text(theirs, canary)
    command("trust", "theirs")
    state = theirs.parent / "state"
    state.chmod(0o777)
    code = "import sys; from scorebench.__main__ import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "status", "theirs"], capture_output=True, text=True
    )
    assert (done.returncode, canary.exists()) == (2, False), done.stderr
    # Trusting anew starts a list that only its owner can write.
    assert command("trust", "theirs")[0] == 0
    assert is_private(state)


@pytest.mark.parametrize("module", ["os:system", "subprocess:Popen", "builtins:eval", "os:environ"])
def test_only_torch_modules_are_called(module, canary):
    permit([module.partition(":")[0]])
    spec = NetworkSpec(module=module, options={"command": f"touch {canary}"})
    with pytest.raises(UsageError, match=r"is not a subclass of torch\.nn\.Module"):
        network_of(spec, 2, conditional=False)
    assert not canary.exists()


def test_the_current_folder_hides_no_installed_module(tmp_path, canary):
    for name in ("typer", "json", "pydantic"):
        (tmp_path / f"{name}.py").write_text(f"open({str(canary)!r}, 'w')\n")
    done = subprocess.run(
        [sys.executable, "-m", "scorebench", "--version"], capture_output=True, text=True
    )
    assert (done.returncode, canary.exists()) == (0, False), done.stderr


class Trap:
    """A pickle that writes a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


OPEN_TO_OTHERS = {
    "everybody": lambda folder: folder.chmod(0o777),
    "group": lambda folder: folder.chmod(0o770),
    "the folder above": lambda folder: folder.parent.chmod(0o777),
    "another owner": lambda folder: os.chown(folder, 65534, 65534),
    "a link": lambda folder: (folder.rename(folder.parent / "x"), folder.symlink_to("x")),
}


@pytest.mark.parametrize("opened", OPEN_TO_OTHERS)
def test_no_machine_code_is_read_where_others_can_write(opened, tmp_path, monkeypatch):
    if opened == "another owner" and os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    monkeypatch.setattr(compiled.os, "access", lambda *_: False)  # an installation of the system's
    monkeypatch.setenv("SCOREBENCH_CACHE", str(tmp_path / "cache"))
    compiled._home.cache_clear()
    home = compiled._home()
    assert home.parent == tmp_path / "cache"
    assert is_private(home)
    (home / "x.nbi").write_bytes(pickle.dumps(Trap(tmp_path / "canary")))
    OPEN_TO_OTHERS[opened](home)
    compiled._home.cache_clear()
    assert compiled._home() is None
    compiled._home.cache_clear()
    assert not (tmp_path / "canary").exists()
