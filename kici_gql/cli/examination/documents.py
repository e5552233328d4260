"""What is asked of GraphQL."""

# A snapshot of nothing but its frame: so short that even a small buffer on the way holds it back.
STREAM = "subscription { alerts { kind cursor } }"
WHO = "{ viewer { tokenName scope clusterName expiresAt org { slug } } serverInfo { version time database } }"
