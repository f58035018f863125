"""Text of files is only text on terminals, in spreadsheets and papers; passwords are hidden."""

import io
import json
import re
import tomllib
import unicodedata
from pathlib import Path

import hypothesis
import pandas as pd
import pytest
import scorebench
import tomli_w
from rich.console import Console
from rich.table import Table
from scorebench.datasets.errors import UsageError, visible
from scorebench.reports.pages.markdown import _fenced
from scorebench.reports.pages.tables import exactly, inactive, to_latex, to_markdown
from scorebench.reports.text import Visible
from scorebench.studies.results import read_csv, to_csv
from scorebench.studies.rundir import optuna_storage
from scorebench.studies.rundir.optuna_storage import check_url, masked, open_database

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp\u2028\x08\x7f[link=https://x]y[/link]"


def controls(text):
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")} - {"\n"}


def change_rows(folder, change):
    path = folder / "runs.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        change(row)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def failed(row):
    if row["phase"] == "search":
        row["result"] |= {"state": "failed", "failure": {"stage": "train", "reason": EVIL}}


def test_no_command_prints_control_characters_of_a_run_directory(theirs, command):
    change_rows(theirs, failed)
    change_rows(theirs, lambda row: row["spec"]["method"]["options"].update({EVIL: EVIL}))
    change_rows(theirs, lambda row: row["result"]["metrics"].update({EVIL: 1.0}))
    environments = json.loads((theirs / "environment.json").read_text())
    for record in environments.values():
        record["packages"][EVIL] = EVIL
    (theirs / "environment.json").write_text(json.dumps(environments))
    data = tomllib.loads((theirs / "study.toml").read_text())
    code = {"file": "a.py", "code": f"x = '''{EVIL}'''\n```\n"}
    (theirs / "study.toml").write_text(tomli_w.dumps({**data, "plugins": [code]}))
    status, out, _ = command("show", "theirs/study.toml")
    assert (status, controls(out)) == (0, set())
    # What is printed is the study, to the letter.
    assert tomllib.loads(out)["plugins"][0] == code
    (theirs / "study.toml").write_text(tomli_w.dumps(data))
    for words in (
        ["status", "theirs"],
        ["leaderboard", "theirs"],
        *(["leaderboard", "theirs", "--table", "results", "--format", kind]
          for kind in ("csv", "json", "markdown", "latex")),
        ["leaderboard", "theirs", "--table", "failures"],
        ["diff", "theirs", "theirs"],
        ["best", "theirs", "dsm", "rings"],
    ):  # fmt: skip
        _, out, err = command(*words)
        assert controls(out + err) == set(), words
        assert "Traceback" not in err, words


BAD_TEXTS = {
    "a field": 'methods = []\n"%s" = 1\n',
    "a name": 'methods = ["%s"]\n',
    "not TOML": 'methods = %s"',
    "a label": 'methods = [{name = "dsm", label = "%s"}]\n',
    "a study": 'name = "%s"\n',
}


@pytest.mark.parametrize("place", BAD_TEXTS)
def test_no_message_holds_control_characters(place, tmp_path, command):
    text = BAD_TEXTS[place] % (EVIL if place == "not TOML" else json.dumps(EVIL)[1:-1])
    (tmp_path / "bad.toml").write_text(text)
    status, out, err = command("show", "bad.toml")
    assert (status, err.count("\n")) == (2, 1), err
    assert controls(out + err) == set()


def test_no_path_holds_control_characters(theirs, command):
    theirs = theirs.rename(theirs.with_name("\x1b[2J\u202ex"))
    for words in (["export", theirs.name], ["status", theirs.name], ["status", "\x1b[2Jy"]):
        _, out, err = command(*words)
        assert controls(out + err) == set()
        assert "u001b[2J" in out + err or words[0] == "status"


def test_views_keep_their_colours_and_no_other_sequence():
    table = Table(box=None)
    table.add_column(EVIL, style="red")
    table.add_row(EVIL)
    screen = io.StringIO()
    Console(file=screen, force_terminal=True, width=200).print(Visible(table))
    left = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue())
    assert left != screen.getvalue()
    assert controls(left) == set()
    # Markup would be a link.
    assert "[link=https://x]y[/link]" in left


def test_errors_of_the_python_interface_are_visible_too():
    assert controls(str(UsageError(EVIL))) == set()
    assert visible("± a\tb\n") == "± a\tb\n"
    assert json.loads(f'"{visible(chr(0x9B) + chr(0x202E))}"') == "\x9b\u202e"
    assert visible("\udc80") == "\\udc80"


def test_all_text_is_printed_at_one_place():
    """Whatever else writes to the terminal would write what files hold."""
    root = Path(scorebench.__file__).parent
    printing = re.compile(r"(?<![\w.])print\(|typer\.echo\(|click\.echo\(|std(out|err)\.write\(")
    found = {
        str(path.relative_to(root))
        for room in ("datasets", "methods", "bench", "studies", "reports", "__main__.py")
        for path in ([root / room] if room.endswith(".py") else (root / room).rglob("*.py"))
        if printing.search(path.read_text())
    }
    # `say`; and Hydra's message, which is a UsageError.
    assert found == {"studies/commands.py", "studies/hydra.py"}


FORMULAS = [
    "a;=1", "a\t=1", "a;'=1", "a\n@b", ";;=",
    "=1+1", "+1", "-1 apple", "@SUM(A1)", "\t=1", "\n=1", "＝1", "'=1", "'", "''x",
    "=HYPERLINK(\"http://x\")", "plain", "a=b", "", "-",
]  # fmt: skip


def test_spreadsheets_execute_no_cell_and_it_reads_back_equal(tmp_path):
    table = pd.DataFrame({"=cmd": FORMULAS, "x": -1.5, "n": range(len(FORMULAS))})
    text = to_csv(table)
    (tmp_path / "t.csv").write_text(text, newline="")
    cells = pd.read_csv(io.StringIO(text), keep_default_na=False, dtype=str)
    for text in [*cells.columns, *cells[cells.columns[0]]]:
        # A spreadsheet may also split cells at semicolons and tabs.
        for cell in re.split("[;\t\n]", text):
            assert not cell.startswith(tuple("=+-@\r＝")), text
    # Numbers are numbers.
    assert set(cells["x"]) == {"-1.5"}
    again = read_csv(tmp_path / "t.csv")
    assert list(again.columns) == list(table.columns)
    assert list(again["=cmd"].fillna("")) == FORMULAS
    plain = pd.DataFrame({"a": ["x", None], "b": [1, 2]})
    assert to_csv(plain) == plain.to_csv(index=False, lineterminator="\n")


@hypothesis.given(hypothesis.strategies.text(alphabet="='-;\t\n\r a\x1b,\""))
def test_any_text_reads_back_equal_and_visible(text):
    written = to_csv(pd.DataFrame({"a": [text, "end"], "b": 1}))
    again = read_csv(io.StringIO(written), keep_default_na=False)
    assert list(again["a"]) == [visible(text), "end"]


@pytest.mark.parametrize(
    "attack",
    ["<script>x</script>", "<img src=x>", "[x](javascript:y)", "![x](http://y)", "a|b", "a\\|b",
     "<!-- x", "a\n# heading\n", "</td>", "[x]: http://y", "[x][y]"],
)  # fmt: skip
def test_markdown_holds_text_only(attack):
    shown = inactive(attack)
    assert "\n" not in shown
    assert not re.search(r"(?<!\\)(\\\\)*(<[A-Za-z/!?]|\]\(|\]\[|\]:|\|)", shown)
    table = to_markdown(exactly(pd.DataFrame({"a": [attack], "b": ["end"]})))
    assert len(table.splitlines()) == 3
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", table.splitlines()[2])) == 3


def test_code_does_not_leave_its_fence():
    text = _fenced('code = """\n```\n<script>\n````\n"""\n')
    fence = text.split("toml")[0]
    assert (fence, text.count(fence)) == ("`````", 2)


def test_latex_holds_text_only():
    attack = r"\input{/etc/passwd} $x$ #1 ^^5c ~ % & [x] {" + "\n\\\\ \x1b"
    text = to_latex(exactly(pd.DataFrame({attack: [attack], "b": [attack]})))
    body = text.split(r"\toprule")[1].split(r"\bottomrule")[0]
    allowed = r"\\(textbackslash|textasciitilde|textasciicircum|midrule|[&%$#_{}\\])(\{\})?"
    left = re.sub(allowed, "", body).replace("{[}", "").replace("{]}", "")
    assert "\\" not in left
    assert not set("$#^~%{}[") & set(left.replace("$<$", "").replace("$>$", ""))


URLS = [
    "postgresql+psycopg://me:S3cret@host/db",
    "postgresql+psycopg://me:S3cret@tail@host/db",
    "postgresql+psycopg://host/db?user=me&password=S3cret",
    "postgresql+psycopg://host/db?sslpassword=S3cret&sslmode=require",
    "postgresql+psycopg://me:S3cret@host:port/db",
    "mysql://me:S3cret@host/db",
    "me:S3cret@host",
    "postgresql+psycopg://me:%53S3cret/x?y#z@host/db",
    "postgresql+psycopg://me://S3cret@host/db",
    "postgresql+psycopg://:S3cret@host/db",
]


@pytest.mark.parametrize("url", URLS)
def test_passwords_are_in_no_message(url, tmp_path, monkeypatch):
    def broken(*_, **__):
        url_read = optuna_storage.make_url(url)
        raise optuna_storage.SQLAlchemyError(f"no: {url_read.password} {url_read.query}")

    monkeypatch.setattr(optuna_storage, "Database", broken)
    monkeypatch.setattr(optuna_storage, "PATIENCE", -1)
    assert "cret" not in masked(url)
    assert "tail" not in masked(url)
    with pytest.raises(UsageError) as caught:
        open_database(url, tmp_path)
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize(
    "place",
    ["me@host/db", "me@127.0.0.1:5432/db", "host:5432/db", "/db", "[::1]:5432/db?sslmode=x"],
)
def test_a_database_without_a_password_is_accepted_and_shown_as_it_is(place):
    url = f"postgresql+psycopg://{place}"
    assert check_url(url) == url


def test_the_database_can_be_given_in_the_environment(command, monkeypatch):
    given = {}
    monkeypatch.setenv("SCOREBENCH_STORAGE", "postgresql+psycopg://me:S3cret@host/db")

    def run(*_, **options):
        given.update(options)
        raise UsageError("stop here")

    monkeypatch.setattr("scorebench.reports.api.run", run)
    assert command("run", "quick")[0] == 2
    assert given["storage"] == "postgresql+psycopg://me:S3cret@host/db"
