"""How each part that lesson 04 builds is compared with the package's."""

from comparing import Comparison

COMPARISONS_04: dict[str, Comparison] = {}
