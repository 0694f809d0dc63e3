"""The command line's table is what the commands are."""

import argparse
from importlib import import_module

import pytest

from model_build.__main__ import COMMANDS, parser_for


@pytest.mark.parametrize("package", COMMANDS)
def test_a_package_adds_the_commands_of_the_table(package: str) -> None:
    commands = argparse.ArgumentParser().add_subparsers()
    import_module(f"model_build.{package}.commands").add_commands(commands)
    assert tuple(sorted(commands.choices)) == tuple(sorted(COMMANDS[package]))


def test_each_command_explains_itself() -> None:
    (table,) = [action.choices for action in parser_for("")._actions if isinstance(action.choices, dict)]
    said = [command.description for command in table.values()]
    assert len(set(said)) == len(said)


@pytest.mark.parametrize("command", ["prepare", "train"])
def test_a_negative_seed_is_a_wrong_command_line(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser_for(command).parse_args([command, "a", "b", "--seed", "-1"])
    assert "--seed: -1 is below 0" in capsys.readouterr().err


def test_help_lists_every_command() -> None:
    listed = {
        line.split()[0]
        for line in parser_for("").format_help().splitlines()
        if line.startswith("    ") and line[4] != " "
    }
    assert {name for names in COMMANDS.values() for name in names} <= listed
