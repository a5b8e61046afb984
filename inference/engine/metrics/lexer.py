"""A lexer of ordered rules, as JFlex makes them: at each place the longest match wins, and of equally
long ones the first rule; a rule may ask for what must follow its token.

The rules become one automaton whose states are made when a text first needs them (lazy subset
construction), so that starting costs little and a character costs one look-up, whatever the text.
"""

import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

Ranges = tuple[tuple[int, int], ...]
"""Of code points, both ends in it, sorted and apart."""
_LAST = 0x10FFFF


@dataclass(frozen=True, slots=True)
class Rule:
    """What a token may be."""

    name: str
    pattern: str
    follow: str = ""
    """What must come after it; counts for the length of the match, and is no part of the token."""


def _join(ranges: list[tuple[int, int]]) -> Ranges:
    joined: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return tuple(joined)


def _without(ranges: Ranges) -> Ranges:
    rest, start = [], 0
    for low, high in ranges:
        if low > start:
            rest.append((start, low - 1))
        start = high + 1
    return (*rest, (start, _LAST))


class _Graph:
    """A nondeterministic automaton: by node, steps without a character and steps with one."""

    def __init__(self) -> None:
        self.free: list[list[int]] = []
        self.steps: list[tuple[Ranges, int] | None] = []

    def node(self) -> int:
        self.free.append([])
        self.steps.append(None)
        return len(self.free) - 1


class _Parser:
    """A pattern's nodes in a graph.

    The notation is that of regular expressions: `[a-z]`, `[^…]`, `( | )`, `* + ? {m,n}`, `\\` before
    a sign meant literally, and `{NAME}` for a named pattern or set. A letter outside brackets stands
    for both of its cases, one inside for itself.
    """

    def __init__(self, graph: _Graph, names: Mapping[str, str | Ranges]) -> None:
        self.graph = graph
        self.names = names
        self.text = ""
        self.at = 0

    def add(self, pattern: str, start: int) -> int:
        """The node that a match of the pattern from `start` ends in."""
        outer = self.text, self.at
        self.text, self.at = pattern, 0
        end = self._either(start)
        if self.at < len(pattern):
            raise ValueError(f"{pattern!r} has no such sign here: {pattern[self.at :]!r}")
        self.text, self.at = outer
        return end

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _take(self) -> str:
        self.at += 1
        return self.text[self.at - 1]

    def _either(self, start: int) -> int:
        ends = [self._sequence(self._apart(start))]
        while self._peek() == "|":
            self.at += 1
            ends.append(self._sequence(self._apart(start)))
        end = self.graph.node()
        for one in ends:
            self.graph.free[one].append(end)
        return end

    def _apart(self, start: int) -> int:
        node = self.graph.node()
        self.graph.free[start].append(node)
        return node

    def _sequence(self, start: int) -> int:
        while self._peek() not in ("", "|", ")"):
            start = self._repeated(start)
        return start

    def _repeated(self, start: int) -> int:
        begin = self.at
        end = self._atom(self._apart(start))
        least, most = self._times()
        if (least, most) == (1, 1):
            return end
        after = self.at
        # Each further time is parsed again, so that it has nodes of its own.
        node, ends = self._apart(start), []
        for time in range(max(least, most or least + 1)):
            if time >= least:
                ends.append(node)
            self.at = begin
            before = self._apart(node)
            node = self._atom(before)
            if most is None and time >= least:
                self.graph.free[node].append(before)
        ends.append(node)
        self.at = after
        last = self.graph.node()
        for one in ends:
            self.graph.free[one].append(last)
        return last

    def _times(self) -> tuple[int, int | None]:
        sign = self._peek()
        if sign and sign in "*+?":
            self.at += 1
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]  # type: ignore[return-value]  # pairs as said
        if sign == "{" and self.text[self.at + 1].isdigit():
            inside = self.text[self.at + 1 : self.text.index("}", self.at)]
            self.at += len(inside) + 2
            least, _, most = inside.partition(",")
            return int(least), int(most or least)
        return 1, 1

    def _atom(self, start: int) -> int:
        sign = self._take()
        if sign == "(":
            end = self._either(start)
            self._take()
            return end
        if sign == "{":
            name = self.text[self.at : self.text.index("}", self.at)]
            self.at += len(name) + 1
            named = self.names[name]
            return self.add(named, start) if isinstance(named, str) else self._step(start, named)
        if sign == "[":
            return self._step(start, self._set())
        if sign == "\\":
            sign = self._escaped()
        return self._step(
            start, _join([(ord(c), ord(c)) for c in {sign, sign.lower(), sign.upper()}])
        )

    def _escaped(self) -> str:
        sign = self._take()
        return {"t": "\t", "n": "\n", "f": "\f", "r": "\r"}.get(sign, sign)

    def _set(self) -> Ranges:
        is_not = self._peek() == "^"
        self.at += is_not
        ranges: list[tuple[int, int]] = []
        while (sign := self._take()) != "]":
            if sign == "\\":
                sign = self._escaped()
            low = high = ord(sign)
            if self._peek() == "-" and self.text[self.at + 1] != "]":
                self.at += 1
                high = ord(self._take())
            ranges.append((low, high))
        joined = _join(ranges)
        return _without(joined) if is_not else joined

    def _step(self, start: int, ranges: Ranges) -> int:
        node = self._apart(start)
        end = self.graph.node()
        self.graph.steps[node] = (ranges, end)
        return end


class _State(dict[str, "_State"]):
    """A state; its next ones by the class of the character, made when first asked for."""

    __slots__ = ("accepts", "nodes", "owner")

    def __init__(self, owner: "_Automaton", nodes: frozenset[int], accepts: int) -> None:
        super().__init__()
        self.owner, self.nodes, self.accepts = owner, nodes, accepts

    def __missing__(self, kind: str) -> "_State":
        self[kind] = state = self.owner.next(self.nodes, kind)
        return state


_NONE = 1 << 30


class _Automaton:
    """Patterns as one deterministic automaton; a state accepts the first pattern that ends in it."""

    def __init__(self, patterns: Sequence[str], names: Mapping[str, str | Ranges]) -> None:
        graph = _Graph()
        parser = _Parser(graph, names)
        begin = graph.node()
        self.graph = graph
        self.ends = {parser.add(pattern, begin): rank for rank, pattern in enumerate(patterns)}
        self.states: dict[frozenset[int], _State] = {}
        self._classes()
        self.start = self._state({begin})

    def _classes(self) -> None:
        """Characters that no step tells apart are one class: what `kinds` maps a text to."""
        cuts = {0, _LAST + 1}
        for step in filter(None, self.graph.steps):
            for low, high in step[0]:
                cuts |= {low, high + 1}
        self.cuts = sorted(cuts)
        members: dict[tuple[int, ...], str] = {}
        steps = [(node, step[0]) for node, step in enumerate(self.graph.steps) if step]
        distinct = {ranges: n for n, ranges in enumerate(dict.fromkeys(r for _, r in steps))}
        marks: list[list[int]] = [[] for _ in self.cuts]
        place = {cut: n for n, cut in enumerate(self.cuts)}
        for ranges, number in distinct.items():
            for low, high in ranges:
                for at in range(place[low], place[high + 1]):
                    marks[at].append(number)
        self.kind_of_cut = [members.setdefault(tuple(m), chr(len(members))) for m in marks]
        self.sets_of = {kind: frozenset(m) for m, kind in members.items()}
        self.set_of_node = {node: distinct[ranges] for node, ranges in steps}
        self.kinds = _Kinds(self)

    def _closure(self, nodes: set[int]) -> frozenset[int]:
        waiting, seen = list(nodes), set(nodes)
        while waiting:
            for node in self.graph.free[waiting.pop()]:
                if node not in seen:
                    seen.add(node)
                    waiting.append(node)
        return frozenset(n for n in seen if n in self.set_of_node or n in self.ends)

    def _state(self, nodes: set[int]) -> _State:
        closed = self._closure(nodes)
        if closed not in self.states:
            accepts = min((self.ends[n] for n in closed if n in self.ends), default=_NONE)
            self.states[closed] = _State(self, closed, accepts)
        return self.states[closed]

    def next(self, nodes: frozenset[int], kind: str) -> _State:
        sets = self.sets_of[kind]
        reached = set()
        for node in nodes:
            if self.set_of_node.get(node) in sets:
                step = self.graph.steps[node]
                assert step is not None
                reached.add(step[1])
        return self._state(reached)


class _Kinds(dict[int, str]):
    """Code point → the class it is in, for `str.translate`."""

    def __init__(self, owner: _Automaton) -> None:
        super().__init__()
        self.owner = owner

    def __missing__(self, code: int) -> str:
        kind = self.owner.kind_of_cut[bisect.bisect_right(self.owner.cuts, code) - 1]
        if code < 0x3000:  # what is rare is not kept, so that no text fills the memory
            self[code] = kind
        return kind


class Lexer:
    """Rules and the named patterns they use."""

    def __init__(self, rules: Sequence[Rule], names: Mapping[str, str | Ranges]) -> None:
        self.rules = rules
        self.names = names
        self._all = _Automaton([f"({r.pattern})({r.follow})" for r in rules], names)

    def match(self, text: str, kinds: str, start: int) -> tuple[Rule, int]:
        """The rule that matches at a place, and where its token ends.

        Args:
            kinds: `kinds(text)`.

        Raises:
            ValueError: none does; a last rule of any one character makes that impossible.
        """
        state, end, rank = self._all.start, start, _NONE
        for at in range(start, len(kinds)):
            state = state[kinds[at]]
            if not state.nodes:
                break
            if state.accepts != _NONE:
                end, rank = at + 1, state.accepts
        if rank == _NONE:
            raise ValueError("No rule matches.")
        rule = self.rules[rank]
        return rule, (self._token_end(rank, text[start:end]) + start if rule.follow else end)

    def kinds(self, text: str) -> str:
        """A text with the class of each character in its place."""
        return text.translate(self._all.kinds)

    def _token_end(self, rank: int, text: str) -> int:
        """Where the token of a rule ends that asks for what follows: the last place that can be."""
        token, follow = self._parts(rank)
        for end in reversed(list(_ends(token, text))):
            if len(text) - end in set(_ends(follow, text[end:])):
                return end
        raise ValueError("A match has no end.")

    @cache  # noqa: B019  # a lexer lives as long as the process
    def _parts(self, rank: int) -> tuple[_Automaton, _Automaton]:
        rule = self.rules[rank]
        return _Automaton([rule.pattern], self.names), _Automaton([rule.follow], self.names)


def _ends(automaton: _Automaton, text: str) -> Iterator[int]:
    """All places in which a match from the beginning may end."""
    state = automaton.start
    if state.accepts != _NONE:
        yield 0
    for at, kind in enumerate(text.translate(automaton.kinds), 1):
        state = state[kind]
        if not state.nodes:
            return
        if state.accepts != _NONE:
            yield at
