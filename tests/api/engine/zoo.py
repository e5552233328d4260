"""A schema with one of everything, random data for it, and random documents over it."""

import random
from dataclasses import dataclass
from enum import Enum, StrEnum
from types import SimpleNamespace
from typing import Annotated, Any, NewType

import strawberry
from graphql import GraphQLResolveInfo
from strawberry.dataloader import DataLoader
from strawberry.schema.config import StrawberryConfig
from strawberry.types.scalar import ScalarDefinition

from kici_gql.api.engine.ports import LASTING
from kici_gql.errors import InvalidInput

Roman = NewType("Roman", int)
SCALARS: dict[object, ScalarDefinition] = {
    Roman: strawberry.scalar(
        name="Roman", serialize=lambda value: "I" * value if value else None, parse_value=len
    )
}


@strawberry.enum
class Size(StrEnum):
    SMALL = "SMALL"
    LARGE = "LARGE"


@strawberry.enum
class Diet(Enum):
    PLANTS = 1
    MEAT = "meat"


@dataclass
class Keeper:
    """The context: what a loader loads, and the dice that resolvers throw."""

    trouble: int

    def __post_init__(self) -> None:
        self.double = DataLoader(load_fn=self._double)

    async def _double(self, keys: list[int]) -> list[int]:
        return [key * 2 for key in keys]


Info = strawberry.Info[Keeper, None]


@strawberry.interface
class Animal:
    name: str
    legs: int | None

    @classmethod
    def is_type_of(cls, value: Any, _info: GraphQLResolveInfo[Any]) -> bool:
        return str(value.kind) == cls.__name__


@strawberry.type
class Tag:
    text: str
    weight: float | None = None

    @strawberry.field
    def shout(self) -> str:
        return self.text.upper()

    @strawberry.field
    def begin(self, count: int = 1) -> str:
        return self.text[:count]


@strawberry.type
class Note:
    words: list[str]
    tag: Tag | None

    @strawberry.field
    def constant(self) -> int:
        return 1


MARKS: tuple[list[Tag], ...] = ([], [Tag(text="a", weight=0.5)], [Tag(text="b"), Tag(text="c")])
"""Nobody changes them."""

Thing = Annotated[Tag | Note, strawberry.union("Thing")]
Row = strawberry.Parent[SimpleNamespace]


@strawberry.type
class Cat(Animal):
    size: Size
    grid: list[list[int | None]]
    extra: list[Tag | None] | None
    things: list[Thing]

    @strawberry.field(metadata=LASTING)  # type: ignore[untyped-decorator]
    def marks(root: Row) -> list[Tag]:  # noqa: N805
        found: list[Tag] = MARKS[root.trouble % len(MARKS)]
        return found

    @strawberry.field
    def first(root: Row, count: int = 1, tag: str | None = None) -> str:  # noqa: N805
        return f"{root.name[:count]}{tag}"

    @strawberry.field
    async def doubled(root: Row, info: Info, of: int) -> int:  # noqa: N805
        return await info.context.double.load(of)

    @strawberry.field
    async def friend(root: Row, info: Info) -> Animal | None:  # noqa: N805
        await info.context.double.load(1)
        found: Animal | None = root.friend
        return found

    @strawberry.field
    async def dish(root: Row) -> Diet:  # noqa: N805
        found: Diet = root.dish
        return found

    @strawberry.field
    def sick(root: Row, info: Info) -> int | None:  # noqa: N805
        if info.context.trouble and root.trouble % 3 == 0:
            raise InvalidInput("sick", hint="see a vet")
        return int(root.trouble)

    @strawberry.field
    def place(self, info: Info) -> str:
        return str(info.path.key)  # more than the generated code's `info` knows


@strawberry.type
class Dog(Animal):
    good: bool
    badge: strawberry.ID
    diet: Diet | None
    age: Roman | None
    weight: float


@strawberry.input
class Wish:
    name: str
    size: Size = Size.SMALL
    tags: list[str] = strawberry.field(default_factory=list)
    weight: float | None = None
    inner: "Wish | None" = None


@strawberry.input
class Call:
    """One that its class has the last word about."""

    text: str
    to: str = "all"

    def __post_init__(self) -> None:
        self.text = self.text.upper()


@strawberry.type
class Query:
    @strawberry.field
    def animals(self, info: Info) -> list[Animal]:
        found: list[Animal] = _DATA["animals"]
        return found

    @strawberry.field
    async def cat(self) -> Cat | None:
        found: Cat | None = _DATA["cat"]
        return found

    @strawberry.field
    def things(self) -> list[Thing | None]:
        found: list[Tag | Note | None] = _DATA["things"]
        return found

    @strawberry.field
    def echo(self, wish: Wish | None = None, text: str = "-") -> str:
        return f"{wish} {text}"


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def wish(self, info: Info, input: Wish, times: int | None = None) -> Thing:  # noqa: A002
        CALLS.append(input)
        if input.name == "error":
            raise InvalidInput("no such wish")
        words = [input.name, input.size.value, *input.tags, str(input.weight), str(times)]
        if input.name == "null":
            words.append(None)  # type: ignore[arg-type]
        return Note(words=words, tag=Tag(text=input.inner.name) if input.inner else None)

    @strawberry.mutation
    async def call(self, input: Call) -> str:  # noqa: A002
        return f"{input.text} {input.to}"


schema = strawberry.Schema(Query, Mutation, types=[Cat, Dog], config=StrawberryConfig(scalar_map=SCALARS))
CALLS: list[Wish] = []
_DATA: dict[str, Any] = {}


class Data:
    """Random objects; one in `odds` values is not what the schema says."""

    def __init__(self, dice: random.Random, odds: int) -> None:
        self._dice = dice
        self._odds = odds

    def install(self) -> None:
        _DATA.update(
            animals=[self.animal(0) for _ in range(self._dice.randrange(4))],
            cat=self._dice.choice([None, self.cat(0), self.cat(0)]),
            things=[self._dice.choice([None, self.thing(), self.thing()]) for _ in range(3)],
        )

    def _or_wrong(self, *right: Any) -> Any:
        if self._odds and self._dice.randrange(self._odds) == 0:
            return self._dice.choice(
                [None, 7, "text", 2**40, float("nan"), ValueError("secret"), [], object()]
            )
        return self._dice.choice(right)

    def animal(self, depth: int) -> Any:
        return self.cat(depth) if self._dice.random() < 0.5 else self.dog()

    def cat(self, depth: int) -> Any:
        dice = self._dice
        friend = self.animal(depth + 1) if depth < 2 else None
        return SimpleNamespace(
            kind="Cat",
            name=self._or_wrong("Tom", "Kit"),
            legs=self._or_wrong(4, None),
            size=self._or_wrong(Size.SMALL, "LARGE"),
            grid=[[dice.choice([1, None]) for _ in range(2)] for _ in range(dice.randrange(3))],
            extra=self._or_wrong(None, [None, self.tag()], (self.tag(),)),
            things=[self.thing() for _ in range(dice.randrange(3))],
            friend=self._or_wrong(friend),
            dish=self._or_wrong(*Diet, "meat"),
            trouble=dice.randrange(10),
        )

    def dog(self) -> Any:
        return SimpleNamespace(
            kind=self._or_wrong("Dog"),
            name=self._or_wrong("Rex"),
            legs=self._or_wrong(4, 3.0, None),
            good=self._or_wrong(True, False, 1),
            badge=self._or_wrong("b1", 12),
            diet=self._or_wrong(*Diet, None),
            age=self._or_wrong(3, None, 0 if self._odds else 1),
            weight=self._or_wrong(1.5, 2, float("inf") if self._odds else 0.0),
        )

    def tag(self) -> Tag:
        return Tag(text=self._or_wrong("a", "b"), weight=self._or_wrong(None, 0.5))

    def thing(self) -> Any:
        tag = self._dice.choice([None, self.tag()])
        return self._or_wrong(self.tag(), Note(words=self._or_wrong(["x"], ["y", "z"], []), tag=tag))


_FIELDS: dict[str, list[tuple[str, str | None]]] = {
    "Query": [("animals", "Animal"), ("cat", "Cat"), ("things", "Thing"), ("echo", None),
              ("echo(wish: {name: \"w\", tags: \"one\"})", None), ("echo(text: $text)", None)],
    "Animal": [("name", None), ("legs", None)],
    "Cat": [("name", None), ("legs", None), ("size", None), ("grid", None), ("extra", "Tag"), ("things", "Thing"),
            ("first", None), ("first(count: $count)", None), ("doubled(of: 4)", None), ("friend", "Animal"),
            ("dish", None), ("sick", None), ("marks", "Tag")],
    "Dog": [("name", None), ("good", None), ("badge", None), ("diet", None), ("age", None), ("weight", None)],
    "Tag": [("text", None), ("weight", None), ("shout", None), ("begin(count: $count)", None)],
    "Note": [("words", None), ("tag", "Tag"), ("constant", None)],
    "Thing": [],
}  # fmt: skip
_POSSIBLE = {"Animal": ("Animal", "Cat", "Dog"), "Thing": ("Tag", "Note")}


class Documents:
    """Random valid documents with aliases, fragments, directives and arguments."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._fragments: list[str] = []
        self._aliases = 0

    def query(self) -> str:
        self._fragments = []
        self._aliases = 0
        body = self._selections("Query", 0)
        head = 'query ($text: String! = "t", $count: Int! = 2, $yes: Boolean! = true, $no: Boolean! = false)'
        used = " " + "".join(self._fragments) + body
        use_all = "used: echo(text: $text) __typename @include(if: $yes) @skip(if: $no) cat { c: first(count: $count) }"
        return f"{head} {{ {use_all} {body} }}{used[1 : len(used) - len(body)]}"

    def _selections(self, type_: str, depth: int) -> str:
        dice, parts = self._dice, []
        for _ in range(dice.randrange(1, 5)):
            choice = dice.random()
            if type_ in _POSSIBLE and choice < 0.6:
                inner = dice.choice(_POSSIBLE[type_])
                parts.append(self._fragment(inner, depth))
            elif choice < 0.1 and type_ != "Query":
                parts.append(self._fragment(type_, depth))
            elif choice < 0.2 or not _FIELDS[type_]:
                parts.append(f"__typename{self._directive()}")
            else:
                parts.append(self._field(*dice.choice(_FIELDS[type_]), depth))
        return " ".join(parts)

    def _field(self, name: str, inner: str | None, depth: int) -> str:
        if inner is not None and depth > 4:
            return "__typename"
        plain = inner is None and "(" not in name
        alias = "" if plain and self._dice.random() < 0.7 else self._alias()
        body = f" {{ {self._selections(inner, depth + 1)} }}" if inner else ""
        return f"{alias}{name}{self._directive()}{body}"

    def _alias(self) -> str:
        self._aliases += 1
        return f"a{self._aliases}: "

    def _fragment(self, type_: str, depth: int) -> str:
        body = self._selections(type_, depth + 1) if depth < 5 else "__typename"
        if self._dice.random() < 0.5:
            return f"... on {type_}{self._directive()} {{ {body} }}"
        name = f"F{len(self._fragments)}"
        self._fragments.append(f" fragment {name} on {type_} {{ {body} }}")
        return f"...{name}{self._directive()}"

    def _directive(self) -> str:
        return self._dice.choice(
            [
                "",
                "",
                "",
                "",
                " @include(if: $yes)",
                " @skip(if: $no)",
                " @include(if: $no)",
                " @skip(if: true)",
            ]
        )
