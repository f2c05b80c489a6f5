"""The command as a whole: help, usage errors, exit codes, and what it does not import."""

import subprocess
import sys

import pytest

HEAVY = ("tensorflow", "keras", "shap", "sklearn", "pandas", "numba", "pydantic")


def _imported_by(*arguments):
    code = (
        "import sys\n"
        "from simengine.cli.app import execute\n"
        f"code = execute({list(arguments)!r})\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], code, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stderr.splitlines()[-1]


def test_help_imports_nothing_heavy():
    assert _imported_by("--help") == "[] 0"


def test_plugins_import_no_tensorflow():
    last = _imported_by("plugins", "list")
    assert "tensorflow" not in last
    assert "keras" not in last


def test_help_of_the_module_entry():
    done = subprocess.run(
        [sys.executable, "-m", "simengine", "--version"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stdout.startswith("simengine 0.")


def test_unknown_verb_is_one_line_with_the_nearest(simengine):
    assert simengine("rnu") == (
        2,
        "",
        "simengine: unknown verb 'rnu' (did you mean 'run'?); known: run, train, backtest, sweep, tune, "
        "ablate, compare, explain, report, check, plugins, data (see: simengine --help)\n",
    )


def test_unknown_verb_below_a_verb(simengine):
    code, _, err = simengine("data", "chek")
    assert code == 2
    assert err == (
        "simengine: unknown verb 'chek' (did you mean 'check'?); known: check, make "
        "(see: simengine data --help)\n"
    )


def test_unknown_option(simengine):
    code, out, err = simengine("run", "--jsn")
    assert (code, out) == (2, "")
    assert err.startswith("simengine: No such option: --jsn")
    assert err.count("\n") == 1


def test_no_arguments_print_the_help(simengine):
    code, out, _ = simengine()
    assert code == 0
    assert "Commands:" in out


@pytest.mark.parametrize("arguments", [(), ("config.yaml", "--resume", "runs/x")])
def test_run_takes_a_config_or_a_run_to_resume(simengine, arguments):
    code, _, err = simengine("run", *arguments)
    assert code == 2
    assert "give a CONFIG, or --resume RUN, and not both" in err


def test_runs_into_a_file(simengine, tmp_path):
    config, out = tmp_path / "config.yaml", tmp_path / "runs"
    config.write_text("data: {source: {type: oracle_market, symbols: 1, bars: 3000}}\n")
    out.write_text("mine")
    assert simengine("run", config, "--out", out, "--quiet") == (
        2,
        "",
        f"simengine: {out}: cannot be written ({out} is a file); choose a folder that can be written to\n",
    )


def test_a_bug_shows_its_traceback_and_exits_with_3(simengine, monkeypatch):
    def broken(*_args, **_kwargs):
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr("simengine.api.report", broken)
    code, _, err = simengine("report", "runs/x")
    assert code == 3
    assert "broken on purpose" in err
    assert err.endswith("internal error; the traceback above is a bug in simengine or in a plugin\n")


def test_an_interrupt_exits_with_130(simengine, monkeypatch):
    def interrupted(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("simengine.api.report", interrupted)
    assert simengine("report", "runs/x") == (130, "", "simengine: interrupted\n")


def test_a_reader_that_leaves_is_no_error():
    command = [sys.executable, "-m", "simengine", "plugins", "list", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
