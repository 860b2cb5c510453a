"""All families of faults, in the order of the report."""

from tests.faults import damage, inject, kills, limits, many, power
from tests.faults.cases import Family

__all__ = ["FAMILIES"]

FAMILIES: list[Family] = [*inject.FAMILIES, *power.FAMILIES, *kills.FAMILIES, *damage.FAMILIES, *many.FAMILIES, *limits.FAMILIES]
