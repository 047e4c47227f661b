"""Training and judging the network: `python -m train fit|evaluate|experiments|publish`, run from the checkout."""
