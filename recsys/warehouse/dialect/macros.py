"""GoogleSQL's meaning where DuckDB's differs, as DuckDB macros (inlined, so they cost what they say)."""

from __future__ import annotations

WHITESPACE = (
    "\t\n\v\f\r \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""What TRIM removes when it is not told: Unicode's White_Space. DuckDB's removes U+0020 only."""

_SPACES = "'" + WHITESPACE + "'"
_INTEGER = r"'^\s*[+-]?[0-9]+\s*$'"

MACROS: tuple[str, ...] = (
    # Numbers. GoogleSQL knows no inf and no nan from arithmetic: it raises.
    "gsql_finite(x) AS CASE WHEN x IS NULL OR isfinite(x) THEN x "
    "ELSE error('floating point error: overflow, or a function outside its domain; guard the argument with IF') END",
    "gsql_div(a, b) AS CASE WHEN b = 0 THEN error('division by zero; write SAFE_DIVIDE') "
    "ELSE CAST(a AS DOUBLE) / CAST(b AS DOUBLE) END",
    "gsql_safe_div(a, b) AS CASE WHEN b = 0 THEN NULL ELSE CAST(a AS DOUBLE) / CAST(b AS DOUBLE) END",
    "gsql_units(x) AS CAST(CAST(x AS DECIMAL(38, 9)) * 1000000000 AS HUGEINT)",
    "gsql_from_units(n) AS CAST(CAST(n AS DECIMAL(38, 0)) * CAST('0.000000001' AS DECIMAL(10, 9)) AS DECIMAL(38, 9))",
    "gsql_half_away(n, d) AS CAST(n // d AS HUGEINT) + CASE WHEN 2 * abs(n % d) >= abs(d) "
    "THEN CASE WHEN (n < 0) = (d < 0) THEN 1 ELSE -1 END ELSE 0 END",
    "gsql_exact_div(a, b) AS "
    "gsql_from_units(gsql_half_away(gsql_units(a) * CAST(1000000000 AS HUGEINT), nullif(gsql_units(b), 0)))",
    "gsql_numeric_div(a, b) AS CASE WHEN b = 0 THEN error('division by zero; write SAFE_DIVIDE') "
    "ELSE gsql_exact_div(a, b) END",
    "gsql_safe_numeric_div(a, b) AS CASE WHEN b = 0 THEN NULL ELSE gsql_exact_div(a, b) END",
    # A double times 10^9 is inexact from 9 million on; its whole part is not.
    "gsql_numeric(x) AS CAST(CAST(trunc(x) AS HUGEINT) AS DECIMAL(38, 9)) + CAST(x - trunc(x) AS DECIMAL(38, 9))",
    "gsql_double_text(x) AS CASE WHEN CAST(printf('%.15g', x) AS DOUBLE) = x THEN printf('%.15g', x) "
    "ELSE printf('%.17g', x) END",
    "gsql_numeric_text(x) AS rtrim(rtrim(CAST(CAST(x AS DECIMAL(38, 9)) AS VARCHAR), '0'), '.')",
    f"gsql_int(s) AS CASE WHEN s IS NULL OR regexp_matches(s, {_INTEGER}) THEN CAST(s AS BIGINT) "
    "ELSE error('bad INT64 value: ' || s) END",
    f"gsql_safe_int(s) AS CASE WHEN regexp_matches(s, {_INTEGER}) THEN TRY_CAST(s AS BIGINT) END",
    # Text
    f"gsql_trim(s) AS trim(s, {_SPACES})",
    f"gsql_ltrim(s) AS ltrim(s, {_SPACES})",
    f"gsql_rtrim(s) AS rtrim(s, {_SPACES})",
    "gsql_start(s, p) AS CASE WHEN p > 0 THEN p WHEN p = 0 THEN 1 ELSE greatest(length(s) + p + 1, 1) END",
    "gsql_length(n) AS CASE WHEN n < 0 THEN error('SUBSTR, LEFT and RIGHT take no negative length') ELSE n END",
    "gsql_substr(s, p) AS substring(s, gsql_start(s, p))",
    "gsql_substr3(s, p, n) AS substring(s, gsql_start(s, p), gsql_length(n))",
    "gsql_lower(s) AS CASE WHEN strlen(s) = length(s) THEN lower(s) ELSE unicode_lower(s) END",
    "gsql_upper(s) AS CASE WHEN strlen(s) = length(s) THEN upper(s) ELSE unicode_upper(s) END",
    "gsql_regexp_extract(s, r, g) AS CASE WHEN regexp_matches(s, r) THEN regexp_extract(s, r, g) END",
    # Arrays: position i counts from 0.
    "gsql_at(a, i) AS CASE WHEN i < 0 OR i >= len(a) THEN error('array index out of bounds; write SAFE_OFFSET') "
    "ELSE a[i + 1] END",
    "gsql_safe_at(a, i) AS CASE WHEN i >= 0 THEN a[i + 1] END",
    # Times. t is TIMESTAMPTZ, w the wall clock (TIMESTAMP) somewhere, z a zone.
    "gsql_wall(t, z) AS CASE WHEN z = 'UTC' THEN make_timestamp(epoch_us(t)) ELSE timezone(z, t) END",
    "gsql_instant(w, z) AS CAST(timezone(z, CAST(w AS TIMESTAMP)) AS TIMESTAMPTZ)",
    "gsql_date(t, z) AS CAST(gsql_wall(t, z) AS DATE)",
    "gsql_floor(n, d) AS (n - ((n % d) + d) % d) // d",
    "gsql_week(d) AS d - CAST(dayofweek(d) AS INTEGER)",
    "gsql_isoweek(d) AS d - CAST(isodow(d) - 1 AS INTEGER)",
    "gsql_week_from(d, w) AS d - CAST((isodow(d) - w + 7) % 7 AS INTEGER)",
    "gsql_trunc(t, u, z) AS t - (gsql_wall(t, z) - date_trunc(u, gsql_wall(t, z)))",
)
