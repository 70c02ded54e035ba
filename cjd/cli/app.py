"""`cjd`: every command of the program. Heavy libraries are imported by the command that needs them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from cjd import __version__

app = typer.Typer(
    name="cjd",
    help="Distil a text-to-image teacher into a cascaded student of your own, look at it, serve it.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused by policy, 75 try again, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
recipes = typer.Typer(help="List, show and check recipes.", no_args_is_help=True)
app.add_typer(recipes, name="recipe")

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="The run: a folder or an s3:// address.")]
RecipeOption = Annotated[
    Optional[str],
    typer.Option("--recipe", "-r", metavar="NAME|FILE", help="Needed to start a run; an existing run knows its own."),
]
Overrides = Annotated[
    Optional[list[str]],
    typer.Argument(metavar="[key=value]…", help="Changes to the recipe, as in generate.guidance_scale=5."),
]
LogJson = Annotated[bool, typer.Option("--log-json", help="Progress as JSON lines on standard output.")]

_log_json_everywhere = False


def _version(value: bool) -> None:
    if value:
        print(f"cjd {__version__}")
        raise typer.Exit()


@app.callback()
def _global(
    log_json: LogJson = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say it.")] = False,
) -> None:
    global _log_json_everywhere
    _log_json_everywhere = log_json


def _stage(stage: str, run: str, recipe: str | None, overrides: list[str] | None, log_json: bool, **options) -> None:
    from cjd.cli.stages import run_stage

    run_stage(stage, run, recipe, overrides or (), log_json or _log_json_everywhere, **options)


@app.command()
def distill(run: RunArgument, overrides: Overrides = None, recipe: RecipeOption = None, log_json: LogJson = False):
    """The whole chain: prompts, generate, prepare, train, evaluate, card."""
    _stage("distill", run, recipe, overrides, log_json)


@app.command()
def prompts(
    run: RunArgument,
    overrides: Overrides = None,
    recipe: RecipeOption = None,
    imports: Annotated[
        Optional[list[str]],
        typer.Option("--import", metavar="FILE", help="Your own prompts: txt, csv, jsonl or parquet. Repeatable."),
    ] = None,
    log_json: LogJson = False,
):
    """Compose and import prompts, normalised and screened."""
    _stage("prompts", run, recipe, overrides, log_json, imports=tuple(imports or ()))


@app.command()
def generate(run: RunArgument, overrides: Overrides = None, recipe: RecipeOption = None, log_json: LogJson = False):
    """Let the teacher paint every prompt, and screen what it painted."""
    _stage("generate", run, recipe, overrides, log_json)


@app.command()
def prepare(run: RunArgument, overrides: Overrides = None, recipe: RecipeOption = None, log_json: LogJson = False):
    """Bring samples to the cascade's sizes and prompts to embeddings."""
    _stage("prepare", run, recipe, overrides, log_json)


@app.command()
def train(
    run: RunArgument,
    overrides: Overrides = None,
    recipe: RecipeOption = None,
    only: Annotated[
        Optional[str], typer.Option("--only", metavar="STAGE", help="Train one stage of the cascade.")
    ] = None,
    log_json: LogJson = False,
):
    """Train the cascade, stage by stage."""
    _stage("train", run, recipe, overrides, log_json, only=only)


@app.command()
def evaluate(run: RunArgument, overrides: Overrides = None, recipe: RecipeOption = None, log_json: LogJson = False):
    """Measure the student against its teacher; writes evaluation/report.html."""
    _stage("evaluate", run, recipe, overrides, log_json)


@app.command()
def card(run: RunArgument, overrides: Overrides = None, recipe: RecipeOption = None, log_json: LogJson = False):
    """Write the student's model card from what the run recorded."""
    _stage("card", run, recipe, overrides, log_json)


@app.command()
def finetune(run: RunArgument, overrides: Overrides = None, recipe: RecipeOption = None, log_json: LogJson = False):
    """Make a teacher: pictures, its VAE, its U-Net, and the judge."""
    _stage("finetune", run, recipe, overrides, log_json)


@app.command()
def sample(
    run: RunArgument,
    prompt: Annotated[str, typer.Argument(help="What to paint.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="A PNG; with -n, FILE-2.png and so on.")
    ],
    seed: Annotated[int, typer.Option("--seed", min=0, help="Equal seeds give equal pictures.")] = 0,
    n: Annotated[int, typer.Option("-n", "--n", min=1, max=64, help="How many pictures.")] = 1,
    guidance_scale: Annotated[Optional[float], typer.Option("--guidance-scale", min=0, max=50)] = None,
    steps: Annotated[Optional[int], typer.Option("--steps", min=1, max=1000, help="Denoising steps per stage.")] = None,
    negative_prompt: Annotated[Optional[str], typer.Option("--negative-prompt")] = None,
    device: Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1, …")] = "cpu",
):
    """Paint one prompt with the student."""
    from cjd.cli.report import reporting
    from cjd.cli.sample import sample_to_files
    from cjd.serving.schemas import PictureRequest

    with reporting():
        request = PictureRequest(prompt, negative_prompt or "", seed, n, guidance_scale, steps)
        sample_to_files(run, request, output, device)


@app.command()
def serve(
    run: RunArgument,
    host: Annotated[str, typer.Option("--host", help="Loopback unless you say otherwise.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8000,
    device: Annotated[str, typer.Option("--device", help="cpu or cuda.")] = "cpu",
):
    """Serve the student behind the OpenAI Images API, on this machine."""
    from cjd.cli.quiet import quiet
    from cjd.cli.report import reporting

    with reporting():
        quiet()
        from cjd.serving.deployments import serve_here

        serve_here({"run": run, "device": device}, host, port, say=lambda text: print(text, flush=True))


@app.command()
def status(
    run: RunArgument,
    watch: Annotated[bool, typer.Option("--watch", help="Again every two seconds, until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
):
    """How far a run is; also from a second terminal while it works."""
    from cjd.cli.report import reporting
    from cjd.cli.status import show_status

    with reporting():
        show_status(run, watch, as_json)


@recipes.command("list")
def recipe_list() -> None:
    """The recipes that come with the program."""
    from cjd.cli.recipes import list_recipes
    from cjd.cli.report import reporting

    with reporting():
        list_recipes()


@recipes.command("show")
def recipe_show(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE")],
    overrides: Overrides = None,
    resolved: Annotated[bool, typer.Option("--resolved", help="Every value, defaults too, as JSON.")] = False,
) -> None:
    """A recipe's text."""
    from cjd.cli.recipes import show_recipe
    from cjd.cli.report import reporting

    with reporting():
        show_recipe(name, overrides or (), resolved)


@recipes.command("check")
def recipe_check(name: Annotated[str, typer.Argument(metavar="NAME|FILE")], overrides: Overrides = None) -> None:
    """Say whether a recipe is right, and its fingerprint."""
    from cjd.cli.recipes import check_recipe
    from cjd.cli.report import reporting

    with reporting():
        check_recipe(name, overrides or ())


def main(arguments: list[str] | None = None) -> int:
    """Run a command line; the exit code. `arguments` default to this process's own."""
    try:
        app(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    return 0


def job(command: str) -> int:
    """What a file in `jobs/` does: `cjd <command>` with the job's own arguments."""
    return main([command, *sys.argv[1:]])
