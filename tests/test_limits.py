"""The limits: every one can be set by its variable, and nonsense is refused with the variable's name."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from espcn_demo.errors import InputError
from espcn_demo.limits import GENEROUS, Limits, markdown, variable

ROOT = Path(__file__).parent.parent


def test_every_limit_has_a_variable_and_a_line_in_the_docstring():
    for index, field in enumerate(fields(Limits)):
        limits = Limits.from_environment({variable(field.name): str(index + 7)})
        assert getattr(limits, field.name) == index + 7
        assert type(getattr(limits, field.name)).__name__ == field.type
        assert f"    {field.name} " in Limits.__doc__


def test_nothing_set_gives_the_defaults():
    assert Limits.from_environment({}) == Limits()
    assert Limits.from_environment({"ESPCN_PIXELS": " "}) == Limits()


@pytest.mark.parametrize(
    ("text", "message"), [("0", "greater than zero"), ("-3", "greater"), ("many", "whole number"), ("1.5", "whole")]
)
def test_nonsense_is_refused(text, message):
    with pytest.raises(InputError, match=f"ESPCN_PIXELS.*{message}"):
        Limits.from_environment({"ESPCN_PIXELS": text})


def test_not_a_number_is_refused():
    with pytest.raises(InputError, match="ESPCN_SECONDS"):
        Limits.from_environment({"ESPCN_SECONDS": "nan"})


def test_the_command_line_allows_more_than_the_page():
    page = Limits().as_dict()
    assert all(value >= page[name] for name, value in GENEROUS.as_dict().items())


def test_the_readme_tells_of_every_variable():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert markdown() in readme
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "espcn_demo").rglob("*.py"))
    assert set(re.findall(r"ESPCN_[A-Z_]*[A-Z]", sources)) <= set(re.findall(r"ESPCN_[A-Z_]*[A-Z]", readme))
