"""How findings are run, stored, shown and refused; with one that costs nothing."""

import json
import subprocess
import sys

import cloudpickle
import pandas as pd
import pytest
import scorebench as sb
from scorebench.__main__ import main
from scorebench.reports.findings import findings
from scorebench.reports.findings.base import Claim, Finding, Measured, row
from scorebench.reports.findings.measures import number
from scorebench.reports.findings.run import PARTS, compute, load_finding
from scorebench.studies.rundir.files import locked

cloudpickle.register_pickle_by_value(sys.modules[__name__])

COMPUTED = []


@findings.register("squares")
class Squares(Finding):
    """Squares of small numbers.

    Each number times itself.

    Attributes:
        count: How many.
    """

    count: int = 4

    def parts(self):
        return {str(n): lambda n=n: self._square(n) for n in range(self.count)}

    def _square(self, n):
        COMPUTED.append(n)
        return [
            row("square", "square", value, expected=float(n**2), n=n, wrong=wrong)
            for wrong, value in (("", float(n * n)), ("double", 2.0 * n), ("sign", -1.0 * n))
        ]

    sentence = "Three squared is {0:.0f}."
    claims = (
        Claim("Q1", "3² is 9", "school", lambda t: number(t, "square", "square", n=3),
              wrong="double"),
        Claim("Q2", "no square is negative", "school",
              lambda t: Measured(t["value"].min()), least=0, wrong="sign"),
    )  # fmt: skip
    wrongs = {"double": "twice the number", "sign": "minus the number"}


@pytest.fixture(autouse=True)
def _fresh():
    COMPUTED.clear()


def run(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["scorebench", *map(str, words)])
    try:
        main()
    except SystemExit as leave:
        return leave.code
    return 0


def test_everything_is_there(tmp_path):
    result = sb.finding("squares", tmp_path / "out", workers=1)
    assert list(result.table["value"]) == [0, 1, 4, 9]
    assert list(result.claims["wrong_measured"]) == [6, -3]
    assert list(result.claims["id"]) == ["Q1", "Q2"]
    assert result.holds
    assert result.verdict == "Three squared is 9."
    assert result.plot().axes
    page = (tmp_path / "out" / "report.html").read_text()
    for text in (
        "Three squared is 9.",
        "minus the number",
        "no square is negative",
        "scorebench finding squares",
    ):
        assert text in page
    assert 'src="http' not in page
    back = pd.read_csv(tmp_path / "out" / "table.csv", dtype={"part": str})
    pd.testing.assert_frame_equal(back, result.table, check_dtype=False)
    for name in ("report.md", "claims.csv", "wrong.csv", "figure.png", "figure.pdf"):
        assert (tmp_path / "out" / name).stat().st_size > 100


def test_finished_parts_are_kept_and_others_computed(tmp_path):
    """As after a kill: the last line of the file is cut short."""
    whole = compute("squares", Squares(count=3), tmp_path)
    assert COMPUTED == [0, 1, 2]
    lines = (tmp_path / PARTS).read_bytes()
    (tmp_path / PARTS).write_bytes(lines[:-10])
    COMPUTED.clear()
    again = compute("squares", Squares(count=3), tmp_path)
    assert COMPUTED == [2]
    pd.testing.assert_frame_equal(again, whole)
    compute("squares", Squares(count=3), tmp_path)
    assert COMPUTED == [2]
    compute("squares", Squares(count=4), tmp_path)
    assert COMPUTED == [2, 0, 1, 2, 3]


def test_a_directory_of_an_earlier_version_continues(tmp_path):
    """Earlier versions began every line but the first by ending the one before it."""
    compute("squares", Squares(), tmp_path)
    (tmp_path / PARTS).write_bytes((tmp_path / PARTS).read_bytes().rstrip(b"\n"))
    COMPUTED.clear()
    compute("squares", Squares(), tmp_path)
    assert COMPUTED == []
    compute("squares", Squares(count=2), tmp_path)
    compute("squares", Squares(), tmp_path)
    compute("squares", Squares(count=2), tmp_path)
    assert COMPUTED == [0, 1]


def test_figures_alone_load_matplotlib():
    code = (
        "import sys\n"
        "from scorebench.reports.findings.listing import list_view\n"
        "from scorebench.reports.findings.run import compute\n"
        "list_view()\n"
        "sys.exit('matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def measured_nine(expected, **settings):
    def measure(table):
        return number(table, "square", "square", n=3)._replace(expected=expected)

    return (Claim("Q3", "3² is a number", "nowhere", measure, slack=0.5, **settings),)


def test_a_claim_can_fail(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Squares, "claims", measured_nine(5.0, wrong="double"))
    assert run(monkeypatch, "finding", "squares", "--out", tmp_path, "-w", 1) == 1
    output = capsys.readouterr().out
    assert "1 of 1 claims do not hold (Q3)" in output
    assert "NO" in output


@pytest.mark.parametrize("settings", [{}, {"wrong": "double", "most": 100.0, "least": -1.0}])
def test_a_claim_that_nothing_fails_is_an_error(tmp_path, monkeypatch, capsys, settings):
    claims = measured_nine(None if settings else 9.0, **settings)
    monkeypatch.setattr(Squares, "claims", claims)
    assert run(monkeypatch, "finding", "squares", "--out", tmp_path, "-w", 1) == 1
    output = capsys.readouterr().out
    assert "No wrong implementation fails 1 claims (Q3)" in output
    assert "NOTHING" in output


def test_all_findings_end_with_a_table_and_a_page(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(type(findings), "names", lambda _: ["squares"])
    assert run(monkeypatch, "finding", "--all", "--out", tmp_path, "-w", 1) == 0
    assert "squares" in capsys.readouterr().out
    assert "no square is negative" in (tmp_path / "report.html").read_text()
    assert "| squares | Q1 |" in (tmp_path / "report.md").read_text()
    assert (tmp_path / "squares" / "report.html").exists()
    monkeypatch.setattr(Squares, "claims", measured_nine(5.0, wrong="double"))
    assert run(monkeypatch, "finding", "--all", "--out", tmp_path, "-w", 1) == 1


@pytest.mark.parametrize(
    ("value", "error", "holds"), [(1.0, 0.0, True), (1.3, 0.0, False), (1.3, 0.06, True)]
)
def test_tolerance_is_slack_and_four_standard_errors(value, error, holds):
    claim = Claim("X", "", "", lambda _: Measured(value, error), expected=1.0, slack=0.1)
    assert claim.check(pd.DataFrame())["holds"] is holds


def test_numbers_that_are_not_there_never_hold():
    claim = Claim("X", "", "", lambda _: Measured(float("nan")), most=1.0)
    assert claim.check(pd.DataFrame())["holds"] is False


def test_bad_input_is_one_line(monkeypatch, capsys, tmp_path):
    for words, message in [
        (["finding", "langevln"], "did you mean 'langevin'"),
        (["finding", "langevin", "-o", "chain=3"], "did you mean 'chains'"),
        (["finding", "langevin", "-o", "chains=3"], "chains = 3: input should be greater"),
        (["finding", "langevin", "-o", "chains=many"], "chains = 'many': input should be a valid"),
        (["finding", "squares", "-w", "0"], "at least 1 is needed"),
        (["finding", "squares", "--all"], "leave out squares"),
        (["run", "langevin"], "scorebench finding langevin"),
        (["show", "langevin"], "scorebench finding langevin"),
        (["run", "langevln"], "langevln"),
    ]:
        assert run(monkeypatch, *words) == 2
        line = capsys.readouterr().err
        assert message in line
        assert line.count("\n") == 1


def test_settings_are_in_the_command_that_makes_the_page_again():
    assert load_finding("squares", ["count=5", "seed=7"]) == Squares(count=5, seed=7)


def test_two_processes_do_not_share_a_directory(tmp_path):
    with locked(tmp_path), pytest.raises(sb.UsageError, match="in use"):
        compute("squares", Squares(), tmp_path)


@pytest.mark.parametrize("name", sorted(findings.builtin))
def test_built_in_findings_say_what_they_claim(name):
    kind = findings.get(name)
    finding = kind()
    assert kind.panels
    assert kind.claims
    assert len({claim.says for claim in kind.claims}) == len(kind.claims)
    assert all(claim.source for claim in kind.claims)
    names = list(finding.parts())
    assert len(set(names)) == len(names)
    assert json.loads(finding.model_dump_json())
    documented = (kind.__doc__ or "").partition("Attributes:")[2]
    assert all(f"{setting}:" in documented for setting in kind.model_fields if setting != "seed")
    assert findings.summary(name).endswith(".")


def test_listing_names_every_claim(monkeypatch, capsys):
    assert run(monkeypatch, "finding") == 0
    output = capsys.readouterr().out
    for name in findings.builtin:
        assert name in output
    run(monkeypatch, "list")
    assert "langevin" in capsys.readouterr().out.partition("findings")[2]
