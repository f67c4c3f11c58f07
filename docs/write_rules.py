"""Write docs/rules.md: every rule that a message may name, with an example and a remedy, from `pipelines.rules`.

Run `python docs/write_rules.py` after a change of a rule. With `--check` nothing is written: the exit code is 1 if the
page is out of date.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from pipelines.rules.entry import Rule
from pipelines.rules.table import TOPICS

PAGE = Path(__file__).parent / "rules.md"
_INTRODUCTION = """\
# Troubleshooting by rule

Every error that you can mend ends in the id of a rule in brackets, such as `[image-damaged]`, and so do many warnings.
This page tells for each rule what is wrong, how its message begins, and what to do. `python docs/write_rules.py` writes
it.

An error that ends without an id is a fault of s4, or the end by Ctrl-C. After a fault, s4 names a crash file. Please
report it.
"""


def page() -> str:
    """Return the whole page: a section for each topic, and in it the rules by the alphabet."""
    sections = [
        "\n".join([f"\n## {topic}\n", *(_entry(name, rules[name]) for name in sorted(rules))])
        for topic, rules in TOPICS.items()
    ]
    return _INTRODUCTION + "".join(sections)


def _entry(name: str, rule: Rule) -> str:
    return f"### {name}\n\n{rule.meaning}\n\n> {rule.example} \\[{name}\\]\n\nRemedy: {rule.remedy}\n"


def main() -> None:
    """Write the page, or compare it with what is there."""
    if sys.argv[1:] != ["--check"]:
        PAGE.write_text(page(), encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != page():
        sys.exit(f"{PAGE.name}: out of date; run docs/write_rules.py")


if __name__ == "__main__":
    main()
