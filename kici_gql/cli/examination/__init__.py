"""What `kici-gql doctor` looks at: each check answers with what it found and what would be right."""
