"""A model that scores many rows at once: a matrix of features in, a column of scores out.

Products of matrices differ in the last bit with the number of rows, so a scorer always sees a block of
BLOCK rows: live one row and zeros, in a batch run full ones. A row has the same scores in either.
"""

import difflib
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ami_engine.kernels.features import N_FEATURES, N_MARKET_FEATURES
from ami_engine.kernels.model_input import MAX_SCORES, OWN_FIELDS, ModelInput
from ami_engine.security.redaction import redact_text
from decision_schema.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

_log = logging.getLogger(__name__)

BLOCK = 16
"""Rows that a scorer is given at once, the last ones zeros where there are fewer."""
_MARKET = ModelInput.__slots__[:N_MARKET_FEATURES]
_OWN = frozenset((*OWN_FIELDS, *ModelInput.__slots__[N_MARKET_FEATURES:N_FEATURES]))


class Scorer:
    """A function of a matrix, and the features that stand in its columns.

    Args:
        score: Takes an array of 16 rows and a column a feature, float64, nan where a feature is not
            known; gives 16 scores, or 16 rows of up to 8. It keeps nothing from one call to the next.
        features: Names of the columns, in order: `market` features, which do not depend on our orders.

    Raises:
        ConfigError: `score` is no function, or a feature is unknown, depends on our own orders, or stands
            there twice.

    >>> import numpy as np
    >>> scorer = Scorer(lambda rows: rows @ np.array([2.0, 1.0]), ("imbalance", "spread_ticks"))
    >>> scorer.score_rows(np.array([[0.5, 3.0], [0.25, np.nan]])).tolist()
    [[4.0], [nan]]
    """

    def __init__(self, score: Callable[["np.ndarray[Any, Any]"], Any], features: Sequence[str]) -> None:
        self.name = getattr(score, "__qualname__", type(score).__qualname__)
        if not callable(score):
            raise ConfigError(
                f"scorer {self.name} is no function: give one of a matrix, such as the predict of a model"
            )
        self.features = (features,) if isinstance(features, str) else tuple(features)
        self.places = [self._place(name) for name in self.features]
        if not self.places or len(set(self.places)) < len(self.places):
            raise ConfigError(
                f"scorer {self.name} reads {self.features}: name one feature at least, each once"
            )
        self._score = score
        self._block: Any = None
        self._told: set[str] = set()
        self.width = 0
        """Scores a row, known once it was asked."""

    def _place(self, name: str) -> int:
        if name in _OWN:
            raise ConfigError(
                f"scorer {self.name} reads {name}, which depends on our own orders: rows are scored before "
                "the orders are known; give market features, and read it in the rule"
            )
        if name not in _MARKET:
            near = difflib.get_close_matches(str(name), _MARKET, 1)
            told = f"did you mean {near[0]!r}?" if near else "docs/features.md has the list"
            raise ConfigError(f"scorer {self.name}: unknown feature {name!r}: {told}")
        return _MARKET.index(name)

    def check(self) -> None:
        """Ask for the scores of zeros, which stand below each row in a live run.

        Raises:
            ConfigError: It fails, or what it gives is no column of scores; the message says which.
        """
        import numpy as np

        try:
            self._ask(np.zeros((1, len(self.places))))
        except ConfigError:
            raise
        except Exception as error:  # noqa: BLE001 - user code raises what it likes
            raise ConfigError(
                f"scorer {self.name} fails on {BLOCK} rows of zeros: {type(error).__name__}: "
                f"{redact_text(str(error))[:200]}; it must take them: they stand below each live row"
            ) from None

    def score_rows(self, rows: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        """Score rows of features, a block at a time; a row that cannot be scored is all nan."""
        import numpy as np

        if not self.width:
            self.check()
        scores = np.full((len(rows), self.width), np.nan)
        for begin in range(0, len(rows), BLOCK):
            end = min(begin + BLOCK, len(rows))
            try:
                scores[begin:end] = self._ask(rows[begin:end])
            except Exception as error:  # noqa: BLE001 - user code: the rows hold
                self._tell(error)
                for i in range(begin, end) if end - begin > 1 else ():
                    scores[i] = self.score_rows(rows[i : i + 1])
        scores[~np.isfinite(scores).all(axis=1)] = np.nan
        return scores

    def score_row(self, features: Sequence[float]) -> list[float]:
        """Score one feature vector, as the catalogue has it; nan where it cannot be scored."""
        import numpy as np

        scores: list[float] = self.score_rows(np.array([[features[place] for place in self.places]]))[
            0
        ].tolist()
        return scores

    def _ask(self, rows: "np.ndarray[Any, Any]") -> Any:
        import numpy as np

        if self._block is None:
            self._block = np.zeros((BLOCK, len(self.places)))
        self._block[len(rows) :] = 0.0
        self._block[: len(rows)] = rows
        given = np.asarray(self._score(self._block), dtype=np.float64)
        scores = given.reshape(-1, 1) if given.ndim == 1 else given
        fits = scores.ndim == 2 and len(scores) == BLOCK and 1 <= scores.shape[1] <= MAX_SCORES
        if not fits or scores.shape[1] != (self.width or scores.shape[1]):
            raise ConfigError(
                f"scorer {self.name} gives an array of shape {given.shape} for {BLOCK} rows: give ({BLOCK},) "
                f"or ({BLOCK}, n) with n up to {MAX_SCORES}, each time the same"
            )
        self.width = scores.shape[1]
        return scores[: len(rows)]

    def _tell(self, error: Exception) -> None:
        kind = type(error).__name__
        if kind not in self._told:
            self._told.add(kind)
            _log.warning("scorer %s failed: %s: %s", self.name, kind, redact_text(str(error))[:500])
