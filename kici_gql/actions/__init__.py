"""The use cases. Each is one transaction; GraphQL and the KiCI relay call the same ones and decide nothing themselves."""
