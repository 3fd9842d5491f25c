"""`plait compare`: every fusion strategy on the same data, one report.

from plait.compare import CompareSettings, compare
compare(CompareSettings(env="tabletop/touch"), Path("outputs/compare"))
"""

from plait.compare.settings import PRESETS, CompareSettings, preset
from plait.compare.sweep import compare

__all__ = ["PRESETS", "CompareSettings", "compare", "preset"]
