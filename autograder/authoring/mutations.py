"""What one expression of a reference answer is replaced by in its mutants."""

import ast
from collections.abc import Iterator

FAMILIES = (
    ("mean", "sum"),
    ("var", "std"),
    ("zeros", "ones", "randn"),
    ("randn", "rand"),
    ("eval", "train"),
    ("max", "min"),
    ("amax", "amin"),
    ("argmax", "argmin"),
    ("any", "all"),
    ("softmax", "log_softmax"),
    ("tanh", "relu", "sigmoid"),
    ("append", "extend"),
)
"""Functions that are taken for one another; the first of a family becomes each of the others, and they become it."""
INSTEAD = {"empty": ("zeros", "ones", "randn")}
"""What a function is taken for, but not the other way: nothing can rely on noticing what `empty` happens to hold."""
PAIRS = {"inputs": "targets", "targets": "inputs", "weight": "bias", "bias": "weight"}
"""Names that are taken for one another."""
REDUCTIONS = ("mean", "sum", "var", "std")
SPREADS = ("var", "std")
WITH_DIM = ("mean", "sum", "stack", "cat")
OPERATORS: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div, ast.Add),
    ast.Div: (ast.Mult,),
    ast.Pow: (ast.Mult,),
    ast.FloorDiv: (ast.Div,),
    ast.Mod: (ast.Mult,),
    ast.MatMult: (ast.Mult,),
    ast.BitOr: (ast.BitAnd, ast.Add),
    ast.BitAnd: (ast.BitOr,),
}
COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq, ast.LtE),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
VALUES = (ast.BinOp, ast.Call, ast.Name, ast.Attribute)
"""Expressions whose value may be a tensor."""


def expressions(node: ast.expr, parent: ast.AST, field: str, *, torch: bool) -> Iterator[ast.expr]:
    """Yield what an expression in a field of its parent is replaced by; the given nodes are not changed."""
    if not isinstance(getattr(node, "ctx", ast.Load()), ast.Load) or field in (
        "annotation",
        "returns",
        "decorator_list",
    ):
        return
    match node:
        case ast.Constant():
            yield from _constants(node)
        case ast.BinOp():
            yield from (ast.BinOp(left=node.left, op=op(), right=node.right) for op in OPERATORS.get(type(node.op), ()))
            yield from (node.left, node.right)
        case ast.BoolOp():
            other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield ast.BoolOp(op=other, values=node.values)
        case ast.UnaryOp():
            yield node.operand
        case ast.Compare(ops=[operator]):
            for op in COMPARISONS[type(operator)]:
                yield ast.Compare(left=node.left, ops=[op()], comparators=node.comparators)
        case ast.Call():
            yield from _calls(node)
        case ast.Name(id=name) if name in PAIRS:
            yield ast.Name(id=PAIRS[name], ctx=ast.Load())
        case ast.Attribute():
            yield from _attributes(node)
        case ast.Tuple(elts=[first, second, *rest]) if isinstance(parent, ast.Return):
            yield ast.Tuple(elts=[second, first, *rest], ctx=ast.Load())
    if field == "test":
        yield ast.UnaryOp(op=ast.Not(), operand=node)
    if isinstance(parent, ast.For | ast.comprehension) and field == "iter":
        yield from _iterations(node)
    if isinstance(parent, ast.BinOp | ast.keyword) and isinstance(node, ast.Name | ast.Attribute):
        yield ast.Constant(1)
    if torch and isinstance(node, VALUES) and _holds_a_value(parent, field):
        yield ast.Call(func=ast.Attribute(value=node, attr="detach", ctx=ast.Load()), args=[], keywords=[])


def _holds_a_value(parent: ast.AST, field: str) -> bool:
    """Whether a field holds a value, not something that is called or looked into."""
    if isinstance(parent, ast.Call):
        return field == "args"
    return isinstance(parent, ast.BinOp | ast.Assign | ast.Return | ast.Tuple) or field == "elt"


def _constants(node: ast.Constant) -> Iterator[ast.expr]:
    value = node.value
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int | float):
        for other in dict.fromkeys((value + 1, value - 1, 2 * value)):
            if other != value:
                yield ast.Constant(other)
        if value > 0:
            yield ast.UnaryOp(op=ast.USub(), operand=node)
    elif isinstance(value, str):
        yield from (ast.Constant(other) for other in _family(value))


def _family(name: str) -> Iterator[str]:
    """Yield the names that this one is taken for."""
    yield from INSTEAD.get(name, ())
    for first, *others in FAMILIES:
        if name == first:
            yield from others
        elif name in others:
            yield first


def _calls(node: ast.Call) -> Iterator[ast.expr]:
    """Yield a call without an argument, with two swapped, with one more, as its receiver, and of another function."""
    func, args, keywords = node.func, node.args, node.keywords
    name = func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""
    for index in range(len(keywords)):
        yield ast.Call(func=func, args=args, keywords=[*keywords[:index], *keywords[index + 1 :]])
    for index in range(len(args)):
        yield ast.Call(func=func, args=[*args[:index], *args[index + 1 :]], keywords=keywords)
    for index in range(len(args) - 1):
        swapped = [*args[:index], args[index + 1], args[index], *args[index + 2 :]]
        yield ast.Call(func=func, args=swapped, keywords=keywords)
    if args and not isinstance(args[0], ast.Starred):
        yield args[0]
    if isinstance(func, ast.Attribute):
        yield func.value
    given = {one.arg for one in keywords}
    for wanted, key, values in (
        (REDUCTIONS, "keepdim", (True,)),
        (SPREADS, "correction", (0,)),
        (WITH_DIM, "dim", (0, -1)),
    ):
        if name in wanted and key not in given:
            for value in values:
                constant = ast.Constant(value) if value >= 0 else ast.UnaryOp(op=ast.USub(), operand=ast.Constant(1))
                yield ast.Call(func=func, args=args, keywords=[*keywords, ast.keyword(arg=key, value=constant)])
    if isinstance(func, ast.Attribute):
        for other in _family(name):
            new = ast.Attribute(value=func.value, attr=other, ctx=ast.Load())
            yield ast.Call(func=new, args=args, keywords=keywords)


def _attributes(node: ast.Attribute) -> Iterator[ast.expr]:
    for old, new in (("1", "2"), ("2", "1")):
        if node.attr.endswith(old):
            yield ast.Attribute(value=node.value, attr=node.attr[:-1] + new, ctx=ast.Load())
    if node.attr in PAIRS:
        yield ast.Attribute(value=node.value, attr=PAIRS[node.attr], ctx=ast.Load())


def _iterations(node: ast.expr) -> Iterator[ast.expr]:
    """Yield what a loop runs over, once less or more."""
    match node:
        case ast.Call(func=ast.Name(id="range"), args=[*first, last]):
            for op in (ast.Add(), ast.Sub()):
                end = ast.BinOp(left=last, op=op, right=ast.Constant(1))
                yield ast.Call(func=node.func, args=[*first, end], keywords=node.keywords)
        case _:
            for cut in (ast.Slice(lower=ast.Constant(1)), ast.Slice(upper=ast.UnaryOp(ast.USub(), ast.Constant(1)))):
                yield ast.Subscript(value=node, slice=cut, ctx=ast.Load())
