"""The proof, as pure functions: commitment, challenge, comparison, gate, policy, receipts.

Nothing here talks to a network, a clock or a database; docs/proof.md tells the whole of it in words.
"""
