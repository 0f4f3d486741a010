"""The page from folders: whole, self-contained, right for 1, 3 and 200 runs, and for runs that failed."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pafpose.errors import PafposeError
from pafpose.tools.report import ReportSettings, write_report
from pafpose.tools.report.build import heading as folder_heading
from tests.tools.report.sweeps import make_run, make_sweep

ROOT = Path(__file__).resolve().parents[3]
VOID = {"meta", "input", "img", "br", "wbr"}


class Checker(HTMLParser):
    """Nesting of tags, addresses, ids."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check(path: Path) -> str:
    """The page's text, once it is known to be whole and to need nothing but itself."""
    text = path.read_text()
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert all(a.startswith(("data:image/jpeg;base64,", "#")) for a in checker.addresses)
    assert {a[1:] for a in checker.addresses if a.startswith("#")} <= set(checker.ids)
    assert not re.search(r"https?://|@import|url\(", text)
    return text


def report(folder: Path, **settings: object) -> Path:
    return write_report(ReportSettings(folders=[folder], **settings))  # type: ignore[arg-type]


def test_three_runs(tmp_path: Path) -> None:
    make_sweep(tmp_path, {"paf.width": [4, 8, 16]})
    text = check(report(tmp_path))
    for heading in ("Ranking", "Effect of each choice", "Learning curves", "Pictures", "Commands"):
        assert f"<h2>{heading}</h2>" in text
    assert "Two choices together" not in text and "Failed and unfinished" not in text
    assert "python scripts/train.py paf.width=16" in text
    assert text.count("<img") == 6  # three photos, best and worst
    assert "val/AP over" in text and "right wrist" in text and "crowded" in text


def test_many_runs_some_failed(tmp_path: Path) -> None:
    make_sweep(
        tmp_path, {"paf.caps": ["none", "bbox", "round"], "paf.width": [2, 4, 8, 16], "seed": [0, 1, 2]}
    )
    text = check(report(tmp_path))
    assert "34 of 36" in text and "give a half width above 0 px" in text
    assert len(re.findall(r'<tr class="(?:done|failed|unfinished)" data-text', text)) == 36
    assert text.count("data-pair=") == 3
    assert 'id="filter"' in text


def test_two_hundred_runs_stay_one_small_page(tmp_path: Path) -> None:
    for n in range(200):
        make_run(tmp_path / str(n), [f"paf.width={n % 10}", f"seed={n // 10}"], metrics={"AP": n / 200})
    path = report(tmp_path)
    assert "200 of 200" in check(path) and path.stat().st_size < 1_000_000


def test_the_csv_has_every_run_and_metric(tmp_path: Path) -> None:
    make_sweep(tmp_path, {"paf.width": list(range(1, 25))})
    text = report(tmp_path).with_suffix(".csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    assert len(rows) == 24
    good = [row for row in rows if row["state"] == "done"]
    assert [float(row["AP"]) for row in good] == sorted((float(row["AP"]) for row in good), reverse=True)
    assert [row["rank"] for row in good] == [str(n) for n in range(1, 24)]
    failed = rows[-1]
    assert failed["state"] == "failed" and failed["rank"] == "" and failed["AP"] == "" and failed["error"]
    assert {"AP_nose", "minutes", "command", "paf.width"} <= set(rows[0])


@pytest.mark.parametrize("states", [[], ["failed"], ["failed", "running"]])
def test_few_or_no_results(tmp_path: Path, states: list[str]) -> None:
    """A page comes out of one run, and of a sweep in which everything went wrong."""
    for n, state in enumerate(states):
        make_run(tmp_path / str(n), [f"a={n}"], status={"state": state, "error": "<broken> & gone"})
    if not states:
        make_run(tmp_path / "0", [], metrics={"AP": 0.5})
    text = check(report(tmp_path))
    assert ("&lt;broken&gt; &amp; gone" in text) == bool(states)


def test_names_cannot_break_the_page(tmp_path: Path) -> None:
    for n, name in enumerate(("</script><script>alert(1)</script>", "'\"&<")):
        make_run(tmp_path / str(n), [f"tags={name}"], metrics={"AP": 0.1 * n, "AP_<i>": 0.2})
    assert "<script>alert" not in check(report(tmp_path, title="<h1>x"))


def test_what_bounds_an_oracle_stands_apart_and_the_worst_below_a_line(tmp_path: Path) -> None:
    for n in range(14):
        ap = 0.5 + 0.01 * n
        metrics = {"AP": ap, "APM": ap, "AP_topology": 0.8, "loss_topology": 0.2, "AP_crowded": 0.4}
        make_run(tmp_path / "s" / str(n), [f"paf.width={n}"], metrics=metrics, status={"state": "done"})
    page = write_report(ReportSettings(folders=[tmp_path / "s"])).read_text()
    kinds, bounds = page.split("By size of person and kind of photo")[1].split(
        "With one more source of error"
    )
    assert "crowded" in kinds and "topology" not in kinds and "topology" in bounds.split("</table>")[0]
    assert "The best 6 runs are above the line" in page and page.count('<tr class="gap">') == 2


def test_a_number_that_a_run_does_not_have_is_a_dash_not_zero(tmp_path: Path) -> None:
    make_run(tmp_path / "0", ["paf.width=4"], metrics={"AP": 0.5, "AP_alone": 0.6, "AP_crowded": 0.0})
    make_run(tmp_path / "1", ["paf.width=8"], metrics={"AP": 0.4, "AP_alone": 1.0})
    cells = re.findall(r'<td class="cell"[^>]*>([^<]*)</td>', report(tmp_path).read_text())
    assert cells == ["0.60", "0.00", "1.00", "–"]


def test_the_more_choices_the_fewer_metrics_in_the_ranking(tmp_path: Path) -> None:
    """State and command stay in sight; the CSV has the rest."""
    for n in range(2):
        overrides = [f"some.group.key_{k}={n}" for k in range(8)]
        metrics = {"AP": 0.5 + n, "AP50": 0.5, "AP75": 0.5, "APM": 0.5, "APL": 0.5, "loss_peaks": 0.1 * n}
        make_run(tmp_path / str(n), overrides, metrics=metrics)
    path = report(tmp_path)
    headings = re.findall(r"<th[ >].*?</th>", path.read_text().split("</thead>")[0])
    assert len(headings) == 2 + 8 + 4 + 2 and "AP" in headings[2]
    assert "some.<wbr>group.<wbr>key_<wbr>7" in headings[10]
    assert "loss_peaks" in path.with_suffix(".csv").read_text()


def test_numbers_of_a_search_are_short_on_the_page_and_whole_in_its_commands(tmp_path: Path) -> None:
    values = ("0.035671116933981645", "0.10810549512738252")
    for n, value in enumerate(values):
        make_run(tmp_path / str(n), [f"decode.paf_threshold={value}"], metrics={"AP": 0.1 + n})
    path = report(tmp_path)
    text = path.read_text()
    assert ">0.03567</td>" in text and "paf_threshold=0.1081<" in text
    assert all(f"decode.paf_threshold={value}\n" in text.replace("</pre>", "\n") for value in values)
    assert all(value in path.with_suffix(".csv").read_text() for value in values)


def test_an_unknown_metric_names_those_there_are(tmp_path: Path) -> None:
    make_run(tmp_path / "0", [], metrics={"AP": 0.5, "AR": 0.6})
    with pytest.raises(PafposeError, match="choose one of AP AR"):
        report(tmp_path, metric="PCK")


def test_another_metric_and_place(tmp_path: Path) -> None:
    make_sweep(tmp_path / "sweep", {"paf.width": [4, 8]})
    path = report(tmp_path / "sweep", metric="AR", output=tmp_path / "out" / "page.html")
    assert "best AR" in check(path) and (tmp_path / "out" / "page.csv").is_file()


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PafposeError, match="no such folder"):
        report(tmp_path / "nowhere")


@pytest.mark.slow
def test_the_script(tmp_path: Path) -> None:
    make_run(tmp_path / "0", [], metrics={"AP": 0.5})
    command = [sys.executable, str(ROOT / "scripts" / "report.py")]
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, check=True)
    assert str(tmp_path / "report.html") in done.stdout
    refused = subprocess.run([*command, str(tmp_path / "no")], capture_output=True, text=True, check=False)
    assert (
        refused.returncode == 1 and "no such folder" in refused.stderr and "Traceback" not in refused.stderr
    )


def test_the_heading_names_the_folder(tmp_path: Path) -> None:
    assert folder_heading(Path("/a/b/train/multiruns/7")) == "train/multiruns/7"
    assert folder_heading(Path("/a/b")) == "a/b"
    make_sweep(tmp_path, {"paf.width": [4, 8]})
    assert f"<h1>{folder_heading(tmp_path)}</h1>" in check(report(tmp_path))
