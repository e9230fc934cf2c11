"""The base of every part of the settings: it refuses values that pydantic accepts and nobody can mean."""

from typing import Any, Final, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

_LONGEST_S: Final = 7 * 86400.0
_MOST: Final = 2**40  # of anything that is counted; beyond it somebody's finger slipped


class Sane(BaseModel):
    """Refuses a truth value where a number belongs (pydantic reads `true` as 1), and sizes and times beyond reason."""

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401  # of any field
        annotation = cls.model_fields[info.field_name or ""].annotation
        if isinstance(value, bool) and {annotation, *get_args(annotation)} & {int, float}:
            raise ValueError(f"a number is needed here, not {str(value).lower()}")
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _within_reason(cls, value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401  # of any field
        if isinstance(value, int | float) and not isinstance(value, bool):
            per_second = {"s": 1, "ms": 1000}.get((info.field_name or "").rsplit("_", 1)[-1])
            most = _LONGEST_S * per_second if per_second else _MOST
            if not -_MOST <= value <= most:
                raise ValueError(f"at most {most:.0f}")
        return value


class Section(Sane):
    """A part of the tree: frozen, and without names or numbers that mean nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
