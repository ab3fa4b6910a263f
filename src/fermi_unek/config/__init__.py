"""Settings of every command: typed, bounded, and refused when unknown.

What a setting means, its type, range and default stand here once; the options of the command
line, YAML files, the pages of the documentation and the keywords of `fermi_unek.find_sources`
are made from it. `FindConfig` is what a search needs, `Find` that and the files of the command.
"""

from .base import Config, allowed_range, build, load_yaml
from .catalogs import (
    Associate,
    AssociateConfig,
    Compare,
    CompareConfig,
    Demo,
    Evaluate,
    EvaluateConfig,
    Export,
    Info,
)  # fmt: skip
from .refit import Refit, RefitConfig
from .search import (
    Bin,
    BinConfig,
    Find,
    FindConfig,
    Inject,
    InjectConfig,
    Report,
    ReportConfig,
    SearchSettings,
)  # fmt: skip
from .simulate import Simulate, SimulateConfig
from .train import Train, TrainClassifierConfig, TrainConfig

COMMANDS: tuple[type[Config], ...] = (
    Associate, Bin, Compare, Demo, Evaluate, Export, Find, Info, Inject, Refit, Report, Simulate,
    Train,
)  # fmt: skip
"""Models of the commands of `fermi-unek`, which are called like them."""

__all__ = [
    "COMMANDS", "Associate", "AssociateConfig", "Bin", "BinConfig", "Compare", "CompareConfig",
    "Config", "Demo", "Evaluate", "EvaluateConfig", "Export", "Find", "FindConfig", "Info",
    "Inject", "InjectConfig", "Refit", "RefitConfig", "Report", "ReportConfig", "SearchSettings",
    "Simulate", "SimulateConfig", "Train", "TrainClassifierConfig", "TrainConfig",
    "allowed_range", "build", "load_yaml",
]  # fmt: skip
