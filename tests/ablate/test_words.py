"""What the table is turned into: text, CSV and a page; and the doctests."""

import csv
import doctest
import importlib
import io
import pkgutil
from html.parser import HTMLParser

import pytest

import simengine.ablate
from simengine.ablate import text
from simengine.ablate.bootstrap import Interval
from simengine.ablate.measure import FIGURES
from simengine.ablate.page import page_of
from simengine.ablate.plan import Cell
from simengine.ablate.sheet import csv_of
from simengine.ablate.table import Comparison, Row
from simengine.ablate.verdict import said, verdicts

NONE = Interval(0.0, 0.0, 0.0, 1.0, (0.0, 0.0, 0.0))


def row(name, decision="argmax", to_base=None, to_same=None, other_labels=False, also=(), **figures):
    values = {**dict.fromkeys(FIGURES, 0.25), "net_return": -0.1, **figures}
    cell = Cell(name, (1,), decision, {"inference.decision": {"type": "<b>"}}, also)
    return Row(cell, values, dict.fromkeys(FIGURES, 0.01), to_base, to_same, other_labels)


def compared(other="base", adjusted=0.001, **found):
    intervals = {**dict.fromkeys(FIGURES, NONE), **found}
    return Comparison(other, intervals, {name: adjusted if name in found else 1.0 for name in FIGURES})


UP = Interval(0.02, 0.01, 0.03, 0.0005, (0.01, 0.02, 0.03))
DOWN = Interval(-0.02, -0.03, -0.01, 0.0005, (-0.01, -0.02, -0.03))
SPLIT = Interval(-0.02, -0.03, -0.01, 0.0005, (-0.07, -0.02, 0.03))
ROWS = [
    row("base", also=("2 two",)),
    row("base + cost_aware", "cost_aware", compared(share_gap=UP, net_return=UP)),
    row("1 <one>", to_base=compared(nll=DOWN, net_return=DOWN), other_labels=False),
    row(
        "1 <one> + cost_aware", "cost_aware", compared(share_gap=UP), compared("base + cost_aware", nll=DOWN)
    ),
    row(
        "6 six",
        to_base=compared(skill=UP, share_gap=SPLIT, ece=Interval(*[float("nan")] * 4)),
        other_labels=True,
    ),
]


@pytest.mark.parametrize(
    ("found", "figures", "words"),
    [
        ({}, {}, "no effect seen"),
        ({"share_gap": DOWN}, {"share_gap": 0.05}, "cures the shares (gap -2.0)"),
        ({"share_gap": DOWN}, {"share_gap": 0.06}, "eases the shares (gap -2.0)"),
        ({"share_gap": UP}, {"share_gap": 0.01}, "worsens the shares (gap +2.0)"),
        ({"share_gap": SPLIT}, {"share_gap": 0.01}, "cures the shares (gap -2.0, 2 of 3 seeds)"),
        ({"nll": DOWN}, {}, "improves the probabilities (NLL -0.0200)"),
        ({"nll": UP}, {}, "worsens the probabilities (NLL +0.0200)"),
        ({"net_return": UP}, {"net_return": 0.2}, "earns money (net +2.0)"),
        ({"net_return": UP}, {"net_return": -0.2}, "loses less money (net +2.0)"),
        ({"net_return": DOWN}, {"net_return": 0.2}, "costs money (net -2.0)"),
        (
            {"share_gap": DOWN, "nll": DOWN, "net_return": DOWN, "sell": UP},
            {"share_gap": 0.0},
            "cures the shares (gap -2.0), improves the probabilities (NLL -0.0200), costs money (net -2.0)",
        ),
        ({"ece": DOWN, "turnover": UP}, {}, "no effect seen"),
    ],
)
def test_words_of_a_comparison(found, figures, words):
    assert said(row("x", **figures), compared(**found)) == words
    assert said(row("x", **figures), compared(adjusted=0.05, **found)) == "no effect seen"


def test_an_interval_with_0_is_no_difference_whatever_its_p_value():
    unsure = Interval(-0.02, -0.05, 0.01, 0.0005)
    assert said(row("x"), compared(nll=unsure)) == "no effect seen"


def test_other_labels_are_judged_by_skill():
    cell = row("6 six", other_labels=True)
    assert said(cell, compared(nll=DOWN)) == "no effect seen"
    assert said(cell, compared(skill=DOWN)) == "worsens the probabilities (skill -2.0)"
    assert said(cell, compared(skill=UP)) == "improves the probabilities (skill +2.0)"


def test_verdicts_name_the_improvement_and_both_bases():
    found = verdicts(ROWS)
    assert [(one.group, one.decision, one.text) for one in found] == [
        ("base", "cost_aware", "worsens the shares (gap +2.0), loses less money (net +2.0)"),
        ("1 <one>", None, "improves the probabilities (NLL -0.0200), costs money (net -2.0)"),
        (
            "1 <one>",
            "cost_aware",
            "worsens the shares (gap +2.0); against base + cost_aware: "
            "improves the probabilities (NLL -0.0200)",
        ),
        ("6 six", None, "eases the shares (gap -2.0, 2 of 3 seeds), improves the probabilities (skill +2.0)"),
    ]
    assert [one.other_labels for one in found] == [False, False, False, True]


def test_differences_are_marked():
    header, *lines = text.difference_rows(ROWS, ("ece", "nll", "net_return"), lambda one: one.to_base)
    assert header == ["cell", "ECE", "NLL", "net"]
    assert lines[1] == [
        "1 <one>",
        "+0.0000 [+0.0000, +0.0000] (0)",
        "-0.0200 [-0.0300, -0.0100] *",
        "-2.0 [-3.0, -1.0] *",
    ]
    assert lines[3][:2] == ["6 six †", "–"]
    unsure = row("x", to_base=compared(adjusted=0.2, nll=DOWN))
    assert (
        text.difference_rows([unsure], ("nll",), lambda one: one.to_base)[1][1]
        == "-0.0200 [-0.0300, -0.0100]"
    )
    assert [line[0] for line in text.difference_rows(ROWS, ("nll",), lambda one: one.to_same)] == [
        "cell",
        "1 <one> + cost_aware",
    ]


def test_every_figure_has_a_heading_and_a_difference():
    assert tuple(text.HEADS) == FIGURES
    assert tuple(name for names in text.DIFFERENCES for name in names) == FIGURES
    header, first, *_ = text.figure_rows(ROWS, lambda one: one.figures)
    assert len(header) == len(first) == 1 + len(FIGURES)
    assert first[0] == "base"
    assert first[header.index("net")] == "-10.0 %"


def test_the_sign_of_a_rounded_zero_is_not_shown():
    assert text.difference("turnover", Interval(-0.3, -0.4, 0.2, 0.5)) == ("+0", "[+0, +0]")
    assert text.difference("train_seconds", Interval(2.0, *[float("nan")] * 3)) == ("+2", "")


def test_notes_say_what_is_missing():
    assert text.notes(ROWS) == [
        "2 two: the same as base, and no row of its own",
        "† other labels than the base: NLL, ECE, ACE, F1 and AUC answer another question",
    ]
    assert text.notes(ROWS[1:3]) == []


def test_the_csv_holds_every_number_in_full():
    third = Interval(1 / 3, 0.1, float("nan"), 0.25, (0.2, 7 / 15))
    rows = [ROWS[0], row("1 <one>", to_base=compared(adjusted=0.5, nll=third), nll=2 / 3)]
    content = list(csv.DictReader(io.StringIO(csv_of(rows))))
    base, one = content
    assert [line["cell"] for line in content] == ["base", "1 <one>"]
    assert (one["improvement"], one["decision"], one["numbers"], one["other_labels"]) == (
        *("1 <one>", "argmax", "1", "false"),
    )
    assert float(one["nll"]) == 2 / 3
    assert float(one["nll_seed_sd"]) == 0.01
    assert float(one["nll_to_base_difference"]) == 1 / 3
    assert (one["nll_to_base_low"], one["nll_to_base_high"]) == ("0.1", "")
    assert (one["nll_to_base_p_value"], one["nll_to_base_p_adjusted"]) == ("0.25", "0.5")
    assert float(one["nll_to_base_seed_sd"]) == third.seed_sd
    assert one["nll_to_same_difference"] == ""
    assert one["verdict_to_base"] == "no effect seen"
    assert (base["verdict_to_base"], base["nll_to_base_difference"], base["train_seconds"]) == (
        "",
        "",
        "0.25",
    )
    for name in FIGURES:
        assert {name, f"{name}_seed_sd", f"{name}_to_base_low", f"{name}_to_same_p_adjusted"} <= set(base)


VOID = {"meta", "br", "line", "circle"}


class Page(HTMLParser):
    """Its tags in balance, the links out of it, its rows and the kinds of its marks."""

    def __init__(self, content):
        super().__init__()
        self.open, self.wrong, self.kinds, self.words = [], [], [], ""
        self.feed(content)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script" or any(
            name in ("src", "href") and not value.startswith("#") for name, value in values.items()
        ):
            self.wrong.append((tag, values))
        if tag == "td" and values.get("class", "").startswith("num "):
            self.kinds.append(values["class"].split()[1:])

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        if tag not in VOID and self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        self.words += data


def page(rows=ROWS, seeds=3):
    return page_of(
        rows, name="an <ablation>", facts={"Cells": "5"}, seeds=seeds, config_text="name: <base>\n"
    )


def test_the_page_is_whole_and_asks_for_nothing():
    content = page()
    found = Page(content)
    assert found.open == []
    assert found.wrong == []
    assert "default-src 'none'" in content
    assert "prefers-color-scheme: dark" in content
    assert "<b>" not in content.split('id="changes"')[1].split("</section>")[0]
    for name in ("an <ablation>", "1 <one>", "name: <base>", "6 six †", "2 two: the same as base"):
        assert name in found.words, name
    for verdict in verdicts(ROWS):
        assert verdict.to_base in found.words
    assert "No promise of profit" in found.words
    assert "Standard deviation over seeds" in found.words
    assert "Standard deviation over seeds" not in Page(page(seeds=1)).words
    assert page() == content


def test_the_page_marks_every_difference():
    kinds = Page(page()).kinds
    assert len(kinds) == (4 + 1) * len(FIGURES)
    assert kinds.count(["better", "sure"]) == 5  # NLL twice, net, skill, gap
    assert kinds.count(["worse", "sure"]) == 3  # the gap twice, net
    assert kinds.count(["none"]) == 1
    assert kinds.count(["zero"]) == len(kinds) - 9


def test_a_page_without_other_decisions_has_one_comparison():
    content = page([ROWS[0], ROWS[2]])
    assert 'id="to-base"' in content
    assert "to-same" not in content


@pytest.mark.parametrize("module", [found.name for found in pkgutil.iter_modules(simengine.ablate.__path__)])
def test_doctests(module):
    assert doctest.testmod(importlib.import_module(f"simengine.ablate.{module}")).failed == 0
