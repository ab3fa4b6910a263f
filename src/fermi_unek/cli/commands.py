"""What each command does with its settings.

Heavy libraries are imported inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import click

from ..config import (
    Associate,
    Bin,
    Compare,
    Demo,
    Evaluate,
    Export,
    Find,
    Info,
    Inject,
    Refit,
    Report,
    Simulate,
    Train,
    TrainClassifierConfig,
    TrainConfig,
    load_yaml,
)
from ..progress import Progress
from .program import command


@command(Find)
def find(job: Find, progress: Progress) -> str:
    from ..pipeline import find_to_file
    from ..report import summary_line

    catalog = find_to_file(
        job.inputs, job.output, job, report=job.report, overwrite=job.overwrite, progress=progress
    )
    return f"{summary_line(catalog)}, written to {job.output}"


@command(Demo)
def demo(job: Demo, progress: Progress) -> str:
    from ..pipeline import run_demo

    return run_demo(job.output, overwrite=job.overwrite, progress=progress).summary


@command(Bin)
def bin_photons(job: Bin, progress: Progress) -> str:
    from ..pipeline import bin_to_file
    from ..report import describe_sky

    sky = bin_to_file(job.inputs, job.output, job, overwrite=job.overwrite, progress=progress)
    return f"{describe_sky(sky)}\nwritten to {job.output}"


@command(Simulate)
def simulate(job: Simulate, progress: Progress) -> str:
    from ..simulate.many import simulate_skies

    written = simulate_skies(job, job.output, overwrite=job.overwrite, progress=progress)
    return "\n".join(map(str, written))


@command(Train)
def train(job: Train, progress: Progress) -> str:
    if job.network == "localizer":
        if job.skies_only:
            raise click.UsageError(
                "--skies-only is for the classifier; a localizer keeps its patches",
                click.get_current_context(),
            )
        settings = load_yaml(job.settings, TrainConfig)
        from ..training.localizer.train import train_localizer

        weights = train_localizer(settings, resume=job.resume, progress=progress)
        return f"weights written to {weights}"
    of_classifier = load_yaml(job.settings, TrainClassifierConfig)
    from ..training.classifier import train as classifier

    if job.skies_only:
        return "\n".join(map(str, classifier.simulate_skies(of_classifier, progress=progress)))
    weights = classifier.train_classifier(of_classifier, resume=job.resume, progress=progress)
    return f"weights written to {weights}"


@command(Inject)
def inject(job: Inject, progress: Progress) -> str:
    from ..pipeline import inject_to_folder

    done = inject_to_folder(job.inputs, job.output, job, overwrite=job.overwrite, progress=progress)
    return f"{done.to_text()}\nwritten to {job.output}"


@command(Evaluate)
def evaluate(job: Evaluate, _: Progress) -> str:
    from ..evaluate import evaluate_files

    return evaluate_files(
        job.catalog, job.truth, job.output, radius_deg=job.radius, overwrite=job.overwrite
    ).rstrip()


@command(Compare)
def compare(job: Compare, _: Progress) -> str:
    from ..evaluate import compare_files

    return compare_files(
        job.catalog, job.reference, job.radius, job.output, overwrite=job.overwrite
    ).rstrip()


@command(Refit)
def refit(job: Refit, progress: Progress) -> str:
    from ..measure import refit_to_file
    from ..report import summary_line

    after = refit_to_file(
        job.catalog, job.inputs, job.output, job, overwrite=job.overwrite, progress=progress
    )
    return f"{summary_line(after)}, refitted, written to {job.output}"


@command(Associate)
def associate(job: Associate, progress: Progress) -> str:
    from ..associate.files import associate_files, summary

    done = associate_files(
        job.catalog,
        job.output,
        job,
        counterparts=job.counterparts,
        overwrite=job.overwrite,
        progress=progress,
    )
    return f"{summary(done)}\nwritten to {job.output}"


@command(Export)
def export(job: Export, _: Progress) -> str:
    from ..catalog.export import export_file

    return export_file(job.catalog, job.output, samp=job.samp, overwrite=job.overwrite)


@command(Report)
def report(job: Report, progress: Progress) -> str:
    from ..pipeline import report_to_folder
    from ..report import summary_line

    made = report_to_folder(
        job.catalog, job.inputs, job.output, job, overwrite=job.overwrite, progress=progress
    )
    return f"{summary_line(made)}, report written to {job.output}"


@command(Info)
def info(job: Info, _: Progress) -> str:
    from ..pipeline import describe

    # what was asked for, not a summary that may be left out
    click.echo(describe(job.item))
    return ""
