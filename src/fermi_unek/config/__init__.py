"""Settings of every command: typed, bounded, and refused when unknown.

What a setting means, its type, range and default stand here once; the options of the command
line, YAML files, the pages of the documentation and the keywords of `fermi_unek.find_sources`
are made from it. `FindConfig` is what a search needs, `Find` that and the files of the command.
"""

from .associate import Associate, AssociateConfig
from .base import Config, Option, allowed_range, build, load_yaml
from .bin import Bin, BinConfig
from .evaluate import Compare, CompareConfig, Evaluate, EvaluateConfig
from .files import Demo, Export, Info
from .find import Find, FindConfig, SearchSettings
from .inject import Inject, InjectConfig
from .refit import Refit, RefitConfig
from .report import Report, ReportConfig
from .simulate import Simulate, SimulateConfig
from .train import Train, TrainClassifierConfig, TrainConfig

__all__ = [
    "Associate",
    "AssociateConfig",
    "Bin",
    "BinConfig",
    "Compare",
    "CompareConfig",
    "Config",
    "Demo",
    "Evaluate",
    "EvaluateConfig",
    "Export",
    "Find",
    "FindConfig",
    "Info",
    "Inject",
    "InjectConfig",
    "Option",
    "Refit",
    "RefitConfig",
    "Report",
    "ReportConfig",
    "SearchSettings",
    "Simulate",
    "SimulateConfig",
    "Train",
    "TrainClassifierConfig",
    "TrainConfig",
    "allowed_range",
    "build",
    "load_yaml",
]
