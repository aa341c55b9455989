from __future__ import annotations

import os

import pytest
import typer

from gatewright import errors
from gatewright.cli.exits import code_of, reported


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ProviderUnavailable("down"), 1),
        (errors.ContentPolicyViolation("refused"), 1),
        (ValueError("a bug"), 1),
        (errors.BadRequest("wrong"), 2),
        (errors.ContextWindowExceeded("too long"), 2),
        (errors.NotFound("no such model"), 2),
        (errors.ConfigurationError("wrong"), 3),
        (errors.MissingExtra("the server", "server"), 3),
        (errors.AuthenticationFailed("no key"), 4),
        (errors.PermissionDenied("not paid"), 4),
        (errors.RateLimited("slow down"), 5),
        (errors.ProviderTimeout("slow"), 6),
        (errors.DeadlineExceeded("slow"), 6),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_error_has_its_exit_code(error: BaseException, code: int) -> None:
    assert code_of(error) == code


def ends_with(error: BaseException) -> int:
    @reported
    def command() -> None:
        raise error

    with pytest.raises(typer.Exit) as ended:
        command()
    return ended.value.exit_code


def test_an_error_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with(errors.RateLimited("slow\ndown", provider="p", model="m")) == 5
    out, err = capsys.readouterr()
    assert (out, err) == ("", "error: slow down [p/m]\n")


def test_what_is_no_error_of_the_gateway_is_told_without_its_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with(RuntimeError("with sk-abcdefghijklmnop1234 in it")) == 1
    err = capsys.readouterr().err
    assert err == "error: RuntimeError: with *** in it (--debug shows where)\n"


def test_an_interrupt_leaves_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "\n"


def test_colours_are_not_for_files(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "TERM", "xterm-256color")
    ends_with(errors.BadRequest("[red]not markup[/]"))
    assert capsys.readouterr().err == "error: [red]not markup[/]\n"
