"""spi-dash detector: hands over to the detector, which needs torch and may not be installed."""

import click

FROM = "spi_dash.detector.commands"
EXTRA = ("torch", "numpy", "scipy")  # what only the detector needs


@click.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    options_metavar="COMMAND",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARGS]...")
@click.pass_context
def detector(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """Train, try and run the insect detector (needs torch)."""
    import importlib

    try:
        group: click.Command = importlib.import_module(FROM).detector
        with group.make_context("detector", list(arguments), parent=ctx.parent) as inner:
            group.invoke(inner)
    except ModuleNotFoundError as error:
        if error.name == FROM:
            raise click.ClickException("this version of Spi Dash has no detector") from None
        if (error.name or "").partition(".")[0] not in EXTRA:
            raise
        raise click.ClickException(f"the detector needs {error.name}: pip install 'spi-dash[detector]'") from None
