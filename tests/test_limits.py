"""The limits: every one can be set by its variable, and nonsense is refused with the variable's name."""

from dataclasses import fields

import pytest

from espcn_demo.errors import InputError
from espcn_demo.limits import GENEROUS, Limits, variable


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
