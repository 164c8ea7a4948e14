"""``completion``: for the shell's start-up file."""

import click
from click.shell_completion import get_completion_class


@click.command(
    epilog="""\b
Example, for ~/.bashrc:
  eval "$(ocipkg-async completion bash)"
"""
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script for a shell."""
    kind = get_completion_class(shell)
    if kind is None:
        raise click.ClickException(f"there is no completion for {shell}")
    root = context.find_root().command
    click.echo(kind(root, {}, "ocipkg-async", "_OCIPKG_ASYNC_COMPLETE").source())


COMMAND = completion
