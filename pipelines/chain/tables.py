"""The tables of a chain's file, and the settings of stages that are built from them."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pipelines.config import STAGES, RunConfig, StageConfig
from pipelines.config.setting import build, settings_of, type_of
from pipelines.config.toml_file import from_toml, tables_in
from pipelines.errors import ConfigError
from pipelines.stores.paths import is_address

Config = TypeVar("Config", bound=StageConfig)


class Tables:
    """The tables of the file that belong to stages of the chain.

    Attributes:
        config: Settings of the chain.
        given: What each table gives, by the command of its stage.
    """

    def __init__(self, config: RunConfig, stages: Iterable[type[StageConfig]]) -> None:
        """Read and check the tables.

        Args:
            config: Settings of the chain; they name the file.
            stages: Settings of the stages that the chain may have. A table of any other command is left alone.

        Raises:
            ConfigError: The file cannot be read, or a table has a setting that cannot be used.
        """
        present = tables_in(config.file)
        self.config = config
        self.given: dict[str, Mapping[str, Any]] = {
            cls.command: from_toml(cls, config.file, STAGES) for cls in stages if cls.command in present
        }
        for command, table in self.given.items():
            _refuse_addresses(f"{config.file}: [{command}]", table)

    def has(self, cls: type[StageConfig]) -> bool:
        """Return whether the file has a table of a stage."""
        return cls.command in self.given

    def gives(self, cls: type[StageConfig], *names: str) -> bool:
        """Return whether the table of a stage gives any of some settings a value; `false` is none."""
        table = self.given.get(cls.command, {})
        return any(table.get(name) not in (None, False) for name in names)

    def merged(self, cls: type[StageConfig], wired: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings of a stage: wired < given in its table < the same for every stage."""
        # The page is on by default, and off with false; or it is a path, and off without one.
        off = False if type_of(settings_of(cls)["report"]) is bool else None
        quiet = {} if self.config.report else {"report": off}
        return {**wired, **self.given[cls.command], **self.config.for_every_stage, **quiet}

    def build(self, cls: type[Config], values: Mapping[str, Any]) -> Config:
        """Return settings made of values.

        Raises:
            ConfigError: A value cannot be used; the message names the file and the table.
        """
        try:
            return build(cls, values).located()
        except ConfigError as error:
            raise ConfigError(f"{self.config.file}: [{cls.command}] {error.message}", error.rule) from error


def _refuse_addresses(where: str, table: Mapping[str, Any]) -> None:
    """Refuse addresses: a chain tells by the files on this machine what is still to be done."""
    for name, value in table.items():
        for one in value if isinstance(value, tuple) else (value,):
            if is_address(one):
                raise ConfigError(
                    f"{where} {name}: the address {one} given, a path on this machine expected in a chain; start the "
                    "commands one by one, or copy the files to this machine",
                    "address-unsupported",
                )
