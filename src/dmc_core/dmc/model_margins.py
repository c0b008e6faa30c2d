"""The margins that a model states itself, as rows beside those of the guards."""

from collections.abc import Iterable

from decision_schema.types import Action, GuardResult, Margin


def margin_results(margins: Iterable[Margin]) -> list[GuardResult]:
    """Give the model's own margins as rows named ``model.<name>``; they refuse nothing.

    >>> margin_results([Margin("edge", 1.5, 1.0, "ticks", least=True)])[0].name
    'model.edge'
    """
    return [
        GuardResult(
            name=f"model.{margin.name}",
            verdict="pass" if margin.margin >= 0.0 else "breach",
            value=margin.value,
            limit=margin.limit,
            margin=margin.margin,
            unit=margin.unit,
            refuses=False,
            severity=Action.HOLD,
            reason="",
        )
        for margin in margins
    ]
