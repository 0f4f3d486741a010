"""The command ``pafpose``: ``pafpose train paf.width=8`` does what ``python scripts/train.py`` does."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from types import ModuleType

import pafpose

COMMANDS = (
    "train", "evaluate", "predict", "visualize", "oracle", "report", "check-data", "make-synthetic",
    "convert", "export",
)  # fmt: skip
_RUNNING = "PAFPOSE_COMMAND"  # for the other ranks of a run, which Lightning starts without its sub-command

COMPLETION = """\
_pafpose() {{
  if [ "$COMP_CWORD" = 1 ]; then
    COMPREPLY=($(compgen -W "{commands}" -- "${{COMP_WORDS[1]}}"))
  else
    local line="pafpose-${{COMP_LINE#pafpose }}"  # in one word, as Hydra expects its program
    COMPREPLY=($(COMP_LINE="$line" pafpose "${{COMP_WORDS[1]}}" -sc query=bash 2>/dev/null))
  fi
}}
COMP_WORDBREAKS=${{COMP_WORDBREAKS//=}}
complete -o nospace -o default -F _pafpose pafpose
"""


def main() -> None:
    """Run a sub-command with the arguments after its name."""
    arguments = sys.argv[1:]
    if "LOCAL_RANK" in os.environ and _RUNNING in os.environ and arguments[:1] != [os.environ[_RUNNING]]:
        arguments.insert(0, os.environ[_RUNNING])
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_usage())
    elif arguments[0] in ("-V", "--version"):
        print(f"pafpose {pafpose.__version__}")
    elif arguments == ["completion", "bash"]:
        print(COMPLETION.format(commands=" ".join(COMMANDS)), end="")
    elif arguments[0] in COMMANDS:
        os.environ[_RUNNING] = arguments[0]
        sys.argv[1:] = arguments[1:]
        _module(arguments[0]).main()
    else:
        sys.exit(f"pafpose {arguments[0]}: no such command; choose one of {', '.join(COMMANDS)}")


def _module(command: str) -> ModuleType:
    return import_module(f"pafpose.cli.{command.replace('-', '_')}")


def _usage() -> str:
    width = max(map(len, COMMANDS))
    about = {name: str(_module(name).__doc__).partition(":")[0] for name in COMMANDS}
    return "\n".join(
        [
            "Multi-person 2D pose estimation with part affinity fields.",
            "",
            "usage: pafpose COMMAND [key=value ...]",
            "",
            *(f"  {name:<{width}}  {text}" for name, text in about.items()),
            "",
            "pafpose COMMAND --help lists its keys. --version prints the version.",
            'For completion in bash (zsh: after bashcompinit): eval "$(pafpose completion bash)"',
        ]
    )
