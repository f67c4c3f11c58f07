"""All rules, by topic and by id."""

from pipelines.rules.brought import BROUGHT
from pipelines.rules.check import CHECK, DOCTOR
from pipelines.rules.entry import Rule
from pipelines.rules.machine import MACHINE
from pipelines.rules.masks import MASKS
from pipelines.rules.pictures import PICTURES
from pipelines.rules.settings import SETTINGS

TOPICS: dict[str, dict[str, Rule]] = {
    "Pictures and keywords": PICTURES,
    "Masks, labels and predictions": MASKS,
    "Addresses, files of other programs, and reports": BROUGHT,
    "What s4 check finds besides": CHECK,
    "Weights and the machine": MACHINE,
    "What s4 doctor finds": DOCTOR,
    "Commands, settings and places": SETTINGS,
}
"""The rules of each topic, in the order of docs/rules.md."""
RULES: dict[str, Rule] = {name: rule for topic in TOPICS.values() for name, rule in topic.items()}
"""Every rule by its id."""
