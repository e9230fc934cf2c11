"""Parameters of OpenAI's API that moegate knows and does not offer: refused by name, never silently ignored.

SDKs write many of them with a value that asks for nothing; such a value is accepted.
"""

from dataclasses import dataclass
from typing import Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

UNSUPPORTED: Final = "unsupported_parameter"
"""The type of a pydantic error that is no mistake of form: the door answers with `UnsupportedParameter`."""


@dataclass(frozen=True, eq=False)  # `Annotated` keeps one of equal ones, and False equals 0
class NotOffered:
    """Marks a field: `logit_bias: Annotated[object, NotOffered({})] = None`.

    Attributes:
        nothing: values that ask for nothing; null is always one.
    """

    nothing: tuple[object, ...]

    def __init__(self, *nothing: object) -> None:
        object.__setattr__(self, "nothing", nothing)

    def __get_pydantic_core_schema__(self, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        """How pydantic checks it."""
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """What OpenAPI says of it."""
        return {"enum": [None, *self.nothing], "description": "Not offered: only what asks for nothing is taken"}

    def _check(self, value: object) -> object:
        asks_for_nothing = value is None or any(type(value) is type(nil) and value == nil for nil in self.nothing)
        if not asks_for_nothing:
            raise PydanticCustomError(UNSUPPORTED, "it is not supported")
        return value
