"""What ``train`` does: mine hard negatives, let a teacher score them, train by recipes."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from shortlist.cli.extras import training_extra
from shortlist.cli.terminal import UsageError, print_json, say, step_bars
from shortlist.errors import DataError
from shortlist.formats.paths import refuse_existing
from shortlist.models.catalogue import named
from shortlist.models.cross_encoder import CrossEncoder
from shortlist.models.score_cache import ScoreCache
from shortlist.plain_text import counted
from shortlist.search import parse
from shortlist.train.distill import distill
from shortlist.train.examples import Example, read_examples, write_examples
from shortlist.train.negatives import Mining, mine

if TYPE_CHECKING:
    from shortlist.train.from_recipe import Trained
    from shortlist.train.loop import Step
    from shortlist.train.recipe import LateRecipe, PolyRecipe, Recipe

__all__ = ["COMMANDS", "PARTS"]

LINE_S = 60.0
"""How often progress is told where no bar can be drawn."""


def _negatives(arguments: argparse.Namespace) -> None:
    first, last = arguments.ranks
    if arguments.judge_margin and arguments.judge is None:
        raise UsageError("--judge-margin is about what a judge says, and there is no --judge")
    settings = Mining(
        pipelines=tuple(parse(text) for text in arguments.pipelines),
        first=first,
        last=last,
        count=arguments.count,
        margin=arguments.margin,
        depth=arguments.depth,
        max_tokens=arguments.max_tokens,
        judge_margin=arguments.judge_margin,
        seed=arguments.seed,
    )
    output, examples = _examples_for_output(arguments)
    begin = time.perf_counter()
    with step_bars() as steps:
        mined = mine(
            examples,
            settings,
            model=_path(arguments.model),
            keep=_path(arguments.keep),
            judge=None if arguments.judge is None else _judge(arguments.judge),
            memory=arguments.memory,
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


def _examples_for_output(arguments: argparse.Namespace) -> tuple[Path, list[Example]]:
    """Give a file that can be written, and all examples of those that were named."""
    output = Path(arguments.output)
    refuse_existing(output)
    if not output.parent.is_dir():
        raise DataError(f"{output.parent}: no such folder")
    examples = [example for file in arguments.files for example in read_examples(file)]
    if not examples:
        raise DataError(f"{arguments.files[0]}: no example in it")
    return output, examples


def _judge(name: str, cache: ScoreCache | None = None) -> CrossEncoder:
    return CrossEncoder.load(named(name), cache=cache)


def _distill(arguments: argparse.Namespace) -> None:
    if arguments.seed and arguments.count is None:
        raise UsageError("--seed draws negatives, and there is no --count")
    output, examples = _examples_for_output(arguments)
    begin = time.perf_counter()
    with closing(ScoreCache(file=arguments.cache)) as cache, step_bars() as steps:
        teacher = _judge(arguments.teacher, cache)
        progress = steps("scoring", len(examples))
        count = write_examples(
            output,
            distill(
                examples,
                teacher,
                beside=arguments.beside,
                count=arguments.count,
                seed=arguments.seed,
                threads=arguments.threads,
                progress=progress,
            ),
        )
    seconds = time.perf_counter() - begin
    if arguments.json:
        print_json({"examples": count, "seconds": round(seconds, 3)})
        return
    say(f"{counted(count, 'example')} scored by {teacher.settings.name} in {seconds:.0f} s")
    say(f"wrote {output}")


def _base(arguments: argparse.Namespace, named: str) -> Path:
    from shortlist.train.base import base_folder

    if arguments.base:
        return base_folder(arguments.base, Path())
    return base_folder(named, Path(arguments.recipe).parent)


@contextmanager
def _training_bar(steps: int) -> Iterator[Callable[[Step], object]]:
    """Show steps, loss and the time left: as a bar in a terminal, as a line a minute in a log."""
    with tqdm(total=steps, unit=" steps", disable=None, leave=False, dynamic_ncols=True) as bar:
        said = time.monotonic()

        def progress(step: Step) -> None:
            nonlocal said
            bar.update(step.number - bar.n)
            bar.set_postfix_str(f"loss {step.loss:.3f}", refresh=False)
            if bar.disable and time.monotonic() - said >= LINE_S:
                said = time.monotonic()
                left = f"{step.remaining_s / 60:.0f} min left"
                say(f"step {step.number:,} of {step.steps:,}, loss {step.loss:.3f}, {left}")

        yield progress


def _cross_encoder(arguments: argparse.Namespace) -> None:
    with training_extra():
        from shortlist.train.judge import train_cross_encoder
        from shortlist.train.recipe import CrossEncoderRecipe
    found = _by_recipe(arguments, CrossEncoderRecipe, train_cross_encoder)
    if found.goes_on and not arguments.json:
        say("it went on with its base's head")
    if found.first_stage and not arguments.json:
        say(
            f"it learned beside a first stage times {found.first_stage:.3g}: add {1 / found.first_stage:.3g} of it"
            " to that stage's score"
        )


def _bi_encoder(arguments: argparse.Namespace) -> None:
    with training_extra():
        from shortlist.train.bi_encoder import train_bi_encoder
        from shortlist.train.recipe import BiEncoderRecipe
    with step_bars() as steps:
        _by_recipe(arguments, BiEncoderRecipe, train_bi_encoder, cache=_path(arguments.cache), steps=steps)


def _late_interaction(arguments: argparse.Namespace) -> None:
    with training_extra():
        from shortlist.train.heads import train_head
        from shortlist.train.recipe import LateRecipe
    _head(arguments, LateRecipe, train_head)


def _poly_encoder(arguments: argparse.Namespace) -> None:
    with training_extra():
        from shortlist.train.heads import train_head
        from shortlist.train.recipe import PolyRecipe
    _head(arguments, PolyRecipe, train_head)


def _head(
    arguments: argparse.Namespace,
    kind: type[LateRecipe] | type[PolyRecipe],
    train_head: Callable[..., Trained],
) -> None:
    beside = None if arguments.beside is None else named(arguments.beside)
    with step_bars() as steps:
        _by_recipe(arguments, kind, train_head, cache=_path(arguments.cache), beside=beside, steps=steps)


def _path(given: str | None) -> Path | None:
    return None if given is None else Path(given)


def _by_recipe(
    arguments: argparse.Namespace, kind: type[Recipe], train: Callable[..., Trained], **options: object
) -> Any:
    """Read the recipe, train by it, say how it went, and give what the training gave."""
    import torch

    from shortlist.train.recipe import read_recipe

    recipe_file, folder = Path(arguments.recipe), Path(arguments.output)
    refuse_existing(folder)
    recipe: Any = read_recipe(recipe_file, kind)
    base = _base(arguments, recipe.base)
    torch.set_num_threads(arguments.threads or torch.get_num_threads())
    begin = time.perf_counter()
    with _training_bar(recipe.schedule.steps) as progress:
        found = train(
            recipe, base, folder,
            examples_in=recipe_file.parent, memory=arguments.memory, progress=progress, **options,
        )  # fmt: skip
    seconds = time.perf_counter() - begin
    if arguments.json:
        print_json({**asdict(found), "seconds": round(seconds, 3), "model": arguments.output})
        return found
    if found.left_out:
        say(
            f"{counted(found.left_out, 'example')} left out: fewer than {recipe.examples.negatives} negatives"
        )
    steps = counted(recipe.schedule.steps, "step")
    say(f"{counted(found.examples, 'example')}, {steps} in {seconds:.0f} s, loss {found.loss:.3f}")
    say(f"wrote {arguments.output}")
    return found


PARTS: Mapping[str, Callable[[argparse.Namespace], None]] = {
    "negatives": _negatives,
    "distill": _distill,
    "cross-encoder": _cross_encoder,
    "bi-encoder": _bi_encoder,
    "late-interaction": _late_interaction,
    "poly-encoder": _poly_encoder,
}


def _train(arguments: argparse.Namespace) -> None:
    PARTS[arguments.part](arguments)


COMMANDS = {"train": _train}
