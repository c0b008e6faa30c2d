"""The walk over nested data: dicts, lists, texts, and what other types open up to."""

from collections import deque
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

from ami_engine.security.embedded_json import redact_json_in
from ami_engine.security.foreign import Record, open_up
from ami_engine.security.free_text import hide_in_text, is_harmless
from ami_engine.security.key_names import KeyClass, key_class, words
from ami_engine.security.named_values import says_nothing
from ami_engine.security.neighbours import hide_neighbours
from ami_engine.security.value_patterns import MARKER, has_seed_words, looks_secret, must_hide

CYCLE = "***CYCLE***"
TOO_DEEP = "***TOO DEEP***"

_MAX_DEPTH = 40
_MAX_TEXT = 4_000_000  # a longer text is hidden unread
_MAX_ECHOES = 64
_ATOMS = frozenset({int, float, bool, type(None), complex})
_PAIR_NAMES = words("name key header k field param parameter variable var env")
_ASSET_FIELDS = words("decimals chain chain_id chainId network mint contract contract_address standard")

# Decisions about dict keys whose own text holds no secret.
_KEYS: dict[str, KeyClass] = {}
# Short texts in which the patterns found nothing.
_HARMLESS_TEXTS: dict[str, bool] = {}
_CACHE_LIMIT = 4096


def _cache(cache: dict[str, Any], key: str, value: Any) -> None:
    if len(cache) >= _CACHE_LIMIT:
        cache.clear()
    cache[key] = value


def _hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:  # the answer, not a failure
        return False
    return True


def _next_free(key: Any, taken: Mapping[Any, Any]) -> Any:
    """Number a key that collides after redaction."""
    number = 2
    while f"{key}#{number}" in taken:
        number += 1
    return f"{key}#{number}"


class Walk:
    """One walk over one value: what is open above it, what was done, what was hidden."""

    def __init__(self, echoes: tuple[str, ...] = ()) -> None:
        self.echoes = echoes  # secrets of an earlier walk, longest first
        self.found: set[str] = set()
        self.open: set[int] = set()
        # Keeps the visited object alive, so its id cannot be given to another one.
        self.done: dict[int, tuple[object, Any]] = {}

    def value(self, value: Any, kind: KeyClass, depth: int) -> Any:
        """Redact a value that stands under a name of class `kind`."""
        cls = type(value)
        if kind >= KeyClass.SIGNATURE:
            return self._under_secret_name(value, kind, depth)
        if cls is str:
            return self.text(value, kind, depth)
        if cls in _ATOMS:
            hidden = kind is KeyClass.PIN and cls is int and 1_000 <= abs(value) < 10**8
            return MARKER if hidden else value
        if depth > _MAX_DEPTH:
            return TOO_DEEP
        identity = id(value)
        if identity in self.open:
            return CYCLE
        memo = self.done.get(identity * 16 + kind)
        if memo is not None:
            return memo[1]
        self.open.add(identity)
        try:
            result = self._container(value, cls, kind, depth + 1)
        finally:
            self.open.discard(identity)
        self.done[identity * 16 + kind] = (value, result)
        return result

    def _under_secret_name(self, value: Any, kind: KeyClass, depth: int) -> Any:
        if value is None or value is True or value is False:
            return value
        if isinstance(value, str):
            if not must_hide(kind, value):
                return self.text(str.__str__(value), KeyClass.PLAIN, depth)
            self._remember(value)
        elif isinstance(value, int) and abs(value) < 1_000:
            return int(value)  # a count, a version or a flag
        elif isinstance(value, (bytes, list, tuple, dict, set, frozenset)):
            if not value:
                return value.copy() if isinstance(value, (list, dict, set)) else value
            if isinstance(value, (list, tuple)):
                for item in value:
                    if isinstance(item, str):
                        self._remember(item)
        return MARKER

    def _remember(self, secret: str) -> None:
        if 10 <= len(secret) <= 4096 and len(self.found) < _MAX_ECHOES and looks_secret(secret, 10):
            self.found.add(str.__str__(secret))

    def text(self, text: str, kind: KeyClass, depth: int) -> str:
        """Redact a text: under its name's class, then JSON inside it, then by patterns."""
        if kind > KeyClass.USER and must_hide(kind, text):
            self._remember(text)
            return MARKER
        if self.echoes:  # the second walk: everything else is done
            before = text
            for echo in self.echoes:
                text = text.replace(echo, MARKER)
            if text == before:
                return text
        if text in _HARMLESS_TEXTS or is_harmless(text):
            return text
        if len(text) > _MAX_TEXT:
            return MARKER
        digest = kind is KeyClass.DIGEST
        for round_number in range(5):  # one pass may uncover what the next one sees
            before = text
            if depth < _MAX_DEPTH:
                text = redact_json_in(text, lambda part: self.value(part, KeyClass.PLAIN, depth + 1))
            text = hide_in_text(text, digest)
            if text == before:
                if round_number == 0 and len(text) <= 48:
                    _cache(_HARMLESS_TEXTS, text, True)
                return text
        return MARKER

    def _container(self, value: Any, cls: type, kind: KeyClass, depth: int) -> Any:
        if cls is dict:
            return self._mapping(value, kind, depth)
        if cls is list:
            return self._items(value, kind, depth)
        if cls is tuple:
            return tuple(self._items(value, kind, depth))
        return self._other(value, kind, depth)

    def _mapping(self, mapping: Mapping[Any, Any], outer: KeyClass, depth: int) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        has_secret = False
        weak: list[tuple[Any, KeyClass]] = []
        pair_value: tuple[Any, Any] | None = None
        plain = KeyClass.PLAIN
        quick = not self.echoes and outer <= KeyClass.USER
        known = _KEYS if not self.echoes else {}  # a key may repeat a secret found before
        for key, item in mapping.items():
            kind = known.get(key)
            if kind is None:
                kind, key = self._judge_key(key, depth)
                if key in result:
                    key = _next_free(key, result)
            if kind is plain:
                cls = type(item)
                if cls in _ATOMS or (cls is str and quick and is_harmless(item)):
                    result[key] = item
                    continue
            if kind is KeyClass.VALUE:
                pair_value = (key, item)
                kind = outer
            elif kind >= KeyClass.SIGNATURE or kind is KeyClass.USER:
                has_secret = has_secret or (item is not None and (type(item) is not str or bool(item)))
            elif kind > KeyClass.USER:
                weak.append((key, kind))
                if kind is KeyClass.TOKEN and not _ASSET_FIELDS.isdisjoint(mapping):
                    kind = KeyClass.ASSET
            elif outer is KeyClass.WEAK and key in ("r", "s"):  # the halves of an ECDSA signature
                kind = outer
            result[key] = self.value(item, kind, depth)
        if pair_value is not None:
            self._judge_pair(result, pair_value, depth)
        if has_secret and weak:
            self._judge_weak(result, weak)
        return result

    def _judge_key(self, key: Any, depth: int) -> tuple[KeyClass, Any]:
        """Class of a dict key of any type, and the key itself without secrets."""
        if type(key) is str:
            shown = self.text(key, KeyClass.PLAIN, depth)
            kind = key_class(shown)  # of the shown name, so that a second walk agrees
            if shown == key and len(key) <= 64:
                _cache(_KEYS, key, kind)
            return kind, shown
        if type(key) in _ATOMS:
            return KeyClass.PLAIN, key
        if isinstance(key, Enum):
            shown = self.value(key.value, KeyClass.PLAIN, depth)
            names = [name for name in (key.name, key.value) if isinstance(name, str)]
            return max(map(key_class, names), default=KeyClass.PLAIN), key if shown == key.value else MARKER
        shown = self.value(key, KeyClass.PLAIN, depth)
        if not _hashable(shown):  # a record that became a dict
            shown = MARKER
        name = shown[-1] if isinstance(shown, tuple) and shown else shown
        if isinstance(name, bytes):
            name = name.decode("utf-8", "surrogateescape")
        return (key_class(str.__str__(name)) if isinstance(name, str) else KeyClass.PLAIN), shown

    def _judge_pair(self, result: dict[Any, Any], pair_value: tuple[Any, Any], depth: int) -> None:
        """Judge {"name": "X-MBX-APIKEY", "value": ...} by the name it tells."""
        key, item = pair_value
        for name_key, name in result.items():
            if not isinstance(name_key, str) or name_key.lower() not in _PAIR_NAMES:
                continue
            if isinstance(name, str) and len(name) <= 64 and key_class(name) > KeyClass.USER:
                result[key] = self.value(item, key_class(name), depth)
                return

    def _judge_weak(self, result: dict[Any, Any], weak: list[tuple[Any, KeyClass]]) -> None:
        """Beside a secret or a user name, less is needed to take a weak name's value for one."""
        for key, kind in weak:
            item = result[key]
            if not isinstance(item, str):
                continue
            is_password = kind is KeyClass.SHORT and len(item) >= 4 and not says_nothing(item)
            if item != MARKER and (is_password or looks_secret(item, 8)):
                self._remember(item)
                result[key] = MARKER

    def _items(self, items: Iterable[Any], kind: KeyClass, depth: int) -> list[Any]:
        source = list(items)
        types = set(map(type, source))
        if types <= _ATOMS and kind is KeyClass.PLAIN:
            return source
        result = [self.value(item, kind, depth) for item in source]
        if kind is not KeyClass.PLAIN and types == {str}:
            if kind in (KeyClass.SEED, KeyClass.WORDS) and has_seed_words(" ".join(source[:24])):
                return [MARKER]
            if kind is KeyClass.AUTH and len(source) == 2:
                return [MARKER, MARKER]  # ("user", "password")
        if str in types or bytes in types:
            for hidden in hide_neighbours(result):
                self._remember(hidden)
        return result

    def _other(self, value: Any, kind: KeyClass, depth: int) -> Any:
        """Redact a value of a type that is not plain JSON."""
        try:
            return self._by_behaviour(value, kind, depth)
        except Exception:  # noqa: BLE001  # the object's own code failed: only its type's name is safe to show
            return self.text(f"<{type(value).__name__}>", KeyClass.PLAIN, depth)

    def _by_behaviour(self, value: Any, kind: KeyClass, depth: int) -> Any:
        if isinstance(value, Enum):
            own = key_class(value.name or "")
            inner = self.value(value.value, kind if own <= KeyClass.USER else own, depth)
            return value if inner == value.value or value.value == value.name.lower() else MARKER
        if isinstance(value, str):
            return self.text(str.__str__(value), kind, depth)
        if isinstance(value, (bytes, bytearray, memoryview)):
            text = bytes(value).decode("utf-8", "surrogateescape")
            raw = self.text(text, kind, depth).encode("utf-8", "surrogateescape")
            return bytearray(raw) if isinstance(value, bytearray) else raw
        if isinstance(value, tuple):
            names = getattr(type(value), "_fields", None)
            if names is None:
                return tuple(self._items(value, kind, depth))
            fields = self._mapping(dict(zip(names, value, strict=True)), kind, depth)
            return type(value)._make(fields.values())  # type: ignore[attr-defined]
        if isinstance(value, (set, frozenset)):
            shown = [self.value(item, kind, depth) for item in value]
            members = [item if _hashable(item) else MARKER for item in shown]
            return frozenset(members) if isinstance(value, frozenset) else set(members)
        if isinstance(value, Mapping):
            return self._mapping(value, kind, depth)
        if isinstance(value, deque):
            return deque(self._items(value, kind, depth), value.maxlen)
        if isinstance(value, list):
            return self._items(value, kind, depth)
        opened = open_up(value)
        if isinstance(opened, Record):
            fields = self._mapping(opened.fields, KeyClass.PLAIN, depth)
            return value if opened.complete and fields == opened.fields else fields
        return value if opened is value else self.value(opened, kind, depth)
