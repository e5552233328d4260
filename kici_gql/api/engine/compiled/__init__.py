"""Operations as generated Python: quick where the data is what the schema says, graphql-core's work elsewhere."""
