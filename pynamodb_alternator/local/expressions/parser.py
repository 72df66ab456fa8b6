"""Parses conditions, projections and updates.

A recursive descent parser. As in the server's grammar, AND binds closer than OR, NOT binds closer than both, and the
deepest nesting is 400.
"""

from __future__ import annotations

from .references import References
from .tokens import Token, syntax_error, tokens
from .tree import Action, Between, Call, Comparison, Condition, Either, Every, In, Not, Operand, Path, Sum, Test

_DEEPEST = 400
_DEEPEST_PATH = 32
_LARGEST_INDEX = 2**31 - 1
_SIGNS = frozenset(["=", "<>", "<", "<=", ">", ">="])
_CLAUSES = ("SET", "REMOVE", "ADD", "DELETE")


def condition(text: object, what: str, references: References) -> Condition:
    """The tree of a ConditionExpression or FilterExpression. Raises `DialectError` for text that the server refuses."""
    parser = _Parser(text, what, references)
    tree = parser.condition()
    parser.end()
    return tree


def projection(text: object, references: References) -> tuple[Path, ...]:
    """The paths of a ProjectionExpression."""
    parser = _Parser(text, "ProjectionExpression", references)
    paths = [parser.path()]
    while parser.take(","):
        paths.append(parser.path())
    parser.end()
    return tuple(paths)


def update(text: object, references: References) -> tuple[Action, ...]:
    """The actions of an UpdateExpression."""
    parser = _Parser(text, "UpdateExpression", references)
    actions: list[Action] = []
    seen: set[str] = set()
    while True:
        clause = parser.clause()
        if clause in seen:
            raise parser.error("Each of SET, REMOVE, ADD, DELETE may only appear once in UpdateExpression")
        seen.add(clause)
        actions.append(parser.action(clause))
        while parser.take(","):
            actions.append(parser.action(clause))
        if parser.at_end():
            return tuple(actions)


class _Group:
    """The parts between two parentheses that have been read so far."""

    def __init__(self) -> None:
        self.negations = 0
        self._every: list[Condition] = []
        self._either: list[Condition] = []

    def add(self, part: Condition) -> None:
        self._every.append(Not(part) if self.negations % 2 else part)
        self.negations = 0

    def end_every(self) -> None:
        """End a sequence of parts that are joined by AND."""
        self._either.append(self._every[0] if len(self._every) == 1 else Every(tuple(self._every)))
        self._every = []

    def tree(self) -> Condition:
        self.end_every()
        return self._either[0] if len(self._either) == 1 else Either(tuple(self._either))


class _Parser:
    def __init__(self, text: object, what: str, references: References) -> None:
        self._tokens = tokens(text, what)
        self._text, self._what = str(text), what
        self._references = references
        self._position = 0

    def error(self, why: str | None = None) -> Exception:
        token = self._tokens[self._position]
        return syntax_error(self._what, self._text, why or f"syntax error at char {token.position}")

    def _next(self) -> Token:
        token = self._tokens[self._position]
        if token.kind != "end":
            self._position += 1
        return token

    def _peek(self, ahead: int = 0) -> Token:
        return self._tokens[min(self._position + ahead, len(self._tokens) - 1)]

    def take(self, sign_or_keyword: str) -> bool:
        """Whether the next token is this one. If it is, the parser moves past it."""
        token = self._peek()
        taken = sign_or_keyword in (token.kind, token.text if token.kind == "sign" else "")
        if taken:
            self._position += 1
        return taken

    def _need(self, sign_or_keyword: str) -> None:
        if not self.take(sign_or_keyword):
            raise self.error()

    def at_end(self) -> bool:
        return self._peek().kind == "end"

    def end(self) -> None:
        if not self.at_end():
            raise self.error()

    def _within(self, depth: int) -> None:
        if depth >= _DEEPEST:
            raise self.error("expression nested too deeply")

    def condition(self) -> Condition:
        """A whole condition. Open parentheses are on a list, because Python's stack is not as deep as the server's."""
        groups = [_Group()]
        while True:
            while self.take("NOT"):
                groups[-1].negations += 1
                self._within(sum(1 + group.negations for group in groups) - 2)
            if self.take("("):
                groups.append(_Group())
                self._within(sum(1 + group.negations for group in groups) - 2)
                continue
            part = self._primitive()
            while True:
                groups[-1].add(part)
                if self.take("AND"):
                    break
                if self.take("OR"):
                    groups[-1].end_every()
                    break
                part = groups.pop().tree()
                if not groups:
                    return part
                self._need(")")

    def _primitive(self) -> Condition:
        left = self.operand(0)
        token = self._peek()
        if token.kind == "sign" and token.text in _SIGNS:
            self._position += 1
            return Comparison(token.text, left, self.operand(0))
        if self.take("BETWEEN"):
            low = self.operand(0)
            self._need("AND")
            return Between(left, low, self.operand(0))
        if self.take("IN"):
            self._need("(")
            options = [self.operand(0)]
            while self.take(","):
                options.append(self.operand(0))
            self._need(")")
            return In(left, tuple(options))
        if not isinstance(left, Call):
            raise self.error("syntax error: Single value must be a function")
        return Test(left)

    def operand(self, depth: int) -> Operand:
        token = self._peek()
        if token.kind == "reference" and token.text[0] == ":":
            self._position += 1
            return self._references.value(token.text)
        if token.kind != "name" or self._peek(1).text != "(":
            return self.path()
        self._within(depth)
        self._position += 2
        arguments = [self.operand(depth + 1)]
        while self.take(","):
            arguments.append(self.operand(depth + 1))
        self._need(")")
        return Call(token.text, tuple(arguments))

    def path(self) -> Path:
        root = self._component()
        steps: list[str | int] = []
        while True:
            if self.take("."):
                steps.append(self._component())
            elif self.take("["):
                token = self._next()
                if token.kind != "number":
                    raise self.error()
                if int(token.text) > _LARGEST_INDEX:
                    raise self.error("list index out of integer range")
                steps.append(int(token.text))
                self._need("]")
            else:
                break
        if 1 + len(steps) > _DEEPEST_PATH:
            raise self.error(f"Document path exceeded {_DEEPEST_PATH} nesting levels")
        return Path(root, tuple(steps))

    def _component(self) -> str:
        token = self._peek()
        if token.kind != "name" and not (token.kind == "reference" and token.text[0] == "#"):
            raise self.error()
        self._position += 1
        return self._references.name(token.text)

    def clause(self) -> str:
        for clause in _CLAUSES:
            if self.take(clause):
                return clause
        raise self.error()

    def action(self, clause: str) -> Action:
        path = self.path()
        if clause == "REMOVE":
            return Action(clause, path)
        if clause == "SET":
            self._need("=")
            left = self.operand(0)
            for sign in "+-":
                if self.take(sign):
                    return Action(clause, path, Sum(sign, left, self.operand(0)))
            return Action(clause, path, left)
        token = self._next()
        if token.kind != "reference" or token.text[0] != ":":
            raise self.error()
        return Action(clause, path, self._references.value(token.text))
