"""`plait report` finds out what it was given."""

import dataclasses
import json

import pytest

from plait.cli import main
from plait.errors import DataError
from plait.report import any as any_report
from plait.report.any import WRITERS, write_any_report
from plait.results import SCHEMA_VERSION


def test_kinds_are_told_apart_by_their_fields():
    for kind in WRITERS:
        names = {field.name for field in dataclasses.fields(kind)}
        for other in set(WRITERS) - {kind}:
            assert not any_report._required(other) <= names


@pytest.mark.parametrize("kind", WRITERS)
def test_each_kind_goes_to_its_own_writer(tmp_path, monkeypatch, kind):
    asked = []
    writers = {each: (lambda _, out, each=each: (asked.append(each), out)[1]) for each in WRITERS}
    monkeypatch.setattr(any_report, "WRITERS", writers)
    path = tmp_path / "results.json"
    found = dict.fromkeys(any_report._required(kind), 0) | {"schema_version": SCHEMA_VERSION}
    path.write_text(json.dumps(found))
    write_any_report(path, tmp_path / "report.html")
    assert asked == [kind]


def test_what_is_no_result_is_refused_in_a_sentence(tmp_path, capsys):
    found = {"title": 1, "unknown": 2, "schema_version": SCHEMA_VERSION}
    (tmp_path / "results.json").write_text(json.dumps(found))
    with pytest.raises(DataError, match="no known result"):
        write_any_report(tmp_path / "results.json", tmp_path / "report.html")
    (tmp_path / "results.json").write_text("[1")
    assert main(["report", str(tmp_path)]) == 2
    assert "not valid JSON" in capsys.readouterr().err
    assert main(["report", str(tmp_path / "none")]) == 2
    assert "no such file" in capsys.readouterr().err
