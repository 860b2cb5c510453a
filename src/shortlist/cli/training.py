"""What ``train`` does: mine hard negatives, train a cross-encoder by a recipe."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from shortlist.cli.terminal import print_json, say, step_bars
from shortlist.errors import DataError, MissingExtraError
from shortlist.formats.paths import refuse_existing
from shortlist.plain_text import counted
from shortlist.search import parse
from shortlist.train.examples import read_examples, write_examples
from shortlist.train.negatives import Mining, mine

__all__ = ["COMMANDS", "PARTS"]

EXTRA = ("onnx", "safetensors", "torch", "transformers")


def _negatives(arguments: argparse.Namespace) -> None:
    output = Path(arguments.output)
    refuse_existing(output)
    first, last = arguments.ranks
    settings = Mining(
        pipelines=tuple(parse(text) for text in arguments.pipelines),
        first=first,
        last=last,
        count=arguments.count,
        margin=arguments.margin,
        depth=arguments.depth,
        max_tokens=arguments.max_tokens,
        seed=arguments.seed,
    )
    if not output.parent.is_dir():
        raise DataError(f"{output.parent}: no such folder")
    examples = [example for file in arguments.files for example in read_examples(file)]
    if not examples:
        raise DataError(f"{arguments.files[0]}: no example in it")
    begin = time.perf_counter()
    with step_bars() as steps:
        mined = mine(
            examples,
            settings,
            model=None if arguments.model is None else Path(arguments.model),
            keep=None if arguments.keep is None else Path(arguments.keep),
            threads=arguments.threads,
            steps=steps,
        )
    if not mined.examples:
        raise DataError(
            f"none of {counted(len(examples), 'query', 'queries')} has its answer and {settings.count} negatives"
            f" among the first {settings.depth}",
            hint="lower --count, or raise --depth",
        )
    count = write_examples(output, mined.examples)
    left_out = {"without_answer": mined.without_answer, "without_negatives": mined.without_negatives}
    seconds = time.perf_counter() - begin
    if arguments.json:
        print_json({"examples": count, "seconds": round(seconds, 3), **left_out})
        return
    say(f"{counted(count, 'example')} with {counted(settings.count, 'negative')} each in {seconds:.0f} s")
    if mined.without_answer:
        left = counted(mined.without_answer, "query", "queries")
        say(f"{left} left out: the answer isn't among the first {settings.depth}")
    if mined.without_negatives:
        left = counted(mined.without_negatives, "query", "queries")
        say(f"{left} left out: too few passages that are no answer")
    say(f"wrote {output}")


def _cross_encoder(arguments: argparse.Namespace) -> None:
    recipe_file, folder = Path(arguments.recipe), Path(arguments.output)
    refuse_existing(folder)
    try:
        import torch

        from shortlist.train.base import base_folder
        from shortlist.train.judge import train_cross_encoder
        from shortlist.train.loop import Step
        from shortlist.train.recipe import read_recipe
    except ModuleNotFoundError as error:
        if error.name not in EXTRA:
            raise
        raise MissingExtraError(
            f"training needs {error.name}", hint="pip install 'shortlist[train]'"
        ) from error

    recipe = read_recipe(recipe_file)
    base = (
        base_folder(arguments.base, Path())
        if arguments.base
        else base_folder(recipe.base, recipe_file.parent)
    )
    torch.set_num_threads(arguments.threads or torch.get_num_threads())
    begin = time.perf_counter()
    with tqdm(
        total=recipe.schedule.steps, unit=" steps", disable=None, leave=False, dynamic_ncols=True
    ) as bar:

        def progress(step: Step) -> None:
            bar.update(step.number - bar.n)
            bar.set_postfix_str(f"loss {step.loss:.3f}", refresh=False)

        found = train_cross_encoder(recipe, base, folder, examples_in=recipe_file.parent, progress=progress)
    seconds = time.perf_counter() - begin
    if arguments.json:
        print_json({**asdict(found), "seconds": round(seconds, 3), "model": str(folder)})
        return
    if found.left_out:
        say(
            f"{counted(found.left_out, 'example')} left out: fewer than {recipe.examples.negatives} negatives"
        )
    steps = counted(recipe.schedule.steps, "step")
    say(f"{counted(found.examples, 'example')}, {steps} in {seconds:.0f} s, loss {found.loss:.3f}")
    if found.first_stage:
        say(
            f"it learned beside a first stage times {found.first_stage:.3g}: add {1 / found.first_stage:.3g} of it"
            " to that stage's score"
        )
    say(f"wrote {folder}")


PARTS: Mapping[str, Callable[[argparse.Namespace], None]] = {
    "negatives": _negatives,
    "cross-encoder": _cross_encoder,
}


def _train(arguments: argparse.Namespace) -> None:
    PARTS[arguments.part](arguments)


COMMANDS = {"train": _train}
