"""graphql-core's executor without its leak, with Strawberry's quick test for awaitables and a budget of values."""

from typing import Any, cast

from graphql.execution.collect_fields import GroupedFieldSet
from graphql.pyutils import AwaitableOrValue, Path, RefMap
from graphql.type import GraphQLObjectType
from strawberry.execution import optimized_is_awaitable
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from kici_gql.errors import LimitExceeded


class Budget:
    """How many values one operation may still resolve; the static limits can't know how long lists are."""

    __slots__ = ("left", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.left = limit

    def spend(self, values: int) -> None:
        """Count `values`; raises LimitExceeded from the first one over the limit on."""
        self.left -= values
        if self.left < 0:
            raise LimitExceeded(self.refusal())

    def refusal(self) -> str:
        return f"The answer has too many values, the limit is max_values={self.limit}. Ask for shorter pages."


class FrameExecutor(StrawberryGraphQLCoreExecutionContext):
    """Runs one operation, or one operation once per frame."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.budget: Budget = kwargs.pop("budget")
        super().__init__(*args, **kwargs)

    @classmethod
    def prepared(cls, **arguments: Any) -> "FrameExecutor | list[Any]":
        """Build with this program's settings; answers the errors instead when variables can't be coerced."""
        return cast(
            "FrameExecutor | list[Any]",
            cls.build(
                is_awaitable=cast("Any", optimized_is_awaitable), operation_extensions=None, **arguments
            ),
        )

    def for_frame(self, frame: object, context: object) -> "FrameExecutor":
        """A copy that runs the same operation on one frame in a context of its own."""
        executor = cast("FrameExecutor", self.build_per_event_executor(frame))
        executor.context_value = context
        executor.budget = Budget(self.budget.limit)
        return executor

    def build_per_event_executor(self, payload: Any) -> Any:
        """As graphql-core's, but with empty caches.

        In graphql-core 3.3.1 and 3.3.2 all events share a cache that is keyed by the id of lists which each
        event builds anew: three to seven kilobytes per event that are never freed.
        """
        executor = super().build_per_event_executor(payload)
        executor._relevant_sub_fields = {}  # noqa: SLF001 - a copy of this very object
        executor._stream_usages = RefMap()  # noqa: SLF001
        return executor

    def execute_fields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Path | None,
        grouped_field_set: GroupedFieldSet,
        position_context: Any,
    ) -> AwaitableOrValue[dict[str, Any]]:
        self.budget.spend(len(grouped_field_set))
        return super().execute_fields(parent_type, source_value, path, grouped_field_set, position_context)
