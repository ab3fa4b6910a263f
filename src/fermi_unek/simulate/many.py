"""Many skies at a time: one seed, one sky, one task."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from ..config import SimulateConfig
from ..outputs import check_folder
from ..parallel import map_tasks
from ..progress import Progress, silent
from .command import output_names, simulate_to_dir


def simulate_skies(
    config: SimulateConfig,
    out_dir: str | Path,
    *,
    overwrite: bool = False,
    progress: Progress = silent,
) -> tuple[Path, ...]:
    """The skies of a configuration, on as many workers as it asks for.

    One sky is written into `out_dir` itself, several into folders ``sky00000`` and so on in it,
    named by their seeds. A sky is the same whatever the number of workers.

    Parameters
    ----------
    config : SimulateConfig
    out_dir : path
        Made when it does not exist; the folder above must. A cluster's workers must see it.
    overwrite : bool
    progress : Progress

    Returns
    -------
    tuple of Path
        All files written, sky by sky.

    Raises
    ------
    OutputError, InputError, ConfigError
        As `simulate_to_dir`; outputs of all skies are checked before the work starts. Skies that
        were finished before an error stay.
    """
    if config.skies == 1 and config.scheduler is None:
        return simulate_to_dir(config, out_dir, overwrite=overwrite, progress=progress)
    # workers may run in another folder
    out_dir = Path(out_dir).absolute()
    tasks = _tasks(config, out_dir)
    check_folder(out_dir, [], overwrite)
    for sky_config, folder in tasks if out_dir.exists() else []:
        check_folder(folder, output_names(sky_config), overwrite)
    if config.skies > 1:
        out_dir.mkdir(exist_ok=True)
    try:
        written = map_tasks(
            partial(_simulate, overwrite=overwrite),
            tasks,
            workers=config.workers,
            scheduler=config.scheduler,
            label="skies",
            progress=progress,
        )
    finally:
        # what a process that died has begun
        for _, folder in tasks:
            for left in folder.parent.glob(f".{folder.name}.*.part"):
                shutil.rmtree(left, ignore_errors=True)
    return tuple(path for paths in written for path in paths)


_Task = tuple[SimulateConfig, Path]


def _tasks(config: SimulateConfig, out_dir: Path) -> list[_Task]:
    """Configuration and folder of each sky."""
    files = {
        name: None if path is None else path.absolute()
        for name in ("isotropic", "exposure", "caldb")
        for path in [getattr(config, name)]
    }
    sky_config = config.model_copy(update={**files, "skies": 1, "scheduler": None})
    if config.skies == 1:
        return [(sky_config, out_dir)]
    seeds = range(config.seed, config.seed + config.skies)
    return [(sky_config.model_copy(update={"seed": s}), out_dir / f"sky{s:05d}") for s in seeds]


def _simulate(task: _Task, overwrite: bool) -> tuple[Path, ...]:
    config, folder = task
    return simulate_to_dir(config, folder, overwrite=overwrite)
