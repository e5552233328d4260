"""`python -m kici_gql` is `kici-gql`."""

from kici_gql.cli import main

if __name__ == "__main__":
    main()
