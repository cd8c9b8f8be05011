"""How each part that lesson 06 builds is compared with the package's."""

from comparing import Comparison

COMPARISONS_06: dict[str, Comparison] = {}
