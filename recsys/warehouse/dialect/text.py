"""Text and arrays."""

from __future__ import annotations

from sqlglot import exp

from recsys.warehouse.dialect.common import Node, Refused, call, cast, handles, kind, need, shown, typed


def _text(node: Node, what: str) -> Node:
    need(node, "STRING", what=what)
    return node


@handles(exp.Concat, exp.DPipe)
def concat(node: Node) -> Node:
    """CONCAT and ||: NULL when any part is NULL (DuckDB's CONCAT would skip it)."""
    parts = node.expressions if isinstance(node, exp.Concat) else [node.this, node.expression]
    made = _text(parts[0], "CONCAT")
    for part in parts[1:]:
        made = exp.DPipe(this=made, expression=_text(part, "CONCAT"), safe=True)
    return typed(exp.Paren(this=made) if len(parts) > 1 else made, "STRING")


@handles(exp.Substring)
def substring(node: Node) -> Node:
    """SUBSTR: position 0 counts as 1, one before the start is the start."""
    start, length = node.args["start"], node.args.get("length")
    text = _text(node.this, "SUBSTR")
    if length is None:
        return typed(call("gsql_substr", text, start), "STRING")
    return typed(call("gsql_substr3", text, start, length), "STRING")


@handles(exp.Left, exp.Right)
def side(node: Node) -> Node:
    """LEFT and RIGHT; a negative length raises."""
    text = _text(node.this, node.key.upper())
    return typed(call(node.key, text, call("gsql_length", node.expression)), "STRING")


@handles(exp.Length)
def length(node: Node) -> Node:
    """LENGTH in characters."""
    return typed(call("length", _text(node.this, "LENGTH")), "INT64")


@handles(exp.ByteLength)
def byte_length(node: Node) -> Node:
    """BYTE_LENGTH in UTF-8."""
    return typed(call("strlen", _text(node.this, "BYTE_LENGTH")), "INT64")


@handles(exp.Upper, exp.Lower)
def letter_case(node: Node) -> Node:
    """UPPER and LOWER by Unicode's full mapping; DuckDB maps letter by letter."""
    return typed(call(f"gsql_{node.key}", _text(node.this, node.key.upper())), "STRING")


@handles(exp.Trim)
def trim(node: Node) -> Node:
    """TRIM, LTRIM and RTRIM; without characters they remove Unicode white space."""
    where = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(str(node.args.get("position") or ""), "trim")
    text = _text(node.this, "TRIM")
    if node.args.get("expression") is None:
        return typed(call(f"gsql_{where}", text), "STRING")
    return typed(call(where, text, _text(node.expression, "TRIM")), "STRING")


@handles(exp.Replace)
def replace(node: Node) -> Node:
    """REPLACE; an empty search text leaves the text."""
    arguments = (node.this, node.expression, node.args["replacement"])
    return typed(call("replace", *(_text(argument, "REPLACE") for argument in arguments)), "STRING")


@handles(exp.StrPosition)
def position(node: Node) -> Node:
    """STRPOS and INSTR with two arguments: 0 when absent."""
    if node.args.get("position") is not None or node.args.get("occurrence") is not None:
        raise Refused(f"{shown(node)}: write INSTR with two arguments")
    return typed(call("strpos", _text(node.this, "STRPOS"), _text(node.args["substr"], "STRPOS")), "INT64")


@handles(exp.StartsWith, exp.EndsWith)
def affix(node: Node) -> Node:
    """STARTS_WITH and ENDS_WITH."""
    name = "starts_with" if isinstance(node, exp.StartsWith) else "ends_with"
    return typed(call(name, _text(node.this, name), _text(node.expression, name)), "BOOL")


@handles(exp.Pad)
def pad(node: Node) -> Node:
    """LPAD and RPAD, with blanks by default."""
    fill = node.args.get("fill_pattern") or exp.Literal.string(" ")
    name = "lpad" if node.args.get("is_left") else "rpad"
    return typed(call(name, _text(node.this, name), _int32(node.expression), fill), "STRING")


def _int32(node: Node) -> Node:
    return exp.Cast(this=node, to=exp.DataType.build("INTEGER", dialect="duckdb"))


@handles(exp.Repeat)
def repeat(node: Node) -> Node:
    """REPEAT."""
    return typed(call("repeat", _text(node.this, "REPEAT"), node.args["times"]), "STRING")


@handles(exp.Normalize)
def normalize(node: Node) -> Node:
    """NORMALIZE to NFC."""
    form = node.args.get("form")
    if form is not None and form.name.upper() != "NFC":
        raise Refused(f"{shown(node)}: only NORMALIZE(x) and NORMALIZE(x, NFC) are kept equal")
    return typed(call("nfc_normalize", _text(node.this, "NORMALIZE")), "STRING")


@handles(exp.FarmFingerprint)
def fingerprint(node: Node) -> Node:
    """FARM_FINGERPRINT; DuckDB lacks it, the engine has it registered."""
    return typed(call("farm_fingerprint", _text(node.expressions[0], "FARM_FINGERPRINT")), "INT64")


@handles(exp.Like)
def like(node: Node) -> Node:
    """LIKE; a backslash escapes."""
    for part in (node.this, node.expression):
        _text(part, "LIKE")
    return exp.Escape(this=node, expression=exp.Literal.string("\\"))


def _pattern(node: Node) -> Node:
    if not isinstance(node.expression, exp.Literal | exp.RawString):
        raise Refused(f"{shown(node)}: write the pattern as a literal")
    return exp.Literal.string(node.expression.this)


@handles(exp.RegexpLike)
def regexp_contains(node: Node) -> Node:
    """REGEXP_CONTAINS; both engines use RE2."""
    return typed(call("regexp_matches", _text(node.this, "REGEXP_CONTAINS"), _pattern(node)), "BOOL")


@handles(exp.RegexpExtract)
def regexp_extract(node: Node) -> Node:
    """REGEXP_EXTRACT: the group, or the whole without one; NULL without a match. An optional group is refused."""
    if node.args.get("position") is not None or node.args.get("occurrence") is not None:
        raise Refused(f"{shown(node)}: write REGEXP_EXTRACT with two arguments")
    pattern = _pattern(node)
    groups = _groups(pattern.this)
    if groups > 1 or any(f"){quantifier}" in pattern.this for quantifier in ("?", "*", "|", "{0")):
        raise Refused(f"{shown(node)}: write one group that always takes part in a match")
    return typed(call("gsql_regexp_extract", _text(node.this, "REGEXP_EXTRACT"), pattern, groups), "STRING")


def _groups(pattern: str) -> int:
    plain = pattern.replace("\\\\", "").replace("\\(", "")
    return plain.count("(") - plain.count("(?")


@handles(exp.RegexpReplace)
def regexp_replace(node: Node) -> Node:
    """REGEXP_REPLACE of every match; \\1 is the first group."""
    replacement = node.args["replacement"]
    if isinstance(replacement, exp.RawString):
        replacement = exp.Literal.string(replacement.this)
    text = _text(node.this, "REGEXP_REPLACE")
    return typed(call("regexp_replace", text, _pattern(node), replacement, "g"), "STRING")


@handles(exp.Split)
def split(node: Node) -> Node:
    """SPLIT of a text."""
    made = call("str_split", _text(node.this, "SPLIT"), node.expression or ",")
    made.type = node.type
    return made


@handles(exp.Array)
def array(node: Node) -> Node:
    """[a, b]; of a subquery it is refused, as its order would be an accident."""
    if any(isinstance(element.unnest(), exp.Query) for element in node.expressions):
        raise Refused(f"{shown(node)}: write ARRAY_AGG(x ORDER BY ...) in a joined subquery")
    return node


@handles(exp.ArraySize)
def array_length(node: Node) -> Node:
    """ARRAY_LENGTH."""
    need(node.this, "ARRAY", what="ARRAY_LENGTH")
    return typed(call("len", node.this), "INT64")


@handles(exp.ArrayToString)
def array_to_string(node: Node) -> Node:
    """ARRAY_TO_STRING of texts; NULLs are left out."""
    if node.args.get("null") is not None:
        raise Refused(f"{shown(node)}: write ARRAY_TO_STRING with two arguments")
    need(node.this, "ARRAY", what="ARRAY_TO_STRING")
    return typed(call("array_to_string", node.this, node.expression), "STRING")


@handles(exp.Bracket)
def element(node: Node) -> Node:
    """a[OFFSET(i)] raises past the end, a[SAFE_OFFSET(i)] is NULL; so with ORDINAL, which counts from 1."""
    need(node.this, "ARRAY", what="an element")
    if len(node.expressions) != 1:
        raise Refused(f"{shown(node)}: write a[OFFSET(i)] or a[SAFE_OFFSET(i)]")
    index = node.expressions[0]
    offset = int(node.args.get("offset") or 0)
    if offset:
        index = exp.Sub(this=exp.Paren(this=index), expression=exp.Literal.number(offset))
    made = call("gsql_safe_at" if node.args.get("safe") else "gsql_at", node.this, index)
    made.type = node.type
    return made


@handles(exp.GenerateSeries)
def generate_array(node: Node) -> Node:
    """GENERATE_ARRAY of whole numbers, both ends included."""
    arguments = [
        node.args["start"],
        node.args["end"],
        *([node.args["step"]] if node.args.get("step") else []),
    ]
    for argument in arguments:
        need(argument, "INT64", what="GENERATE_ARRAY")
    made = call("generate_series", *(cast(argument, "INT64") for argument in arguments))
    made.type = node.type
    return made


def element_kind(node: Node) -> str:
    """GoogleSQL type of an array's elements."""
    inner = node.type.expressions if node.type is not None else []
    probe = exp.Null()
    probe.type = inner[0] if inner else None
    return kind(probe)
