"""docs/configuration.md lists the files of a run directory."""

import re
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
SECTION = PAGE.split("## A run directory")[1].split("\n## ")[0]
LISTED = set(re.findall(r"^\| `([\w./]+)` \|", SECTION, re.M))
NAMED = set(re.findall(r"`([\w./]+)`", SECTION))


def test_a_run_holds_the_listed_files_and_no_others(small_run):
    found = {
        path.relative_to(small_run.run_dir).as_posix()
        for path in small_run.run_dir.rglob("*")
        if path.is_file()
    }
    assert sorted(LISTED - found) == []
    assert sorted(found - NAMED) == []
