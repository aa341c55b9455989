import pytest
from pydantic import BaseModel, Field, ValidationError

from gatewright.errors import ConfigurationError
from gatewright.layers.settings import Settings


class Inner(Settings):
    seconds: float = Field(default=1.0, gt=0)


class Outer(Settings):
    inner: Inner = Inner()


class Foreign(BaseModel):
    inner: Inner


@pytest.mark.parametrize("make", [lambda: Inner(seconds=0), lambda: Inner.model_validate({"seconds": 0})])
def test_a_wrong_value_is_a_configuration_error_that_names_the_field_and_the_value(make):
    with pytest.raises(ConfigurationError, match=r"Inner\.seconds = 0: .*greater than 0") as caught:
        make()
    assert caught.value.param == "seconds"


def test_a_name_that_does_not_exist_is_refused():
    with pytest.raises(ConfigurationError, match=r"Inner\.second = 1"):
        Inner(second=1)  # pyright: ignore[reportCallIssue]


def test_inside_another_configuration_the_inner_message_is_kept():
    with pytest.raises(ConfigurationError, match=r"Inner\.seconds = -1"):
        Outer.model_validate({"inner": {"seconds": -1}})


def test_inside_a_foreign_model_it_is_an_ordinary_validation_error_with_the_path():
    with pytest.raises(ValidationError) as caught:
        Foreign.model_validate({"inner": {"seconds": -1}})
    assert caught.value.errors()[0]["loc"] == ("inner",)


def test_it_is_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        Inner().seconds = 2  # pyright: ignore[reportAttributeAccessIssue]
