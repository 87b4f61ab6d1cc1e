"""BigQuery's dialect -> DuckDB's: rewrite what can be made equal, refuse the rest.

sqlglot parses the text, resolves its columns against the table contracts and infers every type; then each node is
looked up. Syntax that means the same passes (``syntax``); a function passes through its handler (``numbers``,
``casts``, ``conditions``, ``text``, ``times``, ``aggregates``), which spells out GoogleSQL's meaning with the macros of
``macros``; whatever has no entry is refused with what to write instead. That sqlglot has no "unsupported" warning is no
guard: most differences transpile quietly.

To let one more function pass: write its handler, and in ``tests/warehouse/dialect`` the values GoogleSQL gives.
"""

from recsys.warehouse.dialect.macros import MACROS
from recsys.warehouse.dialect.translate import Translated, parameter_type, translate

__all__ = ["MACROS", "Translated", "parameter_type", "translate"]
