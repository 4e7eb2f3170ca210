"""Case files to start from: one commented anatomy, and a treatment each."""

from __future__ import annotations

from importlib import resources

DEFAULT = "minimal"
_ANATOMY = "anatomy.toml"


def templates() -> dict[str, str]:
    """Name -> text of a complete case; its first line is a comment that says what it is."""
    folder = resources.files("thermal").joinpath("data", "templates")
    texts = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir() if path.name.endswith(".toml")}
    anatomy = texts.pop(_ANATOMY)
    return {name.removesuffix(".toml"): _join(text, anatomy) for name, text in sorted(texts.items())}


def _join(treatment: str, anatomy: str) -> str:
    title, body = treatment.split("\n", 1)
    return f'{title}\nschema_version = 1\ntitle = "{title.lstrip("# ")}"\n\n{anatomy}\n{body}'
