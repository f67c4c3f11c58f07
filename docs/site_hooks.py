"""What `mkdocs` does differently for this project, so that one text serves the repository and the site.

- A link that leaves `docs/` leads to a copy of the file on the site. A folder gets a page that lists its files.
- The search takes `file_worker.js`, where Material takes a script of another host.
- Lists are nested by two spaces, as on a page of the repository. Python-Markdown asks for four otherwise.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from markdown import Markdown
from markdown.extensions import Extension
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
COPIES = "repository"
"""Folder of the site that holds the copies."""
_WORKER = "https://unpkg.com/iframe-worker/shim"
_LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)\s]*)?\))")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Let lists be nested by two spaces."""
    config.markdown_extensions.insert(0, TwoSpaces())  # type: ignore[arg-type]  # the library takes objects too
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files outside of `docs/` that a page links to, and those that their pages link to."""
    pages, known = list(files.documentation_pages()), set[str]()
    while pages:
        page = pages.pop()
        for source in (leads_to(page.src_uri, link) for link in links_of(page)):
            if source and is_outside(source) and source not in known:
                known.add(source)
                files.append(copy := copy_of(source, config))
                pages += [copy] if copy.is_documentation_page() else []
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Lead links that leave `docs/` to the copies."""
    return _LINK.sub(lambda found: found[1] + site_link(page.file.src_uri, found[2]) + found[3], markdown)


def on_post_page(output: str, page: Page, **_: Any) -> str:
    """Take the worker of this project."""
    return output.replace(_WORKER, posixpath.relpath("file_worker.js", posixpath.dirname(page.file.dest_uri) or "."))


def on_post_template(output_content: str, template_name: str, **_: Any) -> str:
    """Take the worker of this project on the page that a server shows for addresses that lead nowhere."""
    return output_content.replace(_WORKER, "/file_worker.js")


def links_of(file: File) -> list[str]:
    """Return the targets of all links of a page."""
    return [found[2] for found in _LINK.finditer(file.content_string)]


def leads_to(page: str, link: str) -> str | None:
    """Return the path from the root of the repository that a link leads to; None for an address on the web.

    Args:
        page: Path of the page from `docs/`; that of a copy begins with `COPIES`.
        link: Target without the part behind `#`.
    """
    if re.match(r"[a-z][a-z0-9+.-]*:|/", link):
        return None
    page = page.removeprefix(f"{COPIES}/") if page.startswith(f"{COPIES}/") else f"docs/{page}"
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), link))


def is_outside(source: str | None) -> bool:
    """Tell whether a path from the root of the repository is one of a file or folder outside of `docs/`."""
    return source is not None and not source.startswith(("docs/", "../")) and (ROOT / source).exists()


def site_link(page: str, link: str) -> str:
    """Return the target of a link on the site; the arguments are those of `leads_to`."""
    source = leads_to(page, link)
    if source is None or not (is_outside(source) or page.startswith(f"{COPIES}/")):
        return link
    target = address(source) if is_outside(source) else source.removeprefix("docs/")
    return posixpath.relpath(target, posixpath.dirname(page) or ".")


def address(source: str) -> str:
    """Return the path on the site, from `docs/`, of a file or folder of the repository."""
    path = ROOT / source
    return f"{COPIES}/{source}/files.md" if path.is_dir() else f"{COPIES}/{source}"


def copy_of(source: str, config: MkDocsConfig) -> File:
    """Return a file of the repository for the site; a folder becomes a page with the first lines of its files."""
    path = ROOT / source
    if not path.is_dir():
        return File.generated(config, address(source), abs_src_path=str(path))
    rows = [f"| `{file.name}` | {first_line(file)} |" for file in sorted(path.iterdir()) if file.is_file()]
    page = [f"# {source}", "", f"The folder `{source}` of the repository:", "", "| file | first line |", "|---|---|"]
    return File.generated(config, address(source), content="\n".join([*page, *rows, ""]))


def first_line(path: Path) -> str:
    """Return what the first line of a text says, without marks of comments; nothing for other files."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        return ""
    said = (line.strip('#"! \t') for line in lines if not line.startswith("#!"))
    return next((line for line in said if line), "").replace("|", "\\|")


class TwoSpaces(Extension):
    """Makes two spaces one step of nested lists."""

    def extendMarkdown(self, md: Markdown) -> None:
        """Build the parser anew with another length of a step; this extension must be the first."""
        md.tab_length = 2
        md.build_parser()
