from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import gatewright

if TYPE_CHECKING:
    from tests.cli.conftest import Run

COMMANDS = ("serve", "demo", "chat", "generate", "embed", "models", "check-config")


def imported_by(*arguments: str) -> set[str]:
    """Give the top-level packages and the parts of Gatewright that running the command imports."""
    program = (
        "import sys; from gatewright.cli import main\n"
        f"sys.argv = ['gatewright', *{list(arguments)!r}]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print('\\n' + ' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("generate", "--help"), ("serve", "--help")])
def test_starts_without_what_it_does_not_need(arguments: tuple[str, ...]) -> None:
    heavy = {"gatewright.gateway", "litellm", "openai", "aiohttp", "starlette", "uvicorn", "numpy", "yaml"}
    assert imported_by(*arguments) & heavy == set()


def test_version(run: Run) -> None:
    assert run("--version").stdout == f"gatewright {gatewright.__version__}\n"


def test_help_lists_every_command_and_the_exit_codes(run: Run) -> None:
    done = run("--help")
    assert done.returncode == 0
    assert all(command in done.stdout for command in COMMANDS)
    assert "Exit codes" in done.stdout
    assert "\033[" not in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_with_an_example(run: Run, command: str) -> None:
    done = run(command, "--help")
    assert done.returncode == 0
    assert f"gatewright {command}" in done.stdout.partition("Example")[2]


@pytest.mark.parametrize("arguments", [("nope",), ("generate", "--nope"), ("serve", "--port", "x"), ("check-config",)])
def test_wrong_usage_is_2(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).returncode == 2


class TestGenerate:
    def test_text_to_stdout(self, run: Run, config: Path) -> None:
        done = run("generate", "-c", config, "Hello", "there")
        assert (done.stdout, done.stderr, done.returncode) == ("A fine answer.\n", "", 0)

    def test_the_configuration_can_come_from_the_environment(self, run: Run, config: Path) -> None:
        assert run("generate", "Hello", GATEWRIGHT_CONFIG=str(config)).stdout == "A fine answer.\n"

    def test_json_says_what_it_took(self, run: Run, config: Path) -> None:
        answer = json.loads(run("generate", "-c", config, "--json", "Hello").stdout)
        assert answer["text"] == "A fine answer."
        assert (answer["provider"], answer["model"], answer["attempts"]) == ("simulator", "parrot", 1)
        assert answer["usage"]["total_tokens"] > 0
        assert answer["cost_usd"] > 0

    def test_stdin_is_the_prompt(self, run: Run, config: Path) -> None:
        config.write_text("default_model: simulator/echo\n")
        whole = run("generate", "-c", config, "--json", stdin="one two three four")
        parts = run("generate", "-c", config, "--json", "one two", "-", stdin="three four")
        assert json.loads(whole.stdout)["text"] == json.loads(parts.stdout)["text"]

    @pytest.mark.parametrize(
        ("arguments", "code", "says"),
        [
            (("-m", "down", "hi"), 5, "error: simulated failure: rate_limited [simulator/down]\n"),
            (("-m", "slow", "--timeout", "0.2", "hi"), 6, "error: the call did not end within its 0.2 s"),
            (("-m", "parrots", "hi"), 2, "error: there is no model 'parrots'; did you mean 'parrot'?"),
            ((), 2, "error: the prompt is empty\n"),
            (("-c", "/nowhere.yaml", "hi"), 3, "error: /nowhere.yaml: cannot be read: No such file or directory\n"),
        ],
    )
    def test_failures(self, run: Run, config: Path, arguments: tuple[str, ...], code: int, says: str) -> None:
        done = run("generate", "-c", config, *arguments)
        assert done.returncode == code
        assert done.stderr.startswith(says)
        assert done.stderr.count("\n") == 1
        assert done.stdout == ""

    def test_a_key_that_is_missing_is_4(self, run: Run) -> None:
        done = run("generate", "-m", "openai/gpt-4o", "hi")
        assert done.returncode == 4
        assert "OPENAI_API_KEY" in done.stderr

    def test_debug_shows_where(self, run: Run, config: Path) -> None:
        assert "Traceback" in run("generate", "-c", config, "--debug", "-m", "nope", "hi").stderr
        assert "Traceback" in run("--debug", "generate", "-c", config, "-m", "nope", "hi").stderr

    def test_which_model_has_to_be_said_where_it_is_not_clear(self, run: Run, config: Path) -> None:
        config.write_text(config.read_text().replace("default_model: parrot", "", 1))
        done = run("generate", "-c", config, "hi")
        assert done.returncode == 2
        assert "--model: parrot, down, slow" in done.stderr

    @pytest.mark.skipif(not hasattr(os, "openpty"), reason="this system has no terminals to open")
    def test_on_a_terminal_it_streams_and_control_characters_are_left_out(self, config: Path) -> None:
        config.write_text('model_list: [{model_name: m, litellm_params: {model: simulator/m, text: "a\\e[31mb"}}]')
        master, terminal = os.openpty()
        command = [sys.executable, "-m", "gatewright", "generate", "-c", str(config), "hi"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=terminal, check=True, timeout=100)
        os.close(terminal)
        shown = os.read(master, 1000).decode()
        os.close(master)
        assert done.returncode == 0
        assert shown == "a[31mb\r\n"


class TestEmbed:
    def test_json_lines_of_stdin(self, run: Run, config: Path) -> None:
        done = run("embed", "-c", config, "--json", stdin="one\n\ntwo\n")
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert [line["text"] for line in lines] == ["one", "two"]
        assert [line["index"] for line in lines] == [0, 1]
        assert all(sum(part * part for part in line["embedding"]) == pytest.approx(1.0) for line in lines)

    def test_a_table_of_arguments(self, run: Run, config: Path) -> None:
        done = run("embed", "-c", config, "one", "two")
        titles, one, two = (line.split("\t") for line in done.stdout.splitlines())
        assert titles == ["text", "dimensions", "begins", "like the first"]
        assert (one[0], one[1], one[3]) == ("one", "64", "1.000")
        assert two[0] == "two"

    def test_nothing_to_embed(self, run: Run, config: Path) -> None:
        done = run("embed", "-c", config, stdin="\n")
        assert (done.returncode, done.stderr) == (2, "error: there is no text to embed\n")


class TestModels:
    def test_of_a_provider_with_prices(self, run: Run) -> None:
        done = run("models", "gpt-4o-mini", "--provider", "openai", "--json")
        found = {row["model"]: row for row in map(json.loads, done.stdout.splitlines())}
        mini = found["gpt-4o-mini"]
        assert (mini["input_cost_per_million"], mini["output_cost_per_million"]) == (0.15, 0.6)
        assert mini["max_input_tokens"] == 128_000
        assert {row["provider"] for row in found.values()} == {"openai"}

    def test_the_whole_catalogue_is_tab_separated(self, run: Run) -> None:
        lines = run("models").stdout.splitlines()
        assert len(lines) > 1000
        assert {line.count("\t") for line in lines} == {6}

    def test_the_configured_ones(self, run: Run, config: Path) -> None:
        done = run("models", "--configured", "-c", config)
        row = next(line.split("\t") for line in done.stdout.splitlines() if line.startswith("parrot\t"))
        assert row == ["parrot", "simulator", "chat", "8000", "", "1.00", "2.00", "simulator/parrot"]

    def test_a_slip_of_the_provider_is_told(self, run: Run) -> None:
        assert "did you mean --provider anthropic?" in run("models", "--provider", "antropic").stderr


class TestChat:
    def test_a_conversation_over_a_pipe(self, run: Run, config: Path) -> None:
        talk = "hello\n/model slow\n/model parrot\n/clear\n/what\nagain\n/exit\nnever asked\n"
        done = run("chat", "-c", config, stdin=talk)
        assert done.stdout == "A fine answer.\nA fine answer.\n"
        for note in ("asking slow from now on", "what was said is forgotten", "there is no /what"):
            assert note in done.stderr
        assert done.returncode == 0

    def test_an_error_does_not_end_it(self, run: Run, config: Path) -> None:
        done = run("chat", "-c", config, "-m", "down", stdin="hello\n/model parrot\nhello\n")
        assert "error: simulated failure" in done.stderr
        assert done.stdout.strip() == "A fine answer."


def test_the_reader_may_leave(config: Path) -> None:
    shell = f"{sys.executable} -m gatewright models | head -n 1"
    done = subprocess.run(shell, shell=True, capture_output=True, text=True, check=True, timeout=100)
    assert done.stdout.startswith("model\tprovider")
    assert done.stderr == ""
