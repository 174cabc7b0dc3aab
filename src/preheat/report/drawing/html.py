"""Pages that stand alone: one HTML text with style, scripts and pictures inside, light and dark."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from preheat.report.drawing.style import css_variables

_HERE = "preheat.report.drawing"


def page(
    package: str,
    template: str,
    *,
    styles: Sequence[str] = (),
    scripts: Sequence[str] = (),
    filters: Mapping[str, Callable[..., Any]] | None = None,
    **values: Any,
) -> str:
    """The template of a package, filled with `values`. styles, scripts: the package's own, after those that
    all pages share."""
    environment = Environment(
        loader=FunctionLoader(lambda name: asset(_HERE if name == "head.html" else package, name)),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters or {})
    css = [asset(_HERE, "page.css"), *(asset(package, name) for name in styles)]
    js = [asset(_HERE, "theme.js"), *(asset(package, name) for name in scripts)]
    return environment.get_template(template).render(
        css=Markup("".join(css)),
        js=Markup("\n".join(js)),
        light=Markup(css_variables("light")),
        dark=Markup(css_variables("dark")),
        **values,
    )


def asset(package: str, name: str) -> str:
    """A file that lies in a package, as text."""
    return files(package).joinpath(name).read_text(encoding="utf-8")
