"""Mutants: each change of a column of the table, or of a line of the judge, is noticed by the tests.

The tests that must notice are the cases that tests/oracle/page_rows.py takes from docs/guards.md.
"""

import ast
import copy
import inspect

import pytest

from ami_engine.kernels import pursue
from dmc_core.dmc import decide as decide_module
from dmc_core.dmc import judge as judge_module
from dmc_core.dmc.guards import FIRST_LEG_ROW, N_GUARDS, N_LIMITS, N_OBSERVED, SEVERITY
from tests.oracle.page_rows import differs, page_rows
from tests.oracle.test_page_rows import EFFECTS, check_what_it_asks_for, effect_of

ROWS = page_rows()
COLUMNS = {
    "SIGN": lambda value: -value,
    "STRICT": lambda value: 1 - value,
    "OFF_WHEN_ZERO": lambda value: 1 - value,
    "REQUIRED": lambda value: 1 - value,
    "VALUE_SLOT": lambda value: (value + 1) % N_OBSERVED,
    "LIMIT_OF": lambda value: (value + 1) % N_LIMITS,
}


@pytest.mark.parametrize("column", COLUMNS)
def test_a_change_of_a_column_is_noticed(monkeypatch, column):
    before = getattr(judge_module, column)
    assert len(before) == N_GUARDS
    for i, row in enumerate(ROWS):
        after = (*before[:i], COLUMNS[column](before[i]), *before[i + 1 :])
        monkeypatch.setattr(judge_module, column, after)
        assert differs(row, judge_module.judge) is not None, (row.name, column)
    monkeypatch.setattr(judge_module, column, before)
    assert all(differs(row, judge_module.judge) is None for row in ROWS)


def severer(column):
    return tuple(
        sum(1 << row for row in range(FIRST_LEG_ROW) if column[row] > action) for action in range(5)
    )


@pytest.mark.parametrize("step", [1, -1])
def test_a_change_of_a_severity_is_noticed(monkeypatch, step):
    assert severer(SEVERITY) == decide_module._SEVERER
    for i, row in enumerate(ROWS[:FIRST_LEG_ROW]):
        mutant = min(4, max(1, SEVERITY[i] + step))
        if mutant == SEVERITY[i]:
            continue
        monkeypatch.setattr(decide_module, "_SEVERER", severer((*SEVERITY[:i], mutant, *SEVERITY[i + 1 :])))
        with pytest.raises(AssertionError):
            check_what_it_asks_for(row, decide_module.HOLD)


@pytest.mark.parametrize("step", [1, 2])
def test_a_change_of_what_happens_to_resting_orders_is_noticed(monkeypatch, step):
    before = pursue._RESTING
    for i, row in enumerate(ROWS):
        mutant = (before[i] + step) % len(EFFECTS)
        monkeypatch.setattr(pursue, "_RESTING", (*before[:i], mutant, *before[i + 1 :]))
        assert effect_of(row) != row.resting


# ---------------------------------------------------------------- the judge, line by line

SWAPS = {
    ast.Gt: (ast.GtE, ast.Lt),
    ast.Eq: (ast.NotEq, ast.GtE, ast.LtE),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.LShift: (ast.RShift,),
    ast.BitOr: (ast.BitXor, ast.BitAnd),
}


def mutants():
    """Give each change of the judge as its tree: an operator, a number, a name, or a line less."""
    tree = ast.parse(inspect.getsource(judge_module.judge))
    tree.body[0].decorator_list = []
    found = []

    def change(place, do, words):
        other = copy.deepcopy(tree)
        node = list(ast.walk(other))[place]
        do(node)
        found.append((f"{words} in line {getattr(node, 'lineno', 0)}: {ast.unparse(node)[:60]}", other))

    names = ("ABSENT", "PRESENT", "OFF", "PASS", "BREACH", "UNKNOWN", "NOT_EVALUATED")
    for place, node in enumerate(ast.walk(tree)):
        if isinstance(node, ast.Compare):
            for kind in SWAPS.get(type(node.ops[0]), ()):
                change(place, lambda n, kind=kind: setattr(n, "ops", [kind()]), kind.__name__)
        if isinstance(node, ast.BoolOp | ast.BinOp | ast.AugAssign):
            for kind in SWAPS.get(type(node.op), ()):
                change(place, lambda n, kind=kind: setattr(n, "op", kind()), kind.__name__)
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            change(place, lambda n: setattr(n, "value", n.value + 1), "one more")
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names:
            other = names[(names.index(node.id) + 1) % len(names)]
            change(place, lambda n, other=other: setattr(n, "id", other), f"another than {node.id}")
        if isinstance(node, ast.AugAssign):
            change(place, lambda n: setattr(n, "value", ast.Constant(0)), "nothing")
    return found


EQUAL = (
    ("OFF_WHEN_ZERO[i] >= 1", "a column holds 0 or 1, nothing above"),
    ("REQUIRED[i] <= 0", "a column holds 0 or 1, nothing below"),
    ("STRICT[i] <= 0", "a column holds 0 or 1, nothing below"),
    ("limit <= 0.0", "no limit is below 0: RiskPolicy refuses it"),
    ("value - value >= 0.0", "a number less itself is 0 or nan, nothing above"),
    ("value - value <= 0.0", "... and nothing below"),
    ("here <= ABSENT", "ABSENT is 0, the least presence"),
    ("margin >= 0.0", "every margin above 0 has passed before, strict or not"),
    ("breaches ^= 1 << i", "each row is judged once, so its bit is set once"),
    ("unknowns ^= 1 << i", "each row is judged once, so its bit is set once"),
)
"""Mutants that are no other function, and why."""


def test_a_change_of_the_judge_is_noticed():
    survivors = []
    for words, tree in mutants():
        names = dict(vars(judge_module))
        exec(compile(ast.fix_missing_locations(tree), "mutant", "exec"), names)
        if all(differs(row, names["judge"]) is None for row in ROWS):
            survivors.append(words.partition(": ")[2])
    assert sorted(survivors) == sorted(text for text, _ in EQUAL)
    assert len(mutants()) >= 50
