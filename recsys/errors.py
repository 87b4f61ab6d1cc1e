"""The errors a user may see. Each message names the value at fault and the remedy."""


class RecsysError(Exception):
    """Base of every error this project raises on purpose."""


class SettingsError(RecsysError):
    """A setting is missing or malformed."""


class ContractError(RecsysError):
    """A table or file does not have the columns or types its contract asks for."""


class SqlError(RecsysError):
    """A SQL text cannot be run with one meaning on both engines, or failed when run."""


class WarehouseError(RecsysError):
    """A table or partition is missing, or could not be written."""


class QualityError(RecsysError):
    """A critical expectation failed; nothing downstream may run."""


class ModelError(RecsysError):
    """A model is missing, damaged, or failed its gate."""


class ExperimentError(RecsysError):
    """An experiment definition or read-out is invalid."""


class DagError(RecsysError):
    """A task of an Airflow DAG failed."""
