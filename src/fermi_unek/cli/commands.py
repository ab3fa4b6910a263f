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
def find(given: Find, progress: Progress) -> str:
    from ..pipeline import find_to_file
    from ..report import summary_line

    catalog = find_to_file(
        given.inputs,
        given.output,
        given,
        report=given.report,
        overwrite=given.overwrite,
        progress=progress,
    )
    return f"{summary_line(catalog)}, written to {given.output}"


@command(Demo)
def demo(given: Demo, progress: Progress) -> str:
    from ..pipeline import run_demo

    return run_demo(given.output, overwrite=given.overwrite, progress=progress).summary


@command(Bin)
def bin_photons(given: Bin, progress: Progress) -> str:
    from ..pipeline import bin_to_file
    from ..report import describe_sky

    sky = bin_to_file(
        given.inputs, given.output, given, overwrite=given.overwrite, progress=progress
    )
    return f"{describe_sky(sky)}\nwritten to {given.output}"


@command(Simulate)
def simulate(given: Simulate, progress: Progress) -> str:
    from ..simulate.many import simulate_skies

    written = simulate_skies(given, given.output, overwrite=given.overwrite, progress=progress)
    return "\n".join(map(str, written))


@command(Train)
def train(given: Train, progress: Progress) -> str:
    if given.network == "localizer":
        if given.skies_only:
            raise click.UsageError(
                "--skies-only is for the classifier; a localizer keeps its patches",
                click.get_current_context(),
            )
        settings = load_yaml(given.settings, TrainConfig)
        from ..training.localizer.train import train_localizer

        weights = train_localizer(settings, resume=given.resume, progress=progress)
        return f"weights written to {weights}"
    of_classifier = load_yaml(given.settings, TrainClassifierConfig)
    from ..training.classifier import train as classifier

    if given.skies_only:
        return "\n".join(map(str, classifier.simulate_skies(of_classifier, progress=progress)))
    weights = classifier.train_classifier(of_classifier, resume=given.resume, progress=progress)
    return f"weights written to {weights}"


@command(Inject)
def inject(given: Inject, progress: Progress) -> str:
    from ..pipeline import inject_to_folder

    done = inject_to_folder(
        given.inputs, given.output, given, overwrite=given.overwrite, progress=progress
    )
    return f"{done.to_text()}\nwritten to {given.output}"


@command(Evaluate)
def evaluate(given: Evaluate, _: Progress) -> str:
    from ..evaluate import evaluate_files

    return evaluate_files(
        given.catalog,
        given.truth,
        given.output,
        radius_deg=given.radius,
        overwrite=given.overwrite,
    ).rstrip()


@command(Compare)
def compare(given: Compare, _: Progress) -> str:
    from ..evaluate import compare_files

    return compare_files(
        given.catalog, given.reference, given.radius, given.output, overwrite=given.overwrite
    ).rstrip()


@command(Refit)
def refit(given: Refit, progress: Progress) -> str:
    from ..measure import refit_to_file
    from ..report import summary_line

    after = refit_to_file(
        given.catalog,
        given.inputs,
        given.output,
        given,
        overwrite=given.overwrite,
        progress=progress,
    )
    return f"{summary_line(after)}, refitted, written to {given.output}"


@command(Associate)
def associate(given: Associate, progress: Progress) -> str:
    from ..associate.files import associate_files, summary

    done = associate_files(
        given.catalog,
        given.output,
        given,
        counterparts=given.counterparts,
        overwrite=given.overwrite,
        progress=progress,
    )
    return f"{summary(done)}\nwritten to {given.output}"


@command(Export)
def export(given: Export, _: Progress) -> str:
    from ..catalog.export import export_file

    return export_file(given.catalog, given.output, samp=given.samp, overwrite=given.overwrite)


@command(Report)
def report(given: Report, progress: Progress) -> str:
    from ..pipeline import report_to_folder
    from ..report import summary_line

    made = report_to_folder(
        given.catalog,
        given.inputs,
        given.output,
        given,
        overwrite=given.overwrite,
        progress=progress,
    )
    return f"{summary_line(made)}, report written to {given.output}"


@command(Info)
def info(given: Info, _: Progress) -> str:
    from ..pipeline import describe

    # what was asked for, not a summary that may be left out
    click.echo(describe(given.item))
    return ""
