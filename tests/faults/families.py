"""All families of faults, in the order of the report."""

from tests.faults import damage, hostile, inject, kills, limits, many, power
from tests.faults.cases import Family

__all__ = ["FAMILIES"]

FAMILIES: list[Family] = [
    *kills.FAMILIES,
    *power.FAMILIES,
    *inject.FAMILIES,
    *limits.FAMILIES,
    *damage.FAMILIES,
    *many.FAMILIES,
    *hostile.FAMILIES,
]
